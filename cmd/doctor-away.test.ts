import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { testRedis } from "../test/support/index.ts";
import { runCli } from "./cli.fixture.ts";

const services = await testRedis();
const cwd = mkdtempSync(join(tmpdir(), "gv-doctor-"));
afterAll(async () => {
  await services.close();
  rmSync(cwd, { recursive: true, force: true });
});

it(
  "one cause is told once, with what could not be looked at for it",
  { timeout: 60_000 },
  async () => {
    const env = {
      GAVOTTE_REDIS_URL: services.url,
      GAVOTTE_DATABASE_URL: "postgres://u:p@127.0.0.1:1/none",
    };
    const { code, stdout } = await runCli(cwd, ["doctor"], { env });
    expect(stdout.match(/cannot be reached/g)).toHaveLength(1);
    expect(stdout).toMatch(/^BAD {2}database +Postgres cannot be reached/m);
    expect(stdout).toMatch(/^BAD {2}the rest +not looked at, .*: partitions, .*runs$/m);
    expect(code).toBe(3);
  },
);
