/**
 * Submission: how fast runs are accepted through the queue, through the client and through REST,
 * their steps executed meanwhile, and how long one submission takes behind a backlog.
 */
import { Agent, request } from "node:http";
import { createClient } from "../sdk/index.ts";
import { CONCURRENCY, type Engine } from "./engine.ts";
import type { BenchOptions } from "./options.ts";
import { startRole } from "./roles.ts";
import { figure, type FailureRow, type FigureRow } from "./rows.ts";
import { percentiles, round } from "./usage.ts";
import { chain, holder, STEP_OUTPUT, workOf, type Work } from "./workloads.ts";

/** Submissions of the client or of REST under way at one time. */
const CALLERS = 64;
/** Longer than all that is submitted meanwhile takes. */
const HOLD_MS = 2000;

/** Through the queue, and one at a time while the worker is busy. */
export async function measureSubmission(
  engine: Engine,
  options: BenchOptions,
): Promise<FigureRow[]> {
  const work = workOf(chain(1));
  await engine.submit(work);
  await engine.submitMany(work, 200);
  await engine.idle();
  const runs = options.quick ? 3000 : 20_000;
  const seconds = await engine.submitMany(work, runs);
  await engine.idle();
  // All slots are taken, and as many wait: the worker is busy, the machine is not.
  const taken = await oneByOne(engine, work, holder(HOLD_MS), 2 * CONCURRENCY, options);
  // The chains are all accepted, and the worker is at them, with all that the machine has.
  const chains = options.quick ? 500 : 5000;
  const saturated = await oneByOne(engine, work, workOf(chain(10)), chains, options);
  return [
    figure("submission through the queue", round(runs / seconds, 0), "runs/s"),
    figure("submit to accepted while all slots are taken, p95", taken, "ms"),
    figure("submit to accepted while chains take all of the machine, p95", saturated, "ms"),
  ];
}

/** Submits one after the other while the worker is at `others`; p95 of the times to acceptance. */
async function oneByOne(
  engine: Engine,
  work: Work,
  others: Work,
  runs: number,
  { quick }: BenchOptions,
): Promise<number> {
  await engine.submit(others);
  await engine.submitMany(others, runs);
  const times: number[] = [];
  for (let i = 0; i < (quick ? 20 : 100); i++) {
    const start = performance.now();
    await engine.submit(work);
    times.push(performance.now() - start);
  }
  await engine.idle();
  return percentiles(times).p95;
}

/** Through the SDK's client, 64 calls under way. */
export async function measureClient(engine: Engine, options: BenchOptions): Promise<FigureRow[]> {
  const { redisUrl, db } = engine.services;
  const { document } = workOf(chain(1));
  await engine.submit({ document });
  const hash = engine.hashOf(document);
  const client = await createClient({ redisUrl, database: db });
  try {
    const submit = (): Promise<unknown> => client.submit({ hash, input: STEP_OUTPUT });
    const calls = await warmCallers(engine, submit, options);
    return callFigures("the client", calls);
  } finally {
    await client.close();
  }
}

/** Through REST, 64 requests under way; tells when the gateway has none. */
export async function measureRest(
  engine: Engine,
  options: BenchOptions,
): Promise<(FigureRow | FailureRow)[]> {
  const { redisUrl, databaseUrl, singleSession } = engine.services;
  const common = { redisUrl, databaseUrl, singleSession, concurrency: 1, partitions: 1 };
  const { document } = workOf(chain(1));
  await engine.submit({ document });
  const body = JSON.stringify({ hash: engine.hashOf(document), input: STEP_OUTPUT });
  const gateway = await startRole("gateway", { ...common, id: "bench" }, null);
  try {
    const submit = poster(`${gateway.url}/api/v1/runs`, body);
    const status = await submit();
    if (status >= 300) {
      const error = `POST /api/v1/runs answers ${status}: this gateway takes no submissions`;
      return [{ kind: "failure", name: "submission through REST", error }];
    }
    const calls = await warmCallers(engine, submit, options);
    return callFigures("REST", calls);
  } finally {
    await gateway.stop();
  }
}

/** What posts `body` and resolves to the status. Not by `fetch`, which costs more than the gateway does. */
function poster(url: string, body: string): () => Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CALLERS });
  const headers = { "content-type": "application/json", "content-length": body.length };
  return () =>
    new Promise((resolve, reject) => {
      const sent = request(url, { method: "POST", agent, headers }, (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0)).on("error", reject);
      });
      sent.on("error", reject);
      sent.end(body);
    });
}

function callFigures(way: string, { seconds, times }: Calls): FigureRow[] {
  const { p50, p95 } = percentiles(times);
  return [
    figure(`submission through ${way}`, round(times.length / seconds, 0), "runs/s"),
    figure(`one submission through ${way}, ${CALLERS} under way, p50`, p50, "ms"),
    figure(`one submission through ${way}, ${CALLERS} under way, p95`, p95, "ms"),
  ];
}

/** The times of calls by processes that have made as many before. */
async function warmCallers(
  engine: Engine,
  call: () => Promise<unknown>,
  { quick }: BenchOptions,
): Promise<Calls> {
  const count = quick ? 1000 : 10_000;
  await callers(call, count);
  await engine.idle();
  const calls = await callers(call, count);
  await engine.idle();
  return calls;
}

interface Calls {
  /** For all of them. */
  seconds: number;
  /** Each, ms. */
  times: number[];
}

/** Calls `count` times, CALLERS at a time. */
async function callers(call: () => Promise<unknown>, count: number): Promise<Calls> {
  const times: number[] = [];
  let left = count;
  const start = performance.now();
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      const begin = performance.now();
      await call();
      times.push(performance.now() - begin);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, one));
  return { seconds: (performance.now() - start) / 1000, times };
}
