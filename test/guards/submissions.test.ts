/**
 * What a submission costs, counted: bytes into Redis and characters out of Postgres. A workflow that
 * is there already is named, not sent: what it costs to start it once more does not grow with it.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile } from "../../compiler/index.ts";
import { globalKeys } from "../../sdk/internal.ts";
import { admitBatch } from "../../supervisor/admit-batch.ts";
import { startContext, type Supervised } from "../../supervisor/stack.fixture.ts";
import { Starter } from "../../supervisor/starter.ts";
import { Workflows } from "../../supervisor/workflows.ts";
import { testPartition } from "../harness/partition.ts";

/** Per submission, one in its batch: its own start, and the question whether its workflow is there. */
const BYTES_MAX = 1500;
const TIMES = 5;

let on: Supervised;
let workflows: Workflows;
let starter: Starter;
let charsRead = 0;
let serial = 0;

beforeAll(async () => {
  on = await startContext({ deployment: { id: "test", partitions: 1, layout: 1 } });
  await testPartition(on.stack.redis);
  const { db } = on.stack;
  const query: typeof db.query = async (statement, values) => {
    const rows = await db.query(statement, values);
    charsRead += JSON.stringify(rows).length;
    return rows as never;
  };
  const counted = new Proxy(db, {
    get: (target, name) => {
      const value: unknown = name === "query" ? query : Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  const context = { ...on.context, db: counted };
  workflows = new Workflows(context, compile);
  starter = new Starter(context);
  on.context = context;
});
afterAll(() => on.close());

/** Submits one run by itself; returns its id. */
async function submit(submission: object): Promise<string> {
  const fields = ["submission", JSON.stringify({ input: {}, ...submission })];
  const [answer] = await admitBatch(on.context, workflows, starter, [[`${++serial}-0`, fields]]);
  expect(answer?.reply.errors).toBeUndefined();
  return answer?.reply.run_id as string;
}

async function bytesIntoRedis(): Promise<number> {
  const stats = await on.stack.redis.info("stats");
  return Number(/total_net_input_bytes:(\d+)/.exec(stats)?.[1]);
}

/** Bytes into Redis and characters out of Postgres for each of some submissions. */
async function measure(submission: object): Promise<{ bytes: number; chars: number }> {
  const [bytes, chars] = [await bytesIntoRedis(), charsRead];
  for (let i = 0; i < TIMES; i++) {
    await submit(submission);
  }
  const more = (await bytesIntoRedis()) - bytes;
  return { bytes: more / TIMES, chars: (charsRead - chars) / TIMES };
}

/** Stores a line of so many nodes; returns the names that it has then. */
async function store(count: number): Promise<{ hash: string; name: string }> {
  const name = `line-${count}`;
  const nodes = Array.from({ length: count }, (_, i) => ({ id: `n${i}`, type: "noop" }));
  const edges = nodes.slice(1).map(({ id }, i) => ({ from: `n${i}`, to: id }));
  const document = { metadata: { name, version: "1" }, nodes, edges };
  await submit({ workflow: document });
  return { hash: compile({ document }).hash as string, name };
}

describe("a submission of a workflow that is stored", () => {
  it.each(["hash", "workflow_ref"] as const)("by %s costs the same for any size", async (by) => {
    for (const count of [10, 500]) {
      const { hash, name } = await store(count);
      const { bytes, chars } = await measure({ [by]: by === "hash" ? hash : `${name}@1` });
      expect(bytes, `bytes into Redis for ${count} nodes`).toBeLessThan(BYTES_MAX);
      expect(chars, `characters out of Postgres for ${count} nodes`).toBeLessThan(BYTES_MAX);
    }
  });

  it("has it there when the run begins, whatever has become of it", async () => {
    const { redis } = on.stack;
    const { hash } = await store(20);
    const key = globalKeys.ir(hash);
    const text = await redis.get(key);
    const lose: [string, () => Promise<unknown>][] = [
      ["emptied", () => redis.del(key, globalKeys.irUse)],
      ["cut off", () => redis.set(key, (text as string).slice(0, 100))],
      ["of another kind", () => redis.multi().del(key).hset(key, "a", "b").exec()],
      ["about to go", () => redis.multi().expire(key, 10).zrem(globalKeys.irUse, hash).exec()],
    ];
    for (const [what, how] of lose) {
      await how();
      await submit({ hash });
      expect(await redis.get(key), what).toBe(text);
      expect(await redis.ttl(key), what).toBe(-1);
      expect(await redis.zscore(globalKeys.irUse, hash), what).not.toBeNull();
    }
  });
});
