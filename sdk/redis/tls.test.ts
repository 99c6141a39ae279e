/** A server that speaks nothing but TLS. Certificates are made here, for two days. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { spawnWatched } from "../../cmd/embedded/child.ts";
import { freePort } from "../../cmd/embedded/sockets.ts";
import { redisProgram } from "../../test/support/redis-program.ts";
import { connectRedis } from "./connect.ts";

const dir = mkdtempSync(join(tmpdir(), "gv-tls-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Makes a certificate for 127.0.0.1 that is its own authority; false: there is no openssl. */
function makeCertificate(cert: string, key: string): boolean {
  const kind = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=gv"];
  const out = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert];
  try {
    execFileSync("openssl", [...kind, ...out], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
}

it("is reached by rediss://, and by nobody who does not know its authority", async ({ skip }) => {
  const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
  skip(!makeCertificate(cert, key), "there is no openssl to make a certificate with");
  const port = await freePort();
  const server = spawnWatched(redisProgram(), [
    ...["--port", "0", "--tls-port", String(port), "--tls-auth-clients", "no", "--save", ""],
    ...["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--dir", dir],
  ]);
  const url = `rediss://127.0.0.1:${port}`;
  const trusting = connectRedis({ url }, "test", { tls: { ca: readFileSync(cert) } });
  const errors: string[] = [];
  const doubting = connectRedis({ url }, "test", { maxRetriesPerRequest: 0 });
  doubting.on("error", (error: Error) => errors.push(error.message));
  try {
    const early = server.ended.then((why) => why);
    const answer = await Promise.race([trusting.ping(), early]);
    skip(/tls/i.test(answer), "this server is built without TLS");
    expect(answer).toBe("PONG");
    await expect(doubting.ping()).rejects.toThrow();
    expect(errors.join()).toContain("self-signed");
  } finally {
    trusting.disconnect();
    doubting.disconnect();
    server.process.kill("SIGTERM");
    server.process.stdin?.end();
    await server.ended;
  }
});
