/** `gavotte status` of a run that has ended: Postgres is the record, so Redis may be away. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { runCli, type CliResult } from "../../cmd/cli.fixture.ts";
import { startEngine } from "../harness/engine.ts";

it(
  "is told from Postgres; of a run that has not, that Redis is away",
  { timeout: 60_000 },
  async () => {
    const cwd = mkdtempSync(join(tmpdir(), "gv-status-"));
    const engine = await startEngine();
    await engine.worker();
    const options = engine.db.pool.options as { connectionString?: string };
    const env = {
      GAVOTTE_REDIS_URL: "redis://127.0.0.1:1",
      GAVOTTE_DATABASE_URL: options.connectionString ?? "",
    };
    const status = (...args: string[]): Promise<CliResult> =>
      runCli(cwd, ["status", ...args], { env });
    const submit = (type: string, config: object): Promise<string> =>
      engine.submit({ workflow: { name: "s", nodes: [{ id: "a", type, config }] } });
    const ended = await submit("noop", {});
    await engine.ended(ended);
    const told = await status(ended, "--json", "--path");
    expect(told.code).toBe(0);
    expect(JSON.parse(told.stdout)).toMatchObject({
      ...{ run_id: ended, status: "COMPLETED", why: [], path: [{ to: "a" }] },
    });
    const open = await submit("wait", { signal: "go" });
    const refused = await status(open);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain("GV_REDIS_UNAVAILABLE");
    await engine.stop();
    rmSync(cwd, { recursive: true, force: true });
  },
);
