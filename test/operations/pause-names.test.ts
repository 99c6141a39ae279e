/** `gavotte pause` of names that nobody knows: done, and told, since it looks like a stop. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCli, type CliResult } from "../../cmd/cli.fixture.ts";
import { meantRef, unknownQueue, unknownWorkflow } from "../../sdk/internal.ts";
import { listPauses } from "../../sdk/postgres/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";

let cwd: string;
let engine: Engine;

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-pause-"));
  engine = await startEngine();
  const nodes = [{ id: "a", type: "function", config: { function_name: "pick" } }];
  await publish(engine.db, { name: "order-flow", version: "1.0.0", nodes });
});
afterAll(async () => {
  await engine.stop();
  rmSync(cwd, { recursive: true, force: true });
});

function gavotte(...args: string[]): Promise<CliResult> {
  const options = engine.db.pool.options as { connectionString?: string };
  const GAVOTTE_DATABASE_URL = options.connectionString ?? "";
  return runCli(cwd, args, { env: { GAVOTTE_REDIS_URL: engine.redisUrl, GAVOTTE_DATABASE_URL } });
}

const flow = "order-flow";
const cases = [
  ["workflow", { name: flow }, null],
  ["workflow", { name: flow, version: "1.0.0" }, null],
  [
    "workflow",
    { name: "order-flwo" },
    "no workflow order-flwo is stored (did you mean order-flow?)",
  ],
  ["workflow", { name: "other" }, "no workflow other is stored;"],
  ["workflow", { name: flow, version: "1.0.1" }, "is stored (did you mean 1.0.0?)"],
  ["queue", { name: "fn:pick" }, null],
  ["queue", { name: "ns:x:fn:pick" }, null],
  ["queue", { name: "fn:pikc" }, "nor does a stored workflow use it (did you mean fn:pick?)"],
] as const;

it.each(cases)("of the %s %j it is said: %s", async (kind, target, expected) => {
  const { db } = engine;
  const told = kind === "queue" ? unknownQueue(db, target.name) : unknownWorkflow(db, target);
  expect(await told).toEqual(expected === null ? null : expect.stringContaining(expected));
});

it("such a pause is done all the same", { timeout: 60_000 }, async () => {
  const { code, stdout, stderr } = await gavotte("pause", "--queue", "fn:pikc", "--json");
  expect(code).toBe(0);
  const warning = expect.stringContaining("no worker reads queue fn:pikc") as string;
  expect(JSON.parse(stdout)).toEqual({ queue: "fn:pikc", state: "paused", warning });
  expect(stderr).toMatch(/^warning: no worker reads queue fn:pikc/m);
  expect(await listPauses(engine.db)).toMatchObject([{ kind: "queue", name: "fn:pikc" }]);
});

it("a reference to no workflow is told with the one that is meant", async () => {
  expect(await meantRef(engine.db, "order-flwo")).toBe(" (did you mean order-flow?)");
  expect(await meantRef(engine.db, "order-flwo@1.0.0")).toBe(" (did you mean order-flow?)");
  expect(await meantRef(engine.db, "order-flow@1.0.1")).toBe(" (did you mean 1.0.0?)");
  expect(await meantRef(engine.db, "something else")).toBe("");
  const { code, stderr } = await gavotte("submit", "order-flwo", "--ref");
  expect(code).toBe(1);
  expect(stderr).toMatch(/GV_WORKFLOW_NOT_FOUND.*\(did you mean order-flow\?\)/);
});
