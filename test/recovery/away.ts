/**
 * `npm run away -- [--ms 60000] [--seed N] [--out FILE]`: Postgres is killed under load and stays away
 * for so long, while submissions go on at the same pace. Prints what was seen, and ends with 1 if a
 * run was lost, doubled or wrong, if a process ended, if the journal outgrew its bound, or if it never
 * met its limit, which would show nothing.
 *
 * Loops keep the journal growing in the absence (nothing new begins without Postgres), against limits
 * that are far below the defaults, so that the bound is met and not merely never reached. Nothing is
 * submitted twice: what the queue had taken must have its run.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { uuidv7 } from "uuidv7";
import { publish } from "../harness/publish.ts";
import { seeded } from "../harness/random.ts";
import { CHILD } from "../chaos/scenarios.ts";
import { Outsiders } from "../chaos/outsiders.ts";
import { openRuns } from "../chaos/progress.ts";
import { ChaosStack } from "../chaos/stack.ts";
import { judge, type Submitted } from "../chaos/verdict.ts";
import { Watch } from "../chaos/watch.ts";
import { compiled, inputOf, makeWorkloads, type Workload } from "../chaos/workloads.ts";
import { globalKeys } from "../../sdk/internal.ts";
import { waitFor } from "../support/wait-for.ts";
import { Gauge } from "./gauge.ts";
import { keys } from "./scene.ts";

const { values } = parseArgs({
  options: {
    ms: { type: "string", default: "60000" },
    seed: { type: "string", default: "1" },
    perSecond: { type: "string", default: "15" },
    loops: { type: "string", default: "60" },
    softBytes: { type: "string", default: "2000000" },
    hardBytes: { type: "string", default: "8000000" },
    out: { type: "string" },
  },
});
const seed = Number(values.seed);
const awayMs = Number(values.ms);
const perSecond = Number(values.perSecond);
const limits = { softBytes: Number(values.softBytes), hardBytes: Number(values.hardBytes) };
/** Both sides look once a second, and what has begun is still written. */
const BOUND = 1.5 * limits.hardBytes;
const ROUNDS = 2000;
const WORKFLOWS = 30;
const WORKERS = 2;
const SUPERVISORS = 2;
/** Under load for about so long before Postgres goes; as long again after it is back. */
const LEAD_MS = 5000;
const LIMIT = { timeoutMs: 300_000 };

function rounds(): Workload {
  const counter = { id: "c", type: "function", config: { function_name: "builtin.counter" } };
  const condition = `output.count < ${ROUNDS}`;
  const config = { loop_back_to: "c", condition, max_iterations: 2 * ROUNDS };
  const document = {
    metadata: { name: "rounds" },
    nodes: [counter, { id: "again", type: "loop", config }],
    edges: [{ from: "c", to: "again" }],
    output: { count: "${ctx.c.output.count}" },
  };
  const output = (): { count: number } => ({ count: ROUNDS });
  return { ...compiled(document), scenario: { document, status: "COMPLETED", output } };
}

/** Submits at one pace until it is told to end, whatever is away. */
class Load {
  readonly runs: Submitted[] = [];
  readonly #stack: ChaosStack;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(stack: ChaosStack) {
    this.#stack = stack;
  }

  async submit(workload: Workload): Promise<void> {
    const [n, runId] = [this.runs.length, uuidv7()];
    const { document: workflow, scenario } = workload;
    const said = { workflow, run_id: runId, idempotency_key: runId, input: inputOf(n) };
    const about = { ...said, ...scenario?.submission };
    await this.#stack.redis.xadd(globalKeys.submissions, "*", "submission", JSON.stringify(about));
    this.runs.push({ runId, n, workload });
  }

  start(workloads: readonly Workload[]): void {
    this.#running = this.#run(workloads);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(workloads: readonly Workload[]): Promise<void> {
    const started = performance.now();
    for (let n = 0; !this.#stop.signal.aborted; n++) {
      await this.submit(workloads[n % workloads.length] as Workload);
      const early = ((n + 1) * 1000) / perSecond - (performance.now() - started);
      await pause(Math.max(0, early), undefined, { signal: this.#stop.signal }).catch(() => null);
    }
  }
}

const secondsSince = (ms: number): number => Math.round((performance.now() - ms) / 100) / 10;
const log = (text: string): void => {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
};

/** Takes Postgres away under load and brings it back; what was seen until all is caught up. */
async function goAway(stack: ChaosStack, load: Load, watch: Watch, gauge: Gauge): Promise<object> {
  const before = load.runs.length;
  const endedBefore = watch.ended;
  await stack.killPostgres();
  gauge.isAway = true;
  const killed = performance.now();
  log(`${before} submitted, ${endedBefore} ended: Postgres is killed`);
  await pause(awayMs);
  const during = load.runs.length - before;
  const atReturn = gauge.seen;
  await stack.startPostgres();
  const secondsAway = secondsSince(killed);
  gauge.isAway = false;
  const back = performance.now();
  log(`Postgres is back: ${JSON.stringify(atReturn)}`);
  const target = gauge.seen.seq;
  await waitFor(() => gauge.seen.archived >= target, { ...LIMIT, describe: "not archived" });
  const archivedAfter = secondsSince(back);
  await waitFor(() => gauge.seen.queued === 0, { ...LIMIT, describe: "still queued" });
  const queueEmptyAfter = secondsSince(back);
  log(`caught up after ${archivedAfter} s, the queue is empty after ${queueEmptyAfter} s`);
  await pause(LEAD_MS);
  await load.stop();
  const after = load.runs.length - before - during;
  await waitFor(
    async () => {
      const open = await openRuns(stack.db);
      return open.length === 0 && watch.ended === load.runs.length;
    },
    // What never ends is named by the verdict.
    LIMIT,
  ).catch((error: unknown) => log(String(error)));
  return {
    ...{ secondsAway, endedBefore, submissions: { before, during, after }, atReturn },
    seconds: { archivedAfter, queueEmptyAfter, allEndedAfter: secondsSince(back) },
  };
}

const stack = await ChaosStack.start();
const watch = new Watch(stack);
const gauge = new Gauge(stack);
try {
  const calls = join(stack.dir, "calls");
  mkdirSync(calls);
  stack.more = { calls, backlogBytesMax: limits.softBytes };
  for (let i = 0; i < SUPERVISORS; i++) await stack.spawn("supervisor");
  stack.more = { calls, backlogBytesMax: limits.hardBytes };
  for (let i = 0; i < WORKERS; i++) await stack.spawn("worker");
  await publish(stack.db, CHILD);
  const outsiders = await Outsiders.start(stack);
  watch.start();
  gauge.start();
  const load = new Load(stack);
  const loop = rounds();
  for (let i = 0; i < Number(values.loops); i++) await load.submit(loop);
  load.start(makeWorkloads(seed, WORKFLOWS, { maps: true }));
  // Not before there is something to lose; the moment is the seed's.
  await waitFor(() => watch.ended > 0, { ...LIMIT, describe: "no run ends" });
  await pause(LEAD_MS * (0.5 + seeded(seed)()));
  const seen = await goAway(stack, load, watch, gauge);
  await outsiders.stop();
  await waitFor(async () => (await stack.redis.zcard(keys.release)) === 0).catch(() => null);
  const verdict = await judge(stack.db, stack.redis, load.runs, calls);
  const { lost, wrong, doubled, notUndone, miscounted, leftovers } = verdict;
  const bad = { lost, wrong, doubled, notUndone, miscounted, leftovers, fallen: stack.fallen };
  const counts = Object.entries(bad).map(([name, list]) => [name, list.length] as const);
  const { submitted, ended, executions, repeated } = verdict;
  const isLimitMet = gauge.peak.bytes > limits.hardBytes;
  const report = {
    ...{ seed, awayMs, ...seen, submitted, ended, ...Object.fromEntries(counts) },
    ...{ executions, repeated, limits, isLimitMet, bound: BOUND, peak: gauge.peak },
    ...{ longestStandstillMs: gauge.standstillMs, backlogAtTheEnd: gauge.backlog },
    ...{ perSecond, loops: Number(values.loops), roundsOfEach: ROUNDS, workers: WORKERS },
    ...{ supervisors: SUPERVISORS, cores: cpus().length },
    examples: Object.values(bad).flatMap((list: readonly unknown[]) => list.slice(0, 5)),
  };
  const text = `${JSON.stringify(report, null, 2)}\n`;
  process.stdout.write(text);
  if (values.out !== undefined) {
    writeFileSync(values.out, text);
  }
  const isBounded = isLimitMet && gauge.peak.bytes <= BOUND;
  process.exitCode = isBounded && counts.every(([, count]) => count === 0) ? 0 : 1;
} finally {
  watch.stop();
  await gauge.stop();
  await stack.stop();
}
