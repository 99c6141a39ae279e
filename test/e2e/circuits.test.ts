/**
 * Circuits that open and close all the time while the processes that probe them are killed: nothing
 * hangs, no attempt is charged for waiting, and what a probe had is given up.
 */
import type { ChildProcess } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, type Ir } from "../../compiler/index.ts";
import { interpret } from "../../compiler/reference/index.ts";
import { connectionAt, globalKeys, partitionKeys, type Redis } from "../../sdk/internal.ts";
import { readJournal, type Database } from "../../sdk/postgres/index.ts";
import { oracleHandlers } from "../generate/builtins.ts";
import { seeded } from "../harness/random.ts";
import { allKeys, emptyRedis, waitFor } from "../support/index.ts";
import { testProcesses, type Processes } from "./processes.ts";

const RUNS = 120;
const CONCURRENT = { concurrency: 20 };
const SEED = 20_261_121;
/** Matches the keys of all circuits. */
const CIRCUITS = globalKeys.circuit("*");

const circuit_breaker = { key: "t${input.target}", failures: 3, within_ms: 2000, open_ms: 150 };
const retry = { max_attempts: 5, backoff_ms: 20 };
const flaky = { function_name: "builtin.fail", params: { attempts: "${input.bad}", value: 1 } };
const slow = { function_name: "builtin.sleep", params: { ms: 30 } };
const workflow = {
  name: "probed",
  nodes: [
    { id: "call", type: "function", config: flaky, retry, circuit_breaker },
    { id: "slow", type: "function", config: slow, circuit_breaker },
    {
      id: "each",
      type: "map",
      config: {
        items: "[1, 2]",
        do: { id: "item", type: "function", config: flaky, retry, circuit_breaker },
      },
    },
  ],
  edges: [
    { from: "call", to: "slow" },
    { from: "call", to: "each" },
  ],
  output: { k: "${input.k}", call: "${ctx.call.output}", each: "${ctx.each.output}" },
};

let on: Processes;
let redis: Redis;
let db: Database;

const statement = {
  name: "circuits_rows",
  text: `SELECT id, status, input, output FROM runs
    WHERE status IN ('COMPLETED', 'FAILED', 'CANCELLED')`,
};
type Row = { id: string; status: string; input: string; output: string };
type Input = { k: number; bad: number; target: number };

const ended = (): Promise<Row[]> => db.query<Row>(statement);

async function untilEnded(count: number): Promise<void> {
  await waitFor(async () => (await ended()).length >= count, {
    ...{ timeoutMs: 120_000, describe: `${count} runs have not ended` },
  });
}

/** Waits until somebody probes; false: all has ended before. */
async function probed(): Promise<boolean> {
  const probes = async (): Promise<boolean> => {
    const keys = await allKeys(redis, CIRCUITS);
    const found = await Promise.all(keys.map((key) => redis.hget(key, "probe")));
    return found.some((probe) => probe !== null);
  };
  return waitFor(
    async () => {
      const answer = (await ended()).length === RUNS ? "over" : await probes();
      return answer === false ? undefined : { isProbed: answer === true };
    },
    { timeoutMs: 120_000, describe: "no circuit is probed, and not all has ended" },
  ).then(({ isProbed }) => isProbed);
}

beforeAll(async () => {
  on = await testProcesses();
  ({ redis, db } = on);
});
afterAll(() => on.close());

describe("workers that are killed while they probe, and a Redis that is emptied", () => {
  it(
    "every run ends as the oracle says, with the attempts that its failures cost and no more",
    async () => {
      const random = seeded(SEED);
      await on.start("supervisor");
      const workers = await Promise.all([
        on.start("worker", CONCURRENT),
        on.start("worker", CONCURRENT),
      ]);
      const pipeline = connectionAt(redis, globalKeys.submissions).pipeline();
      for (let k = 0; k < RUNS; k++) {
        const input: Input = {
          ...{ k, bad: Math.floor(random() * 4), target: Math.floor(random() * 2) },
        };
        const submission = JSON.stringify({ workflow, input });
        pipeline.xadd(globalKeys.submissions, "*", "submission", submission);
      }
      await pipeline.exec();
      await waitFor(async () => (await redis.xlen(globalKeys.submissions)) === 0, {
        ...{ timeoutMs: 60_000, describe: "not all is accepted" },
      });
      let kills = 0;
      while (kills < 4 && (await probed())) {
        await on.kill(workers[kills % 2] as ChildProcess);
        workers[kills % 2] = await on.start("worker", CONCURRENT);
        kills += 1;
        if (kills === 2) {
          await emptyRedis(redis);
        }
      }
      expect(kills).toBeGreaterThan(0);
      await untilEnded(RUNS);
      const rows = await ended();
      const { ir } = compile({ document: workflow });
      let waits = 0;
      for (const row of rows) {
        const input = JSON.parse(row.input) as Input;
        const expected = interpret(ir as Ir, input, { handlers: oracleHandlers(), runId: row.id });
        expect([row.status, JSON.parse(row.output)]).toEqual([expected.status, expected.output]);
        const events = (await readJournal(db, row.id)).map(({ transition }) => transition);
        const done = events.filter(({ e, n, m }) => e === "node.completed" && n === 0 && !m);
        expect(done.map(({ a }) => a)).toEqual([input.bad + 1]);
        waits += events.filter(({ circuit }) => circuit !== undefined).length;
      }
      expect(waits).toBeGreaterThan(0);
      // Nothing is left of them: no counter that is not zero, no timer, no circuit.
      const left = async (): Promise<string[]> => [
        ...(await allKeys(redis, `${partitionKeys(0).run("")}*`)),
        ...(await allKeys(redis, CIRCUITS)),
        ...(await redis.zrange(partitionKeys(0).timers, 0, -1)),
      ];
      await waitFor(async () => (await left()).length === 0, {
        ...{ timeoutMs: 60_000, describe: "something is left" },
      });
    },
    5 * 60_000,
  );
});
