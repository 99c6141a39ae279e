/**
 * The live feed with a thousand clients: from a change in Redis to the client that hears of it.
 *
 * Two cases: each client watches a run of its own, and all of them watch one. The runs wait for a
 * signal, so that the clients are there before anything happens. A message says when its change
 * was, by Redis' clock, which is this machine's: the resolution is 1 ms. The clients are one
 * process, which needs time itself to read a thousand sockets: an upper bound.
 */
import { createClient } from "../sdk/index.ts";
import { pause } from "../cmd/embedded/sockets.ts";
import type { Engine } from "./engine.ts";
import type { BenchOptions } from "./options.ts";
import { startRole, type RoleProcess } from "./roles.ts";
import { figure, type FigureRow } from "./rows.ts";
import { percentiles } from "./usage.ts";
import { signalled } from "./workloads.ts";

const CLIENTS = 1000;
const STEPS = 5;
/** Between two signals: a hundred runs a second go on. */
const GAP_MS = 10;
const ROUNDS_OF_ONE = 10;

/** What watchers are asked. */
export type WatchQuestion = { watch: string[] } | { heard: true };

export async function measureFeed(engine: Engine, options: BenchOptions): Promise<FigureRow[]> {
  const { redisUrl, databaseUrl, singleSession } = engine.services;
  const clients = options.quick ? CLIENTS / 10 : CLIENTS;
  const common = { redisUrl, databaseUrl, singleSession, concurrency: 1, partitions: 1 };
  const gateway = await startRole("gateway", { ...common, id: "bench" }, null);
  const watchers = await startRole("watchers", { url: gateway.url }, null);
  try {
    const own = await eachItsOwn(engine, watchers, clients);
    const one = await allOfOne(engine, watchers, clients, options.quick ? 3 : ROUNDS_OF_ONE);
    const name = `${clients.toLocaleString("en")} clients`;
    const of = (what: string, times: number[]): FigureRow[] => {
      const { p50, p95, p99 } = percentiles(times);
      return [
        figure(`${what}, p50`, p50, "ms"),
        figure(`${what}, p95`, p95, "ms"),
        figure(`${what}, p99`, p99, "ms"),
      ];
    };
    return [
      ...of(`change to client, ${name}`, own),
      ...of(`change to client, ${name} on one run`, one),
    ];
  } finally {
    await watchers.stop();
    await gateway.stop();
  }
}

async function eachItsOwn(engine: Engine, watchers: RoleProcess, clients: number) {
  const runs = await waitingRuns(engine, clients);
  await watchers.ask({ watch: runs });
  await signal(engine, runs);
  return watchers.ask<number[]>({ heard: true });
}

async function allOfOne(engine: Engine, watchers: RoleProcess, clients: number, rounds: number) {
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const [run = ""] = await waitingRuns(engine, 1);
    await watchers.ask({ watch: Array.from({ length: clients }, () => run) });
    await signal(engine, [run]);
    times.push(...(await watchers.ask<number[]>({ heard: true })));
  }
  return times;
}

/** Runs that stand at their first node. */
async function waitingRuns(engine: Engine, count: number): Promise<string[]> {
  const work = { document: signalled(STEPS), steps: STEPS };
  const runs = [await engine.submit(work)];
  await engine.submitMany(work, count - 1, (id) => runs.push(id));
  return runs;
}

async function signal(engine: Engine, runs: readonly string[]): Promise<void> {
  const { redisUrl, db } = engine.services;
  const client = await createClient({ redisUrl, database: db });
  for (const run of runs) {
    await client.signal(run, "go", null);
    await pause(GAP_MS);
  }
  await engine.idle();
  await client.close();
}
