/**
 * Intake: turns entries of gv:submissions into runs. Any number of intakes may read at once.
 *
 * An entry is acknowledged last, after its row is committed, its run started and its answer given.
 * While Postgres is away the batch is kept and repeated; what a dead intake held is taken over by
 * another one, entry by entry (trials.ts). Every step is harmless when repeated (admit-batch.ts).
 *
 * When a partition's journal outgrows a limit, because Postgres is away or slow, no more entries
 * are taken: the submissions wait in their stream, and this says so.
 */
import type { Redis } from "ioredis";
import {
  answerSubmissions,
  connectionAt,
  BACKLOG_BYTES_SOFT,
  backlogBytes,
  errorCode,
  globalKeys,
  createGroups,
  INTAKE_GROUP,
  inTime,
  isOfCluster,
  partitionKeys,
} from "../sdk/internal.ts";
import { readCursor, whileDatabaseAway } from "../sdk/postgres/index.ts";
import { admitBatch, type Answer, type Entry, type Manner } from "./admit-batch.ts";
import type { CompileGuard } from "./compile-guard.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { LimitWatch } from "./limits.ts";
import { Loop, within } from "./loop.ts";
import { Patience, type Left } from "./patience.ts";
import { setApart } from "./refusals.ts";
import { SlowLane } from "./slow-lane.ts";
import type { Starter } from "./starter.ts";
import { Trials, TRIALS_MAX, type LeftBehind } from "./trials.ts";
import { Workflows, type Compile } from "./workflows.ts";

const BATCH = 256;
/** While one batch waits for Postgres, the next is read and compiled. */
const BATCHES_IN_FLIGHT = 2;
const BLOCK_MS = 1000;
const TAKEOVER_EVERY_MS = 5000;
/** What is left behind is tried for so long at a time, before new entries have their turn. */
const TAKEOVER_MS_MAX = 2000;
/** So long one batch of the slow lane waits for the compile thread, beyond its first file. */
const SLOW_BATCH_MS = 200;
const BACKLOG_LOOK_MS = 1000;
const LOOK_MS_MAX = 1000;
/** For one stream of answers, whose server may be away; it is told when that is back. */
const ANSWER_MS_MAX = 1000;
/** Of it for Postgres: while that is slow, the rest of the look must still count. */
const CURSOR_MS_MAX = 500;

export interface IntakeOptions {
  context: SupervisorContext;
  compile: Compile;
  /** Compiles what takes long; without it all is compiled on the event loop. */
  guard?: CompileGuard;
  starter: Starter;
  limits?: LimitWatch;
  /** Journal records of one partition not yet archived, above which intake pauses. */
  backlogRecordsMax?: number;
  /** Bytes of one partition's journal in Redis, above which intake pauses. */
  backlogBytesMax?: number;
  /** Stands for how long a submission takes that kills, in tests, ms. */
  trialMs?: number;
  /** The age at which a process begins to try, in tests otherwise, ms. */
  youngMs?: number;
  /** Between two touches of what waits for the compile thread, in tests, ms. */
  touchMs?: number;
}

export class Intake extends Loop {
  readonly #context: SupervisorContext;
  readonly #workflows: Workflows;
  readonly #starter: Starter;
  readonly #limits: LimitWatch;
  readonly #trials: Trials;
  readonly #trialMs: number;
  readonly #redis: Redis;
  readonly #backlogRecordsMax: number;
  readonly #backlogBytesMax: number;
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #slow: SlowLane;
  /** Entries of batches under way. */
  readonly #inHand = new Set<string>();
  readonly #left: Left = {};
  /** The trial under way. */
  #trial: Promise<void> | null = null;
  #takeoverAtMs = 0;
  #backlogAtMs = 0;
  /** Newest archived record by partition, as last read. */
  readonly #archived = new Map<number, number>();

  constructor(options: IntakeOptions) {
    const redis = options.context.openRedis("intake", globalKeys.submissions);
    super({
      name: "intake",
      logger: options.context.logger,
      step: (signal) => this.#step(signal),
      interrupt: () => {
        redis.disconnect();
        void this.#workflows.guard?.stop(); // what waits for it stays pending
      },
      close: async () => {
        await this.#workflows.guard?.stop();
        await Promise.all([...this.#inFlight, this.#slow.whenIdle(), this.#trial]);
      },
    });
    this.#redis = redis;
    this.#context = options.context;
    this.#workflows = new Workflows(options.context, options.compile, options.guard);
    const { context, starter } = options;
    this.#starter = starter;
    this.#limits = options.limits ?? new LimitWatch(context, starter);
    const { trialMs: soonMs, youngMs } = options;
    this.#trials = new Trials(context, {
      ...(soonMs && { soonMs }),
      ...(youngMs !== undefined && { youngMs }),
    });
    this.#trialMs = options.trialMs ?? TAKEOVER_MS_MAX;
    this.#slow = new SlowLane(context, (...work) => this.#handleSlow(...work), options.touchMs);
    this.#backlogRecordsMax = options.backlogRecordsMax ?? 100_000;
    this.#backlogBytesMax = options.backlogBytesMax ?? BACKLOG_BYTES_SOFT;
  }

  async #step(signal: AbortSignal): Promise<number> {
    if (await this.#isBehind()) {
      return BACKLOG_LOOK_MS;
    }
    if (this.#slow.isFull) {
      const text = "intake pauses: so many submissions wait for the compile thread";
      this.#context.logger.warn(text);
      return BACKLOG_LOOK_MS;
    }
    const isMore = await this.#takeOver(signal);
    const entries = signal.aborted ? [] : await this.#read(isMore);
    if (entries.length > 0) {
      while (this.#inFlight.size >= BATCHES_IN_FLIGHT) {
        await Promise.race(this.#inFlight);
      }
      const handled: Promise<unknown> = this.#handleQuick(entries, signal).finally(() =>
        this.#inFlight.delete(handled),
      );
      this.#inFlight.add(handled);
    }
    return 0;
  }

  /** What needs the compile thread goes to the slow lane. */
  async #handleQuick(entries: readonly Entry[], signal: AbortSignal): Promise<void> {
    entries.forEach(([id]) => this.#inHand.add(id));
    this.#slow.add(await this.#handleApart(entries, 0, signal), signal);
    entries.forEach(([id]) => this.#inHand.delete(id));
  }

  /** What is on trial has the thread for itself. */
  async #handleSlow(entries: readonly Entry[], signal: AbortSignal): Promise<Set<string>> {
    await this.#trial;
    return this.#handleApart(entries, SLOW_BATCH_MS, signal);
  }

  #leavePending(entries: readonly Entry[], error: unknown, signal: AbortSignal): void {
    if (!signal.aborted) {
      const entry = entries[0]?.[0];
      this.#context.logger.error({ err: error, entry }, "a submission stays pending");
    }
  }

  /**
   * A batch that fails unexpectedly is tried entry by entry; what fails again stays pending. Resolves
   * with those that are put off: the batch waits for the compile thread for so long only.
   */
  async #handleApart(
    entries: readonly Entry[],
    waitMs: number,
    signal: AbortSignal,
  ): Promise<Set<string>> {
    try {
      return await this.#handle(entries, signal, { waitMs });
    } catch (error) {
      if (signal.aborted || entries.length === 1) {
        this.#leavePending(entries, error, signal);
        return new Set();
      }
      this.#context.logger.error({ err: error }, "a batch of submissions failed; one by one now");
      const later = new Set<string>();
      for (const entry of entries) {
        const put = await this.#handleApart([entry], waitMs, signal);
        put.forEach((id) => later.add(id));
      }
      return later;
    }
  }

  /** Resolves with the ids of those that are put off. */
  async #handle(
    entries: readonly Entry[],
    signal: AbortSignal,
    { isSuspect = false, waitMs }: { isSuspect?: boolean; waitMs?: number },
  ): Promise<Set<string>> {
    const [context, starter, limits] = [this.#context, this.#starter, this.#limits];
    let later = new Set<string>();
    const admit = async (): Promise<Answer[]> => {
      const how: Manner = { isSuspect };
      if (waitMs !== undefined) {
        how.patience = new Patience(context.clock, waitMs, this.#left);
      }
      const answers = await admitBatch(context, this.#workflows, starter, entries, limits, how);
      later = how.patience?.later ?? new Set();
      return answers;
    };
    const answers = await this.#patiently(() => again(admit), signal);
    const done = later.size === 0 ? entries : entries.filter(([id]) => !later.has(id));
    if (done.length > 0) {
      await this.#settle(done, answers);
    }
    return later;
  }

  #patiently<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { logger } = this.#context;
    const onWait = (error: unknown, waitMs: number): void =>
      logger.warn({ err: error, waitMs }, "intake waits for Postgres");
    return whileDatabaseAway(work, { signal, onWait });
  }

  async #settle(entries: readonly Entry[], answers: readonly Answer[]): Promise<void> {
    await this.#answer(answers);
    const ids = entries.map(([id]) => id);
    await connectionAt(this.#context.redis, globalKeys.submissions)
      .multi()
      .xack(globalKeys.submissions, INTAKE_GROUP, ...ids)
      .xdel(globalKeys.submissions, ...ids)
      .exec();
  }

  /** One call per stream of answers. What cannot be told is logged: the runs go on. */
  async #answer(answers: readonly Answer[]): Promise<void> {
    const streams = new Map<string, string[]>();
    for (const { replyTo, reply } of answers) {
      const replies = streams.get(replyTo) ?? [];
      streams.set(replyTo, replies);
      replies.push(JSON.stringify(reply));
    }
    const scripts = scriptsOf(this.#context, 0);
    const isMany = isOfCluster(this.#context.redis);
    const told = [...streams].map(([stream, replies]) => {
      const answered = answerSubmissions(scripts, stream, replies);
      return isMany ? inTime(answered, ANSWER_MS_MAX, undefined) : answered;
    });
    for (const result of await Promise.allSettled(told)) {
      if (result.status === "rejected") {
        this.#context.logger.warn({ err: result.reason as unknown }, "no answer was given");
      }
    }
  }

  async #read(isBusy: boolean): Promise<Entry[]> {
    const group = ["GROUP", INTAKE_GROUP, this.#context.id, "COUNT", BATCH] as const;
    const from = ["STREAMS", globalKeys.submissions, ">"] as const;
    try {
      const read = isBusy
        ? this.#redis.xreadgroup(...group, ...from)
        : this.#redis.xreadgroup(...group, "BLOCK", BLOCK_MS, ...from);
      const reply = (await read) as [string, Entry[]][] | null;
      return reply?.[0]?.[1] ?? [];
    } catch (error) {
      return this.#withGroup(error);
    }
  }

  /** Tries what a dead intake held, or this one before it lost its connection; whether some is left. */
  async #takeOver(signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#context;
    const beganMs = clock.monotonicMs();
    if (beganMs < this.#takeoverAtMs || this.#trial !== null) {
      return false;
    }
    const found = await this.#trials.leftBehind(BATCH).catch((error) => this.#withGroup(error));
    // What waits for Postgres here, or for the compile thread, is not left.
    const left = found.filter(({ id }) => !this.#inHand.has(id) && !this.#slow.has(id));
    // Alone: what kills must not be taken for another one.
    if (left.length > 0) {
      await Promise.all(this.#inFlight);
    }
    let isMore = left.length === BATCH;
    for (const one of left) {
      const isLong = this.#trial !== null || clock.monotonicMs() - beganMs > TAKEOVER_MS_MAX;
      if (signal.aborted || isLong) {
        isMore = true;
        break;
      }
      // One that takes long, in the compile thread, goes on while new entries are read.
      this.#trial = this.#try(one, signal).finally(() => (this.#trial = null));
      await within(this.#trial, this.#trialMs);
    }
    this.#takeoverAtMs = isMore ? 0 : beganMs + TAKEOVER_EVERY_MS;
    return isMore;
  }

  async #try(one: LeftBehind, signal: AbortSignal): Promise<void> {
    const entry = await this.#trials.begin(one);
    if (entry === null) {
      return;
    }
    const trials = one.trials + 1;
    const work =
      trials > TRIALS_MAX
        ? this.#setApart(entry, trials, signal)
        : this.#handle([entry], signal, { isSuspect: true }).then(() => undefined);
    await this.#trials
      .outlive(one, work, () => this.#workflows.guard?.isBusy === true)
      .catch((error: unknown) => this.#leavePending([entry], error, signal));
  }

  async #setApart(entry: Entry, trials: number, signal: AbortSignal): Promise<void> {
    const apart = (): Promise<Answer> => setApart(this.#context, entry, trials);
    await this.#settle([entry], [await this.#patiently(apart, signal)]);
  }

  /** Redis was emptied: makes the group again. Other errors pass. */
  async #withGroup(error: unknown): Promise<[]> {
    if (!(error instanceof Error) || !error.message.startsWith("NOGROUP")) {
      throw error;
    }
    await this.#createGroup();
    return [];
  }

  async #createGroup(): Promise<void> {
    await createGroups(this.#context.redis, [globalKeys.submissions], INTAKE_GROUP);
  }

  async #isBehind(): Promise<boolean> {
    const { clock, deployment, logger } = this.#context;
    if (clock.monotonicMs() < this.#backlogAtMs) {
      return false;
    }
    const partitions = Array.from({ length: deployment.partitions }, (_, p) => p);
    // One of many servers that is away holds up nobody else's runs.
    const looks = partitions.map((p) => inTime(this.#backlog(p), LOOK_MS_MAX, 0));
    const sizes = partitions.map((p) => inTime(this.#bytes(p), LOOK_MS_MAX, 0));
    const records = Math.max(...(await Promise.all(looks)));
    const bytes = Math.max(...(await Promise.all(sizes)));
    if (records > this.#backlogRecordsMax || bytes > this.#backlogBytesMax) {
      logger.warn({ records, bytes }, "intake pauses: the journal waits to be archived");
      return true;
    }
    this.#backlogAtMs = clock.monotonicMs() + BACKLOG_LOOK_MS;
    return false;
  }

  #bytes(partition: number): Promise<number> {
    return backlogBytes(this.#context.redis, partitionKeys(partition));
  }

  /** Records not yet archived: the stream also has a tail of those that are. */
  async #backlog(partition: number): Promise<number> {
    const { redis, db } = this.#context;
    const [seq, cursor] = await Promise.all([
      redis.hget(partitionKeys(partition).meta, "seq"),
      // While Postgres is away, or slow, what was archived last is what is archived.
      inTime(
        readCursor(db, partition).catch(() => null),
        CURSOR_MS_MAX,
        null,
      ),
    ]);
    const archived = cursor?.seq ?? this.#archived.get(partition) ?? Infinity;
    this.#archived.set(partition, archived);
    return Math.max(0, Number(seq ?? 0) - archived);
  }
}

/** A partition that was rebuilt meanwhile has another epoch: what rows say is read again. */
async function again<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (errorCode(error) !== "GV_PARTITION_UNCERTIFIED") {
      throw error;
    }
    return work();
  }
}
