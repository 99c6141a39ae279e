/** Tokens whose first step fails before their node is executed. */
import { pino } from "pino";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { compile } from "../compiler/index.ts";
import {
  blobRefOf,
  blobText,
  defineFunction,
  type FunctionHandler,
  RunData,
} from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { testPartition } from "../test/harness/partition.ts";
import { testExecutor } from "../test/harness/driven-worker.ts";
import { startedRun, type TokenPlayer } from "../test/harness/tokens.ts";
import { testRedis, waitFor } from "../test/support/index.ts";
import { childItem } from "./children.ts";
import { createWorker, FunctionRegistry, type Worker } from "./index.ts";
import { Workflows } from "./workflows.ts";

const own = await testRedis();
const redis = own.connect();
const p = await testPartition(redis);
const { keys } = p.scripts;
let worker: Worker | null = null;
afterEach(() => worker?.stop(500));
afterAll(() => own.close());

/** Runs a map over [0, 1] whose body is `each`, until its run has failed: the error of that. */
async function errorOfMap(
  each: (item: unknown, run: string) => ReturnType<FunctionHandler>,
): Promise<unknown> {
  const handler = defineFunction("each", ({ input, runId }) => each(input, runId));
  worker = createWorker({
    ...{ redis: { url: own.url }, deployment: "test", partitions: 1, id: "w", leaseMs: 300 },
    ...{ registry: new FunctionRegistry([handler]), logger: pino({ level: "silent" }) },
  });
  const body = { id: "e", type: "function", config: { function_name: "each", input: "${item}" } };
  const config = { items: "[0, 1]", do: { nodes: [body], edges: [] } };
  const { ir } = compile({
    document: { name: "m", nodes: [{ id: "all", type: "map", config }], edges: [] },
  });
  const run = await startedRun(p, ir as never);
  await worker.start();
  const record = await waitFor(
    async () => {
      const { s, n0 } = await run.hash();
      return s === "failed" ? n0 : null;
    },
    { timeoutMs: 15_000 },
  );
  return (JSON.parse(record.slice(record.indexOf("{"))) as { error: unknown }).error;
}

describe("a map whose elements have ended", () => {
  it("fails like every other node if a result is a large output that is gone", async () => {
    const error = await errorOfMap(async (item, run) => {
      if (item === 0) {
        return "x".repeat(20_000);
      }
      await waitFor(async () => (await redis.exists(keys.blobs(run))) === 1);
      await redis.del(keys.blobs(run));
      return 1;
    });
    expect(error).toMatchObject({ code: "BLOB_MISSING", node: "all" });
  });

  it("whose results cannot be collected goes round no more often than any other token", async () => {
    const error = await errorOfMap(async (item, run) => {
      const map = keys.run(`${run}!0`);
      await waitFor(async () => item === 0 || (await redis.hdel(map, "r0")) === 1);
      return item as number;
    });
    expect(error).toMatchObject({ code: "POISON", node: "all" });
  });
});

describe("a sub-workflow whose run has ended", () => {
  it("fails if the output is a large one that is gone", async () => {
    const node = { id: "a", type: "subworkflow", config: { workflow: "other" } } as const;
    const run: TokenPlayer = await startedRun(p, miniIr(["a"], [], { nodes: { a: node } }));
    const taken = await run.take("a");
    const res = blobText(blobRefOf("x".repeat(20_000)));
    await redis.hset(keys.run("child"), { s: "completed", res });
    const answer = JSON.stringify({ kind: "child", run: "child", status: "completed" });
    const { profile } = run;
    const [ir, token] = [profile.ir, { ...taken, answer }];
    const prepared = { profile, token, node: ir.nodes[0] as never, data: new RunData(ir) };
    const workflows = new Workflows(redis);
    const options = { scripts: p.scripts, workflows, executor: testExecutor() };
    const item = await childItem(options, prepared, {}, null);
    expect(item?.results[0]?.op).toBe("X");
    expect(item?.results[0]?.value).toContain("BLOB_MISSING");
  });
});
