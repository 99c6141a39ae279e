/** Secrets of a process' workers: from its environment, and nowhere else. */
import { createServer, type Server } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "./cli.fixture.ts";
import { resolveConfig } from "./config.ts";
import { secretsOf } from "./secrets.ts";

const SLOW = 90_000;

describe("the variables of secrets", () => {
  it("are the secrets by name; an empty one is none, and names of objects are no secrets", () => {
    const env = { GAVOTTE_SECRET_API_KEY: "k", GAVOTTE_SECRET_: "x", GAVOTTE_SECRET_E: "", A: "b" };
    const secrets = secretsOf(env);
    expect({ ...secrets }).toEqual({ API_KEY: "k" });
    expect("constructor" in secrets).toBe(false);
  });

  it("are no options, and are not shown as such", async () => {
    const env = { GAVOTTE_SECRET_API_KEY: "hidden-7", GAVOTTE_SECRET_LEASE_MS: "hidden-8" };
    const config = await resolveConfig({ cwd: tmpdir(), env });
    expect(JSON.stringify(config)).not.toContain("hidden-");
    expect(config.origins.lease_ms).toBe("default");
  });
});

describe("an http node of `gavotte run`", () => {
  let server: Server;
  let cwd = "";
  const seen: (string | undefined)[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(200, { "content-type": "application/json" }).end('{"ok":true}');
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cwd = mkdtempSync(join(tmpdir(), "gv-secrets-"));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const headers = { authorization: "Bearer ${secrets.API_KEY}" };
    const node = { id: "call", type: "http", config: { url, headers } };
    const file = { metadata: { name: "calls", version: "1.0.0" }, nodes: [node], edges: [] };
    writeFileSync(join(cwd, "calls.json"), JSON.stringify(file));
  });

  afterAll(() => {
    server.close();
    rmSync(cwd, { recursive: true, force: true });
  });

  it(
    "sends the secret of its environment, which no output names; without it, it says what to set",
    async () => {
      const env = { GAVOTTE_SECRET_API_KEY: "s3cret-of-mine" };
      const good = await runCli(cwd, ["run", "calls.json", "--json"], { env });
      expect(good.code, good.stderr).toBe(0);
      expect(seen).toEqual(["Bearer s3cret-of-mine"]);
      expect(good.stdout + good.stderr).not.toContain("s3cret-of-mine");
      const bad = await runCli(cwd, ["run", "calls.json", "--json"]);
      expect(bad.code).toBe(1);
      expect(bad.stdout).toContain(
        "this worker has no secret API_KEY; start the worker with the variable GAVOTTE_SECRET_API_KEY",
      );
    },
    SLOW,
  );
});
