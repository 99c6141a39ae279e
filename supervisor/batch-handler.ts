/**
 * From entries of gv:submissions to their end: admitted (admit-batch.ts), answered, acknowledged.
 *
 * While Postgres is away a batch is kept and repeated. One that fails for another reason is tried entry
 * by entry, and what fails by itself stays pending: it is found as left behind, and tried alone.
 */
import {
  answerSubmissions,
  connectionAt,
  errorCode,
  globalKeys,
  INTAKE_GROUP,
  inTime,
  isOfCluster,
} from "../sdk/internal.ts";
import { whileDatabaseAway } from "../sdk/postgres/index.ts";
import { admitBatch, type Answer, type Entry, type Manner } from "./admit-batch.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import type { LimitWatch } from "./limits.ts";
import { Patience, type BatchOf, type Left, type PutOff } from "./patience.ts";
import { setApart } from "./refusals.ts";
import type { Starter } from "./starter.ts";
import { endTrouble, meetTrouble } from "./trouble.ts";
import type { Workflows } from "./workflows.ts";

/** For one stream of answers, whose server may be away; it is told when that is back. */
const ANSWER_MS_MAX = 1000;
/** Between two tries while Postgres is away: clients wait for their answers. */
const AWAY_MS_MAX = 1000;
/** What is said to fail; the intake itself goes on reading. */
const SUBMISSIONS = "submissions";

export interface HandlerParts {
  context: SupervisorContext;
  workflows: Workflows;
  starter: Starter;
  limits: LimitWatch;
  /** Of those that were put off: with which batch they were read. */
  batchOf: BatchOf;
}

interface Wait {
  isSuspect?: boolean;
  waitMs?: number;
  /** See Patience. */
  besides?: PutOff;
}

export class BatchHandler {
  readonly #parts: HandlerParts;
  readonly #left: Left = {};

  constructor(parts: HandlerParts) {
    this.#parts = parts;
  }

  /** Says so of what fails by itself, unless that is because of a stop. */
  leavePending(entries: readonly Entry[], error: unknown, signal: AbortSignal): void {
    if (!signal.aborted) {
      const entry = entries[0]?.[0];
      this.#parts.context.logger.error({ err: error, entry }, "a submission stays pending");
    }
  }

  /**
   * A batch that fails unexpectedly is tried entry by entry; what fails again stays pending. Resolves
   * with those that are put off: the batch waits for the compile thread for so long only. `besides`:
   * what of its batch was put off before.
   */
  async handleApart(
    entries: readonly Entry[],
    waitMs: number,
    signal: AbortSignal,
    besides: PutOff = new Map(),
  ): Promise<PutOff> {
    try {
      return await this.handle(entries, signal, { waitMs, besides });
    } catch (error) {
      if (signal.aborted || entries.length === 1) {
        this.leavePending(entries, error, signal);
        return new Map();
      }
      const message = "a batch of submissions failed; one by one now";
      this.#parts.context.logger.error({ err: error }, message);
      const later: PutOff = new Map();
      for (const entry of entries) {
        const put = await this.handleApart([entry], waitMs, signal, later);
        put.forEach((tenant, id) => later.set(id, tenant));
      }
      return later;
    }
  }

  /** Resolves with those that are put off; without `waitMs` none is. */
  async handle(
    entries: readonly Entry[],
    signal: AbortSignal,
    { isSuspect = false, waitMs, besides }: Wait,
  ): Promise<PutOff> {
    const { context, workflows, starter, limits, batchOf } = this.#parts;
    let later: PutOff = new Map();
    const admit = async (): Promise<Answer[]> => {
      const how: Manner = { isSuspect };
      if (waitMs !== undefined) {
        how.patience = new Patience(context.clock, waitMs, this.#left, batchOf, besides);
      }
      const answers = await admitBatch(context, workflows, starter, entries, limits, how);
      later = how.patience?.later ?? new Map<string, string>();
      return answers;
    };
    const answers = await this.#patiently(() => again(admit), signal);
    const done = later.size === 0 ? entries : entries.filter(([id]) => !later.has(id));
    if (done.length > 0) {
      await this.#settle(done, answers);
    }
    return later;
  }

  /** Ends one that has been tried too often, unread. */
  async setApart(entry: Entry, trials: number, signal: AbortSignal): Promise<void> {
    const apart = (): Promise<Answer> => setApart(this.#parts.context, entry, trials);
    await this.#settle([entry], [await this.#patiently(apart, signal)]);
  }

  async #patiently<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { logger } = this.#parts.context;
    const onWait = (error: unknown): void => meetTrouble(logger, SUBMISSIONS, error);
    try {
      return await whileDatabaseAway(work, { signal, onWait, waitMsMax: AWAY_MS_MAX });
    } finally {
      endTrouble(logger, SUBMISSIONS, signal.aborted ? "giveUp" : "over");
    }
  }

  async #settle(entries: readonly Entry[], answers: readonly Answer[]): Promise<void> {
    await this.#answer(answers);
    const ids = entries.map(([id]) => id);
    await connectionAt(this.#parts.context.redis, globalKeys.submissions)
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
    const scripts = scriptsOf(this.#parts.context, 0);
    const isMany = isOfCluster(this.#parts.context.redis);
    const told = [...streams].map(([stream, replies]) => {
      const answered = answerSubmissions(scripts, stream, replies);
      return isMany ? inTime(answered, ANSWER_MS_MAX, undefined) : answered;
    });
    for (const result of await Promise.allSettled(told)) {
      if (result.status === "rejected") {
        this.#parts.context.logger.warn({ err: result.reason as unknown }, "no answer was given");
      }
    }
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
