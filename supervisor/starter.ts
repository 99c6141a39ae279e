/**
 * Starting runs whose rows are committed: their IR is put where workers look for it, then the
 * start script creates their hot state.
 *
 * A start is never late: it carries a deadline by Redis' clock, read before the row's status was,
 * and release leaves a tombstone that outlives the deadline twice (21 A9). A loss of Redis takes the
 * tombstones with it: so a start is also refused under another epoch of its partition than the one
 * that was known before the row was read, and its row is read again. Where none was known, nothing is
 * started. So starting a row twice,
 * from any number of processes, is harmless; what was too late or whose process died stays QUEUED
 * and the sweep takes it up again.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Priority } from "../compiler/ir.ts";
import {
  blobRefsIn,
  globalKeys,
  inTime,
  isFull,
  isOfCluster,
  parseBlobText,
  redisTimeMs,
  SCRIPT_BATCH_MAX,
  START,
  START_WINDOW_MS,
  startRuns,
  type BlobRef,
  type Redis,
  type RunStart,
} from "../sdk/internal.ts";
import {
  databaseTimeMs,
  FIRST_RUN,
  isPaused,
  listPauses,
  queuedRuns,
  readBlobs,
  stopOf,
} from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import type { StoredIr } from "./ir-store.ts";
import { Loop } from "./loop.ts";
import { MemoryGauge } from "./memory-gauge.ts";
import { StartProfiles } from "./start-profiles.ts";

export interface Startable {
  id: string;
  irHash: string;
  partition: number;
  namespace: string;
  priority: Priority;
  input: string;
  /** 1 if absent: it was never in Redis. */
  epoch?: number;
  /** JSON text: reference to hash of the workflows that its tree may run. */
  bindings?: string | null;
  /** JSON text of the fields that it begins with in the middle. */
  start?: string | null;
}

/** Until when runs may be started, by partition, and under which epoch alone. */
export type Deadlines = ReadonlyMap<number, { notAfterMs: number; since: string }>;

/** Of all of their servers that have answered. */
type Times = ReadonlyMap<number, number>;

const SERVER_MS = 1000;
/** For so long deadlines are used again: an earlier one only refuses earlier. */
const DEADLINES_MS = 1000;
const START_MS = 5000;
/** So long a process that begins waits for certificates: mostly they are on their way. */
const HEAR_MS = 5000;
const HEAR_AGAIN_MS = 20;
const SWEEP_MS = 2000;
/** Before the next page, when none of one could start: all may have to wait for the same. */
const PAGE_MS = 200;
const SWEEP_AGE_MS = 5000;
/** Text of inputs, and of what is given for nodes, in one start call; a call holds at least one run. */
const START_CHARS_MAX = 4_000_000;

export class Starter {
  readonly #context: SupervisorContext;
  readonly #profiles = new StartProfiles();
  readonly #memory: MemoryGauge;
  #times: Times = new Map();
  #timesAtMs = -Infinity;
  /** Until then, monotonic, it waits for epochs that it has not heard of; null: all were known. */
  #hearUntilMs: number | null = null;
  /** Writes that wait for a server which is away. */
  readonly #late = new Set<string>();

  constructor(context: SupervisorContext) {
    this.#context = context;
    this.#memory = new MemoryGauge(context);
  }

  /**
   * Until when starts are allowed, by the clock of each partition's server: its time plus the start
   * window. Call it before the rows' status is read. A server that is away has none, nor a partition
   * of which this process has heard no epoch yet: a run might have ended under any. What is to be
   * started there stays QUEUED for the sweep.
   */
  async deadlines(): Promise<Deadlines> {
    const times = await this.#timesSoon();
    await this.#hear([...times.keys()]);
    const deadlines = new Map<number, { notAfterMs: number; since: string }>();
    for (const [partition, notAfterMs] of times) {
      // Never an old one: a start that was refused for it would be refused again.
      const since = scriptsOf(this.#context, partition).knownEpoch;
      void (since !== null && deadlines.set(partition, { notAfterMs, since }));
    }
    return deadlines;
  }

  /** Looks for the epochs of partitions in which this process has called nothing yet. */
  async #hear(partitions: readonly number[]): Promise<void> {
    const { clock, signal } = this.#context;
    for (;;) {
      const all = partitions.map((partition) => scriptsOf(this.#context, partition));
      const unheard = all.filter(({ knownEpoch }) => knownEpoch === null);
      if (unheard.length === 0) {
        return;
      }
      this.#hearUntilMs ??= clock.monotonicMs() + HEAR_MS;
      await Promise.all(unheard.map((of) => inTime(of.look(), SERVER_MS, undefined)));
      const isOver = signal.aborted || clock.monotonicMs() >= this.#hearUntilMs;
      if (isOver || unheard.every(({ knownEpoch }) => knownEpoch !== null)) {
        return;
      }
      await delay(HEAR_AGAIN_MS);
    }
  }

  async #timesSoon(): Promise<Times> {
    const askedMs = this.#context.clock.monotonicMs();
    if (askedMs - this.#timesAtMs < DEADLINES_MS) {
      return this.#times;
    }
    const times = await this.#askTimes();
    // One that is missing is asked for again at once.
    if (times.size === this.#context.deployment.partitions) {
      [this.#times, this.#timesAtMs] = [times, askedMs];
    }
    return times;
  }

  async #askTimes(): Promise<Times> {
    const byServer = new Map<Redis, Promise<number | null>>();
    const deadlines = new Map<number, number>();
    for (let partition = 0; partition < this.#context.deployment.partitions; partition++) {
      const { redis } = scriptsOf(this.#context, partition);
      byServer.set(redis, byServer.get(redis) ?? this.#deadline(partition, redis));
    }
    // All of them together: an answer that fails while another one is awaited would be nobody's, and an
    // error that is nobody's ends the process.
    const times = await Promise.all(byServer.values());
    const at = new Map([...byServer.keys()].map((redis, i) => [redis, times[i]]));
    for (let partition = 0; partition < this.#context.deployment.partitions; partition++) {
      const ms = at.get(scriptsOf(this.#context, partition).redis);
      void (typeof ms === "number" && deadlines.set(partition, ms));
    }
    return deadlines;
  }

  /** Where servers are many, none is waited for: the others are not to stand still. */
  async #deadline(partition: number, redis: Redis): Promise<number | null> {
    const asked = redisTimeMs(scriptsOf(this.#context, partition)).then(
      (ms) => ms + START_WINDOW_MS,
    );
    return redis === this.#context.redis ? asked : inTime(asked, SERVER_MS, null);
  }

  /**
   * Starts what is not started yet; returns how many runs this call started. None where Redis is
   * almost full: their rows stay QUEUED, and the sweep starts them when there is room.
   */
  async start(runs: readonly Startable[], deadlines: Deadlines): Promise<number> {
    const tight = await this.#memory.tight(new Set(runs.map((run) => run.partition)));
    const roomy = tight.size === 0 ? runs : runs.filter((run) => !tight.has(run.partition));
    if (roomy.length === 0) {
      return 0;
    }
    try {
      return await this.#start(roomy, deadlines);
    } catch (error) {
      if (!isFull(error)) {
        throw error;
      }
      this.#memory.refused();
      return 0;
    }
  }

  async #start(runs: readonly Startable[], deadlines: Deadlines): Promise<number> {
    const bound = runs.flatMap(({ bindings }) => boundHashes(bindings));
    const irs = await this.#context.irs.load([...runs.map((run) => run.irHash), ...bound]);
    // Pauses are read after the rows are committed: one that comes later finds them in Postgres.
    const [pauses, there] = await Promise.all([listPauses(this.#context.db), this.#publish(irs)]);
    if (stopOf(pauses) !== null) {
      return 0; // they stay QUEUED, and the sweep starts them when all is resumed
    }
    const starts = new Map<number, RunStart[]>();
    for (const run of runs) {
      const stored = irs.get(run.irHash);
      if (stored === undefined) {
        this.#context.logger.error({ run: run.id, ir: run.irHash }, "its definition is not stored");
        continue;
      }
      const profile = this.#profiles.of(stored.ir, run);
      const { id: runId, epoch = 1, input, bindings = null, start = null } = run;
      const { notAfterMs } = deadlines.get(run.partition) ?? {};
      const needs = [run.irHash, ...boundHashes(bindings)].filter((hash) => irs.has(hash));
      const isReadable = needs.every((hash) => there.has(hash));
      if (notAfterMs === undefined || !isReadable) {
        continue;
      }
      const list = starts.get(run.partition) ?? [];
      starts.set(run.partition, list);
      const paused = isPaused(pauses, stored.ir.name, stored.ir.workflow_version);
      list.push({ profile, runId, epoch, input, notAfterMs, paused, bindings, start });
    }
    const counts = await Promise.all(
      [...starts].map(([partition, list]) => {
        const { since } = deadlines.get(partition) as { since: string };
        return this.#startSoon(partition, list, since);
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** On a cluster what takes long goes on by itself: the sweep looks after it. */
  async #startSoon(partition: number, list: RunStart[], since: string): Promise<number> {
    const starting = this.#startIn(partition, list, since);
    const isShared = scriptsOf(this.#context, partition).redis === this.#context.redis;
    return isShared ? starting : inTime(starting, START_MS, 0);
  }

  async #startIn(partition: number, list: RunStart[], since: string): Promise<number> {
    const scripts = scriptsOf(this.#context, partition);
    let started = 0;
    while (list.length > 0) {
      let count = 0;
      let chars = 0;
      for (const run of list) {
        chars += run.input.length + (run.start?.length ?? 0);
        for (const { bytes } of largeOf(run)) {
          chars += bytes;
        }
        if (count > 0 && (count >= SCRIPT_BATCH_MAX || chars > START_CHARS_MAX)) {
          break;
        }
        count++;
      }
      const codes = await startRuns(scripts, await this.#withLarge(list.splice(0, count)), since);
      started += codes.filter((code) => code === START.started).length;
    }
    return started;
  }

  /** Hardly any begins with large values: those are where its row is. */
  async #withLarge(runs: RunStart[]): Promise<RunStart[]> {
    const refs = runs.map((run) => largeOf(run).map(({ sha256 }) => sha256));
    if (refs.every(({ length }) => length === 0)) {
      return runs;
    }
    const texts = await readBlobs(this.#context.db, [...new Set(refs.flat())]);
    return runs.map((run, i) => {
      const blobs = (refs[i] ?? []).flatMap((sha256) => {
        const text = texts.get(sha256);
        return text === undefined ? [] : [{ sha256, text }];
      });
      return blobs.length === 0 ? run : { ...run, blobs };
    });
  }

  /**
   * Puts IRs where workers look for them, before any entry that names them. Returns those that are
   * there: on a cluster a server may be away, and what needs it stays QUEUED for the sweep.
   */
  async #publish(irs: ReadonlyMap<string, StoredIr>): Promise<Set<string>> {
    const { redis, clock } = this.#context;
    const there = new Set<string>();
    const puts = [...irs.values()].map(async (stored) => {
      const { hash } = stored;
      if (await this.#inTime(hash, () => this.#put(stored))) {
        there.add(hash);
      }
    });
    const uses = [...irs.keys()].flatMap((hash) => [clock.nowMs(), hash]);
    if (uses.length > 0) {
      const use = (): Promise<unknown> => redis.zadd(globalKeys.irUse, ...uses);
      puts.push(this.#inTime(globalKeys.irUse, use).then(() => undefined));
    }
    await Promise.all(puts);
    return there;
  }

  /**
   * Nearly always it is there, and may be large: so Redis is asked, each time anew since it may have
   * lost it, and told the text only then. Asked is for its length, which shows one that was cut off.
   * What is there does not expire from here on, as the reaper's second look relies on.
   */
  async #put({ hash, text }: StoredIr): Promise<void> {
    const { redis } = this.#context;
    const key = globalKeys.ir(hash);
    // Two commands on one connection, in this order; what is no string is none of ours.
    const [, bytes] = await Promise.all([redis.persist(key), redis.strlen(key).catch(() => -1)]);
    if (bytes !== Buffer.byteLength(text)) {
      await redis.set(key, text);
    }
  }

  /** Whether it was done; on a cluster, in time. What is late is not asked again meanwhile. */
  async #inTime(what: string, work: () => Promise<unknown>): Promise<boolean> {
    if (this.#late.has(what)) {
      return false;
    }
    const done = work().then(() => true);
    if (!isOfCluster(this.#context.redis) || (await inTime(done, SERVER_MS, false))) {
      return done;
    }
    this.#late.add(what);
    done.catch(() => false).finally(() => this.#late.delete(what));
    return false;
  }
}

const NONE_LARGE: readonly BlobRef[] = [];

/** Large values that a run begins with. */
function largeOf({ input, start = null }: Pick<RunStart, "input" | "start">): readonly BlobRef[] {
  const ref = parseBlobText(input);
  const given =
    start === null ? NONE_LARGE : blobRefsIn(Object.entries(JSON.parse(start) as object));
  return ref === null ? given : [ref, ...given];
}

/** Hashes that the bindings of a run's row name. */
export function boundHashes(bindings: string | null | undefined): string[] {
  return bindings === null || bindings === undefined
    ? []
    : Object.values(JSON.parse(bindings) as { [ref: string]: string });
}

/**
 * Starts rows that stayed QUEUED because whoever accepted them died before the start, or could not
 * start them. A page at a time: rows that cannot start yet keep it from none behind them.
 */
export class StartSweep extends Loop {
  readonly #context: SupervisorContext;
  readonly #starter: Starter;
  /** The last row looked at. */
  #after = FIRST_RUN;

  constructor(context: SupervisorContext, starter: Starter) {
    super({ name: "start sweep", logger: context.logger, step: () => this.look() });
    this.#context = context;
    this.#starter = starter;
  }

  /** Looks at one page; resolves with the ms to wait before the next. */
  async look(): Promise<number> {
    const { db, logger } = this.#context;
    const deadlines = await this.#starter.deadlines();
    const beforeMs = (await databaseTimeMs(db)) - SWEEP_AGE_MS;
    const rows = await queuedRuns(db, beforeMs, SCRIPT_BATCH_MAX, this.#after);
    const last = rows.length < SCRIPT_BATCH_MAX ? undefined : rows.at(-1);
    this.#after = last ?? FIRST_RUN;
    const started = rows.length === 0 ? 0 : await this.#starter.start(rows, deadlines);
    if (started > 0) {
      logger.warn({ started }, "runs accepted earlier were started now");
    }
    if (last === undefined) {
      return SWEEP_MS;
    }
    return started > 0 ? 0 : PAGE_MS;
  }
}
