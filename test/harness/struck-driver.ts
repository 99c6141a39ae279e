/**
 * Drives a run, with its children, through scripts of which one is struck half-way, as everybody does
 * who calls them: what a call did not settle is delivered again, what a start did not answer is
 * started again, and what the journal calls suspect is rebuilt from it (supervisor/write-run.ts), with
 * the journal in place of Postgres.
 */
import type { Ir, Json } from "../../compiler/ir.ts";
import {
  completeTokens,
  COMPLETION,
  fireTimers,
  parseJournalRecord,
  planRedrive,
  redisTimeMs,
  redriveRun,
  releaseRuns,
  RunView,
  START,
  startRuns,
  writeAnyway,
  type JournalRecord,
  type ReadyToken,
  type RedriveWish,
  type RunProfile,
  type Transition,
} from "../../sdk/internal.ts";
import type { RunRow } from "../../sdk/postgres/index.ts";
import { foldHot, writeRun } from "../../supervisor/write-run.ts";
import { CommandList } from "../../supervisor/writer.ts";
import { releaseMapsOf, releaseMapsOfEnded } from "../../supervisor/release-maps.ts";
import { claimAll, readAll } from "./deliveries.ts";
import { DrivenWorker } from "./driven-worker.ts";
import { queueKeysOf } from "./partition.ts";
import { BLOW, type StruckPartition } from "./struck-scripts.ts";
import { StruckSleeper } from "./struck-sleeper.ts";

export interface StruckOptions {
  /** Workflows by reference; the root's is the first. */
  profiles: ReadonlyMap<string, RunProfile>;
  random: () => number;
  /** People, before every step: what they do may be struck, and they do it again. */
  outside?: (runId: string, step: number) => Promise<unknown>;
  /** It falls asleep on the way, leaves Redis, and is put back. */
  sleeps?: boolean;
  /** It is redriven after its first end. */
  redrive?: RedriveWish;
}

const STEPS_MAX = 100;
const CONSUMER = "c0";
const ENDS = new Set(["run.completed", "run.failed", "run.cancelled"]);
const DAY_MS = 86_400_000;

export class StruckDriver {
  /** Calls of Redis that scripts had made when the run had ended. */
  calls = 0;
  readonly #p: StruckPartition;
  readonly #o: StruckOptions;
  readonly #worker: DrivenWorker;
  readonly #queueKeys: readonly string[];
  readonly #epochs = new Map<string, number>();
  readonly #bindings: string;
  #input: Json = null;
  #sleeper: StruckSleeper | null = null;
  /** Marks of suspicion in the journal that were acted on. */
  #repaired = 0;

  constructor(partition: StruckPartition, options: StruckOptions) {
    this.#p = partition;
    this.#o = options;
    const { random } = options;
    const calm = { random, die: 0, steal: 0, duplicate: 0, late: 0 };
    this.#worker = new DrivenWorker(partition, calm);
    const keys = [...options.profiles.values()].flatMap((profile) => queueKeysOf(profile));
    this.#queueKeys = [...new Set(keys)];
    const hashes = [...options.profiles].map(([ref, { irHash }]) => [ref, irHash]);
    this.#bindings = JSON.stringify(Object.fromEntries(hashes));
  }

  /** Runs a root to its end, and takes away what it leaves behind; the journal. */
  async run(runId: string, input: Json): Promise<JournalRecord[]> {
    this.#input = input;
    await this.#start(runId);
    const { sleeps = false, redrive } = this.#o;
    this.#sleeper = sleeps ? new StruckSleeper(this.#p.scripts, runId) : null;
    for (let step = 1; step <= STEPS_MAX; step++) {
      await this.#repair();
      const all = await this.#transitions();
      const ended = endedRuns(all);
      if (redrive !== undefined && ended.includes(runId) && !all.some(isRedriven)) {
        await this.#unstruck(() => this.#redrive(runId, redrive));
        continue;
      }
      if (
        ended.includes(runId) &&
        ended.length === new Set(all.filter(({ e }) => e === "run.started").map(({ r }) => r)).size
      ) {
        this.calls = await this.#p.calls();
        await this.#takeAway(ended);
        return this.#records();
      }
      await this.#unstruck(async () => this.#sleep(runId, step));
      await this.#unstruck(async () => this.#o.outside?.(runId, step));
      if (!(await this.#settleAll())) {
        await this.#passTime(ended.filter((id) => id !== runId));
      }
    }
    const stuck = await this.#p.redis.hgetall(this.#p.scripts.keys.run(runId));
    throw new Error(`the run does not end: ${JSON.stringify(stuck)}`);
  }

  /** Again if it was struck, as intake does: a run that is there by then is not started twice. */
  async #start(runId: string): Promise<void> {
    const { scripts } = this.#p;
    const [profile] = this.#o.profiles.values();
    const notAfterMs = (await redisTimeMs(scripts)) + DAY_MS;
    const start = {
      ...{ profile: profile as RunProfile, runId, epoch: 1, notAfterMs },
      ...{ input: JSON.stringify(this.#input), bindings: this.#bindings },
    };
    const codes = await this.#unstruck(() => startRuns(scripts, [start]));
    await this.#repair();
    const [again] = codes ?? (await startRuns(scripts, [start]));
    if (again !== START.started && again !== START.exists) {
      throw new Error(`the run did not start: ${again}`);
    }
  }

  /** What it comes to; null if it was struck. */
  async #unstruck<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (String(error).includes(BLOW)) {
        return null;
      }
      throw error;
    }
  }

  async #records(): Promise<JournalRecord[]> {
    const entries = await this.#p.redis.xrange(this.#p.scripts.keys.ev, "-", "+");
    return entries.map(([id, fields]) => parseJournalRecord(id, fields));
  }

  async #transitions(): Promise<Transition[]> {
    return (await this.#records()).flatMap((record) => record.transitions);
  }

  /** Everything that is ready or was left behind; false: there is nothing. */
  async #settleAll(): Promise<boolean> {
    const { redis, scripts } = this.#p;
    const fresh = await readAll(redis, this.#queueKeys, CONSUMER, 4);
    const tokens =
      fresh.length > 0 ? fresh : await claimAll(scripts.redis, this.#queueKeys, CONSUMER);
    await this.#settle(tokens, fresh.length === 0);
    return tokens.length > 0;
  }

  /** In one call, but for what is moved on by calls of its own. */
  async #settle(tokens: readonly ReadyToken[], again: boolean): Promise<void> {
    const sent = [];
    for (const token of tokens) {
      const held = { token, consumer: CONSUMER, again };
      const made = await this.#unstruck(() => this.#worker.settle(held));
      void (made !== null && sent.push(made));
    }
    const items = sent.map(({ item }) => ({ ...item, keeps: false }));
    const codes = await this.#unstruck(() => completeTokens(this.#p.scripts, items, CONSUMER));
    for (const [i, code] of (items.length === 0 ? [] : (codes ?? [])).entries()) {
      const { item, held } = sent[i] as (typeof sent)[number];
      if (code === COMPLETION.finish) {
        const queueKey = item.profile.queueKeys[item.queue] as string;
        const at = { ...held.token, queueKey };
        await this.#unstruck(() => this.#worker.finish(item.profile, at, null));
      }
    }
  }

  /** Timers go off; children that have ended are released, which their parents are told. */
  async #passTime(children: string[]): Promise<void> {
    const { scripts } = this.#p;
    await this.#unstruck(() => releaseRuns(scripts, children, []));
    const fired = await this.#unstruck(() => fireTimers(scripts));
    if (fired?.due === 0 && fired.nextMs !== null) {
      await this.#p.advance(fired.nextMs - (await redisTimeMs(scripts)) + 1);
      await this.#unstruck(() => fireTimers(scripts));
    }
  }

  /** Rebuilds what the journal calls suspect, as it tells it. */
  async #repair(): Promise<void> {
    const marks = (await this.#transitions()).filter(({ e }) => e === "run.suspect");
    const suspects = new Set(marks.slice(this.#repaired).map(({ r }) => r));
    this.#repaired = marks.length;
    for (const runId of suspects) {
      await this.#rebuild(runId);
    }
  }

  async #rebuild(runId: string): Promise<void> {
    const { redis, scripts } = this.#p;
    const { keys } = scripts;
    const { journal, profile, start } = ownJournal(await this.#records(), runId, this.#o.profiles);
    await releaseMapsOf(scripts.redis, keys, [runId]);
    if (endedRuns(journal.map(({ transition }) => transition)).includes(runId)) {
      await redis.del(keys.run(runId), keys.signals(runId));
      await this.#putBackEnded(runId, start, profile.ir, journal);
      return;
    }
    const row = this.#rowOf(runId, this.#nextEpoch(runId), profile, start);
    const list = new CommandList();
    writeRun(list, profile, row, foldHot(profile, journal), await redisTimeMs(scripts));
    await writeAnyway(scripts.redis, list.commands);
  }

  #nextEpoch(runId: string): number {
    const epoch = (this.#epochs.get(runId) ?? 1) + 1;
    this.#epochs.set(runId, epoch);
    return epoch;
  }

  async #sleep(runId: string, step: number): Promise<void> {
    const records = await this.#records();
    await this.#sleeper?.act(step, records, () => {
      const { journal, profile, start } = ownJournal(records, runId, this.#o.profiles);
      const row = this.#rowOf(runId, this.#nextEpoch(runId), profile, start);
      return { profile, row, state: foldHot(profile, journal) };
    });
  }

  async #redrive(runId: string, wish: RedriveWish): Promise<void> {
    const { scripts } = this.#p;
    const { journal, profile } = ownJournal(await this.#records(), runId, this.#o.profiles);
    const { state, redriven } = planRedrive(profile.ir, journal, wish);
    await releaseMapsOfEnded(scripts, [runId]);
    await releaseRuns(scripts, [runId], []);
    const epoch = this.#nextEpoch(runId);
    await redriveRun(scripts, {
      ...{ runId, epoch, profile, state, fields: {}, input: JSON.stringify(this.#input) },
      notAfterMs: (await redisTimeMs(scripts)) + DAY_MS,
      told: { r: runId, e: "run.redriven", ep: epoch, at: 2, rd: redriven },
    });
  }

  /** What Postgres has of a run that has not ended. */
  #rowOf(id: string, epoch: number, { irHash }: RunProfile, start: Transition): RunRow {
    const { up: parent = null, dep: depth = 0, inp = this.#input } = start;
    const place = { namespace: "", priority: "normal", bindings: this.#bindings };
    const row = { id, epoch, irHash, input: JSON.stringify(inp), depth, parent, ...place };
    return row as unknown as RunRow;
  }

  /** Of a child that has ended its parent may not know yet (supervisor/ended-children.ts). */
  async #putBackEnded(
    runId: string,
    { up, ir = "" }: Transition,
    of: Ir,
    journal: readonly { t: number; transition: Transition }[],
  ): Promise<void> {
    if (up === undefined) {
      return;
    }
    const view = new RunView(of);
    journal.forEach(({ transition, t }) => view.apply(transition, t));
    const s = view.status.toLowerCase();
    const res = s === "completed" ? (view.output ?? null) : { error: view.error };
    const fields = { s, e: "1", ir, up, res: JSON.stringify(res) };
    await this.#p.redis.hset(this.#p.scripts.keys.run(runId), fields);
  }

  /** After the end: what is still around is refused and acknowledged, and all of it is released. */
  async #takeAway(runIds: string[]): Promise<void> {
    const { redis, scripts } = this.#p;
    await this.#p.arm(0);
    while (await this.#settleAll()) {
      // What was in flight is refused.
    }
    await releaseMapsOfEnded(scripts, runIds);
    await releaseRuns(scripts, runIds, []);
    await this.#p.advance(DAY_MS);
    await fireTimers(scripts);
    await this.#settleAll();
    const left = [...(await redis.zrange(scripts.keys.timers, 0, -1))];
    for (const key of this.#queueKeys) {
      left.push(...(await redis.xrange(key, "-", "+")).map(([id]) => `${key} ${id}`));
    }
    if (left.length > 0) {
      throw new Error(`left behind: ${left.join(", ")}`);
    }
  }
}

const isRedriven = ({ e }: Transition): boolean => e === "run.redriven";

/** Runs that have ended, and were not redriven after that. */
function endedRuns(all: readonly Transition[]): string[] {
  const ended = new Set<string>();
  for (const transition of all) {
    if (ENDS.has(transition.e)) {
      ended.add(transition.r);
    } else if (isRedriven(transition)) {
      ended.delete(transition.r);
    }
  }
  return [...ended];
}

/** What the journal tells of a run, how it began, and its workflow. */
function ownJournal(
  records: readonly JournalRecord[],
  runId: string,
  profiles: ReadonlyMap<string, RunProfile>,
): {
  journal: { position: string; t: number; transition: Transition }[];
  profile: RunProfile;
  start: Transition;
} {
  const journal = records.flatMap(({ t, transitions }) =>
    transitions
      .filter(({ r }) => r === runId)
      .map((transition) => ({ position: "", t, transition })),
  );
  const start = journal.find(({ transition }) => transition.e === "run.started")?.transition;
  const profile = [...profiles.values()].find(({ irHash }) => irHash === start?.ir);
  if (start === undefined || profile === undefined) {
    throw new Error(`the journal does not know run ${runId}`);
  }
  return { journal, profile, start };
}
