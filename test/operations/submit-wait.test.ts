/** Who waits for a run with `submit --wait` is told when nobody serves it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startCli } from "../../cmd/cli.fixture.ts";
import { startEngine, type Engine } from "../harness/engine.ts";

const SLOW = 120_000;
let cwd: string;
let engine: Engine;

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-wait-"));
  engine = await startEngine();
});
afterAll(async () => {
  await engine.stop();
  rmSync(cwd, { recursive: true, force: true });
});

it(
  "says that no worker serves it, once, and goes on waiting until one does",
  async ({ skip }) => {
    skip(engine.db.singleSession, "the command needs a Postgres of its own");
    const node = { id: "pick", type: "function", config: { function_name: "builtin.echo" } };
    writeFileSync(join(cwd, "one.json"), JSON.stringify({ name: "one", nodes: [node] }));
    const { connectionString } = engine.db.pool.options as { connectionString?: string };
    const env = {
      GAVOTTE_REDIS_URL: engine.redisUrl,
      GAVOTTE_DATABASE_URL: connectionString ?? "",
    };
    const waiting = startCli(cwd, ["submit", "one.json", "--wait", "--input", "7"], { env });
    await waiting.said("stands still: pick: ");
    await engine.worker();
    const { code, stdout, stderr } = await waiting.ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: "7\n" });
    expect(stderr).toContain("no worker");
    expect(stderr.match(/stands still/g)).toHaveLength(1);
  },
  SLOW,
);
