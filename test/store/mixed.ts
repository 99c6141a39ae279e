/**
 * A load of everything at once on a whole engine in one process: random workflows with loops, maps
 * and failures, children, large outputs, compensation, signals, approvals, retries, limits, runs that
 * are cancelled, runs that fail and are redriven. What becomes of the store is for the tests to say.
 */
import { setTimeout as pause } from "node:timers/promises";
import { uuidv7 } from "uuidv7";
import type { Json } from "../../compiler/index.ts";
import { createClient, defineFunction, type Client } from "../../sdk/index.ts";
import { globalKeys } from "../../sdk/internal.ts";
import type { Database } from "../../sdk/postgres/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { CHILD, SCENARIOS } from "../chaos/scenarios.ts";
import { inputOf, makeWorkloads } from "../chaos/workloads.ts";
import type { Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";
import { waitFor } from "../support/index.ts";

type Document = { [key: string]: Json };

const named = (name: string): Document => ({ metadata: { name } });
const fn = (id: string, name: string, more: Document = {}): Document => ({
  ...{ id, type: "function", config: { function_name: name } },
  ...more,
});
const FAST = { max_attempts: 3, backoff_ms: 1, max_backoff_ms: 2 };

/** What the scenarios of the chaos tests do not have. */
const MORE: readonly Document[] = [
  {
    ...named("mixed-approved"),
    nodes: [
      { id: "ask", type: "human", config: { title: "Ship?", required: 2 } },
      fn("then", "builtin.echo"),
    ],
    edges: [{ from: "ask", to: "then" }],
  },
  {
    ...named("mixed-cancelled"),
    nodes: [
      fn("a", "builtin.echo", { compensate: { function_name: "builtin.echo" } }),
      { id: "w", type: "wait", timeout_ms: 3_600_000, config: { signal: "never" } },
      { id: "d", type: "delay", config: { delay_ms: 3_600_000 } },
    ],
    edges: [
      { from: "a", to: "w" },
      { from: "a", to: "d" },
    ],
    settings: { timeout_ms: 7_200_000 },
  },
  {
    ...named("mixed-broken"),
    nodes: [fn("a", "flaky", { retry: FAST }), fn("b", "broken", { retry: FAST })],
    edges: [{ from: "a", to: "b" }],
  },
  {
    ...named("mixed-limited"),
    nodes: [
      fn("a", "builtin.echo", { rate_limit: { key: "mixed", per_second: 1000 } }),
      {
        ...{ id: "s", type: "subworkflow" },
        config: { workflow: "chaos-child", wait: false, input: { n: "${input.n}" } },
      },
    ],
    edges: [{ from: "a", to: "s" }],
    settings: { concurrency: { key: "${input.name}", limit: 1, on_conflict: "queue" } },
  },
  {
    // Nobody signals before it sleeps: how soon the others are found is a matter of the machine.
    ...named("mixed-asleep"),
    nodes: [{ id: "w", type: "wait", config: { signal: "wake" } }, fn("b", "builtin.echo")],
    edges: [{ from: "w", to: "b" }],
  },
];

const FINAL = "('COMPLETED', 'FAILED', 'CANCELLED')";
const WAITING = {
  name: "mixed_waiting",
  // One that is cancelled before it has begun leaves nothing in the journal.
  text: `SELECT id, workflow FROM runs WHERE status NOT IN ${FINAL} AND status <> 'QUEUED'
    AND (workflow <> 'mixed-asleep' OR asleep_since_ms IS NOT NULL)
    AND workflow = ANY($1::text[]) ORDER BY created_at_ms, id LIMIT 100`,
};
const OPEN = {
  name: "mixed_open",
  text: `SELECT count(*)::int AS open FROM runs WHERE status NOT IN ${FINAL}`,
};
const COUNT = {
  name: "mixed_count",
  text: "SELECT count(*)::int AS count FROM runs WHERE strpos(id, '~') = 0",
};
const BROKEN = {
  name: "mixed_to_redrive",
  text: `SELECT id FROM runs WHERE workflow = 'mixed-broken' AND status = 'FAILED' AND attempt = 1
    ORDER BY id LIMIT $1`,
};
const IN_FLIGHT = 300;
const BATCH = 100;
const REDRIVES = 5;
const ROUND_MS = 20;
const SIGNALS = new Map([
  ["mixed-asleep", "wake"],
  ...SCENARIOS.flatMap(({ document, signal }): [string, string][] =>
    signal === undefined ? [] : [[document.metadata.name, signal]],
  ),
]);

/** What the load calls besides the built-in functions. */
export function mixedFunctions(): FunctionRegistry {
  const flaky = defineFunction("flaky", ({ attempt }) => {
    if (attempt === 1) {
      throw new Error("not yet");
    }
    return attempt;
  });
  const broken = defineFunction("broken", () => {
    throw Object.assign(new Error("it is broken"), { code: "BROKEN" });
  });
  return new FunctionRegistry([flaky, broken]);
}

export interface MixedOptions {
  engine: Engine;
  /** Runs that are submitted; their children and compensations come besides. */
  runs: number;
  seed: number;
}

/** Runs it until nothing is open any more; returns the ids of what was submitted. */
export async function runMixed({ engine, runs, seed }: MixedOptions): Promise<string[]> {
  const { db } = engine;
  await publish(db, CHILD);
  const random = makeWorkloads(seed, 11, { maps: true }).map(({ document }) => document);
  const documents = [...random, ...MORE];
  const client = await createClient({ redisUrl: engine.redisUrl, database: db });
  const stop = new AbortController();
  const world = attend(client, db, stop.signal);
  const ids: string[] = [];
  try {
    while (ids.length < runs) {
      for (let i = 0; i < BATCH && ids.length < runs; i++) {
        const n = ids.length;
        const workflow = documents[n % documents.length];
        const submission = { workflow, run_id: uuidv7(), input: inputOf(n) };
        ids.push(submission.run_id);
        const text = JSON.stringify(submission);
        await engine.redis.xadd(globalKeys.submissions, "*", "submission", text);
      }
      await waitFor(async () => (await open(db, ids.length)) < IN_FLIGHT, { timeoutMs: 60_000 });
    }
    await waitFor(async () => (await open(db, runs)) === 0, { timeoutMs: 120_000 });
    for (const { id } of await db.query<{ id: string }>(BROKEN, [REDRIVES])) {
      await client.operations.redrive(id, { by: "ann", why: "once more" });
    }
    await waitFor(async () => (await open(db, runs)) === 0, { timeoutMs: 60_000 });
  } finally {
    stop.abort();
    await world;
    await client.close();
  }
  return ids;
}

/** Runs that have not ended, of so many; those without a row included. */
async function open(db: Database, submitted: number): Promise<number> {
  const [known] = await db.query<{ count: number }>(COUNT);
  const [rows] = await db.query<{ open: number }>(OPEN);
  return submitted - (known?.count ?? 0) + (rows?.open ?? 0);
}

/** The world outside: signals, decides, cancels. What comes too early is done in a later round. */
async function attend(client: Client, db: Database, signal: AbortSignal): Promise<void> {
  const names = [...SIGNALS.keys(), "mixed-cancelled"];
  while (!signal.aborted) {
    const waiting = await db.query<{ id: string; workflow: string }>(WAITING, [names]);
    const asked = await client.approvals({ state: "open", limit: BATCH });
    await Promise.allSettled([
      ...waiting.map(({ id, workflow }) => {
        const name = SIGNALS.get(workflow);
        return name === undefined
          ? client.cancel(id)
          : client.signal(id, name, { word: name }, { id: `${id}-go` });
      }),
      ...asked.flatMap(({ id }) =>
        ["ann", "bob"].map((actor) => client.decide(id, { approved: true, actor })),
      ),
    ]);
    await pause(ROUND_MS, undefined, { signal }).catch(() => undefined);
  }
}
