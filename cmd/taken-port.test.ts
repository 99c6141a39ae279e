/** The gateway's port belongs to another program: which setting to change is said, all is stopped. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCli } from "./cli.fixture.ts";

const SLOW = 90_000;
let cwd = "";
let other: Server;
let listen = "";

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-port-"));
  other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  listen = `127.0.0.1:${(other.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await new Promise((resolve) => other.close(resolve));
  rmSync(cwd, { recursive: true, force: true });
});

it(
  "dev and gateway exit 2 with the setting, and stop the stack that they have started",
  async () => {
    for (const command of ["dev", "gateway"]) {
      const result = await runCli(cwd, [command, "--json", "--gateway-listen", listen]);
      expect([command, result.code, result.stderr]).toEqual([command, 2, expect.any(String)]);
      expect(result.stderr).toContain(`cannot listen on ${listen}`);
      expect(result.stderr).not.toContain("    at ");
      expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: "GV_BAD_CONFIG" } });
      expect(existsSync(join(cwd, ".gavotte", "stack.json"))).toBe(false);
    }
  },
  SLOW,
);
