/**
 * One chaos run: submit, break things at random moments while it works, wait until every run has
 * ended, judge.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { partitionKeys } from "../../sdk/internal.ts";
import { publish } from "../harness/publish.ts";
import { seeded } from "../harness/random.ts";
import { freePort } from "../support/index.ts";
import { FAULTS, JUMP_S, type Fault } from "./faults.ts";
import { Killers, type Killed } from "./killers.ts";
import { LastRuns } from "./last-runs.ts";
import { Listeners } from "./listeners.ts";
import { Lullaby } from "./lullaby.ts";
import { Outsiders } from "./outsiders.ts";
import { endedCount, openRuns } from "./progress.ts";
import { ChaosStack } from "./stack.ts";
import { CHILD } from "./scenarios.ts";
import { Submission } from "./submission.ts";
import { judge, type Verdict } from "./verdict.ts";
import { Watch } from "./watch.ts";
import { makeWorkloads } from "./workloads.ts";

export interface ChaosOptions {
  seed: number;
  /** At least so many: there are more as long as workers are killed. */
  runs: number;
  /** Different workflows among them. */
  workflows: number;
  /** Faults, one after the other; each of FAULTS comes once before any comes twice. */
  faults: number;
  /** In the place of faults: workers are killed so often, all of them again and again. */
  kills?: number;
  /** Ends the kills before there are as many. */
  enough?: AbortSignal;
  workers: number;
  supervisors: number;
  maps: boolean;
  /** Runs fall asleep as soon as they wait, and are woken for whatever comes. */
  sleep?: boolean;
  /** Told what happens. */
  log: (text: string) => void;
}

export interface ChaosReport extends Verdict {
  seed: number;
  faults: string[];
  /** Kills of workers one after another, if that was asked for. */
  kills: Killed | null;
  /** Faults that this machine does not allow, and why. */
  skipped: string[];
  seconds: number;
  /** How often a run fell asleep. */
  sleeps: number;
  /** What was done to runs from outside, with success. */
  outsiders: Outsiders["done"];
  /** How many heard the whole feed of a run, and how often they lost their connection meanwhile. */
  feed: { heardWhole: number; connectionsLost: number };
  /** Where a subscriber of the feed missed something, heard it twice, or heard what is not so. */
  misheard: string[];
  /** Longest time in which no run ended, ms. */
  longestPauseMs: number;
  /** How often Redis refused its log, of which the end was taken off then. */
  logsMended: number;
  /** What the last runs waited for while none ended. */
  waitedFor: readonly string[];
}

/** What must be empty. */
export function badOf(report: ChaosReport): { [name: string]: readonly unknown[] } {
  const { lost, wrong, doubled, notUndone, miscounted, leftovers, fallen, misheard } = report;
  return { lost, wrong, doubled, notUndone, miscounted, leftovers, fallen, misheard };
}

const IN_FLIGHT = 300;
/** Who lives for a moment does little: more would only lie about, or die with its worker. */
const IN_FLIGHT_BRIEF = 100;
/**
 * What no worker survives, five times over, is a step's own fault by the rules, and fails it as POISON
 * (X32). Here deaths are nobody's fault, and one step in ten thousand meets five of them.
 */
const BRIEF = { concurrency: 10, deliveriesMax: 1000 };
/** A timer that was armed while the clock was ahead is late by the jump. */
const SETTLE_MS = 180_000 + JUMP_S * 1000;

/** Runs it. Throws only if the stack itself cannot be started. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const random = seeded(options.seed);
  const workloads = makeWorkloads(options.seed, options.workflows, { maps: options.maps });
  const started = performance.now();
  const stack = await ChaosStack.start();
  const watch = new Watch(stack);
  const calls = join(stack.dir, "calls");
  mkdirSync(calls);
  const port = await freePort();
  const isKilling = (options.kills ?? 0) > 0;
  stack.more = { calls, port, ...(isKilling ? BRIEF : {}) };
  const possible = FAULTS.filter((fault) => (fault.missing?.(stack) ?? null) === null);
  const skipped = FAULTS.flatMap(({ name, missing }) => {
    const reason = missing?.(stack) ?? null;
    return reason === null ? [] : [`${name}: ${reason}`];
  });
  skipped.forEach((text) => options.log(`not done here: ${text}`));
  try {
    for (let i = 0; i < options.supervisors; i++) await stack.spawn("supervisor");
    for (let i = 0; i < options.workers; i++) await stack.spawn("worker");
    await stack.spawn("gateway");
    await publish(stack.db, CHILD);
    const outsiders = await Outsiders.start(stack);
    const listeners = new Listeners(stack, stack.gatewayUrl);
    const lullaby = new Lullaby(stack);
    if (options.sleep === true) {
      lullaby.start();
    }
    watch.start();
    const submission = new Submission(stack, workloads, options.log);
    const killers = new Killers(stack, options, random);
    const max = (): number => (killers.isBusy ? Infinity : options.runs);
    const submitting = submission.keepGoing(
      { watch, listeners },
      { max, inFlight: isKilling ? IN_FLIGHT_BRIEF : IN_FLIGHT, loses: !isKilling },
    );
    const kills = isKilling ? await killers.run() : null;
    const faults = kills === null ? order(possible, options.faults, random) : [];
    const told = await strike(stack, faults, random, options, watch);
    await submitting;
    await lullaby.stop();
    const lastRuns = new LastRuns(stack, options.log);
    await settle(stack, submission, lastRuns, options);
    await outsiders.stop();
    const misheard = await listeners.judge();
    const verdict = await judge(stack.db, stack.redis, submission.runs, calls);
    const seconds = Math.round((performance.now() - started) / 1000);
    return {
      ...verdict,
      ...{ fallen: stack.fallen, sleeps: lullaby.count, outsiders: outsiders.done, misheard },
      feed: { heardWhole: listeners.whole, connectionsLost: listeners.lost },
      ...{
        seed: options.seed,
        faults: told,
        kills,
        skipped,
        seconds,
        longestPauseMs: watch.longestMs,
      },
      ...{ waitedFor: lastRuns.reasons, logsMended: stack.box.logsMended },
    };
  } finally {
    watch.stop();
    await stack.stop();
  }
}

/** Faults in random order, all of them once before any comes again. */
function order(faults: readonly Fault[], count: number, random: () => number): Fault[] {
  const chosen: Fault[] = [];
  while (chosen.length < count) {
    const round = faults.map((fault) => ({ fault, at: random() }));
    chosen.push(...round.sort((a, b) => a.at - b.at).map(({ fault }) => fault));
  }
  return chosen.slice(0, count);
}

/** Strikes as the work goes on, so that each fault meets runs in the middle. */
async function strike(
  stack: ChaosStack,
  faults: readonly Fault[],
  random: () => number,
  options: ChaosOptions,
  watch: Watch,
): Promise<string[]> {
  const told: string[] = [];
  for (const [i, fault] of faults.entries()) {
    const share = ((i + 0.3) / (faults.length + 1)) * options.runs;
    const limit = performance.now() + 20_000;
    while (watch.ended < share && performance.now() < limit) {
      await pause(20);
    }
    await pause(random() * 300);
    options.log(`${watch.ended} of ${options.runs} ended: ${fault.name}`);
    told.push(fault.name);
    await fault.run(stack, random);
  }
  return told;
}

/** Waits for the end of everything: submits again what is unknown, until all runs have ended. */
async function settle(
  stack: ChaosStack,
  submission: Submission,
  lastRuns: LastRuns,
  options: ChaosOptions,
): Promise<void> {
  const limit = performance.now() + SETTLE_MS;
  let ended = -1;
  while (performance.now() < limit) {
    await submission.again();
    const count = await endedCount(stack.db).catch(() => 0);
    const open = await openRuns(stack.db).catch(() => null);
    if (count === submission.runs.length && open?.length === 0) {
      break;
    }
    if (count !== ended) {
      ended = count;
      options.log(`${ended} of ${submission.runs.length} ended`);
    }
    await lastRuns.look(count, open ?? []).catch(() => undefined); // a store is away
    await pause(500);
  }
  // What ended is released a moment after its end is archived.
  const keys = partitionKeys(0);
  for (let i = 0; i < 100 && (await stack.redis.zcard(keys.release)) > 0; i++) {
    await pause(100);
  }
}
