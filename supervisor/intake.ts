/**
 * Intake: turns entries of gv:submissions into runs. Any number of intakes may read at once.
 *
 * An entry is acknowledged last, after its row is committed, its run started and its answer given
 * (batch-handler.ts). What needs the compile thread waits apart from the others (slow-lane.ts); what
 * a dead intake held is taken over by another one, entry by entry (left-behind.ts). Every step is
 * harmless when repeated (admit-batch.ts).
 *
 * When a partition's journal outgrows a limit no more entries are taken (journal-gauge.ts).
 */
import type { Redis } from "ioredis";
import { globalKeys, INTAKE_GROUP } from "../sdk/internal.ts";
import type { Entry } from "./admit-batch.ts";
import { BatchHandler } from "./batch-handler.ts";
import type { CompileGuard } from "./compile-guard.ts";
import type { SupervisorContext } from "./context.ts";
import { BACKLOG_LOOK_MS, JournalGauge, type BacklogLimits } from "./journal-gauge.ts";
import { ifNoGroup, Takeover, type TrialTimes } from "./left-behind.ts";
import { LimitWatch } from "./limits.ts";
import { Loop } from "./loop.ts";
import type { PutOff } from "./patience.ts";
import { SlowLane } from "./slow-lane.ts";
import type { Starter } from "./starter.ts";
import { Workflows, type Compile } from "./workflows.ts";

const BATCH = 256;
/** While one batch waits for Postgres, the next is read and compiled. */
const BATCHES_IN_FLIGHT = 2;
const BLOCK_MS = 1000;
/** So long one batch of the slow lane waits for the compile thread, beyond its first file. */
const SLOW_BATCH_MS = 200;

export interface IntakeOptions extends BacklogLimits, TrialTimes {
  context: SupervisorContext;
  compile: Compile;
  /** Compiles what takes long; without it all is compiled on the event loop. */
  guard?: CompileGuard;
  starter: Starter;
  limits?: LimitWatch;
  /** Between two touches of what waits for the compile thread, in tests, ms. */
  touchMs?: number;
}

export class Intake extends Loop {
  readonly #context: SupervisorContext;
  readonly #redis: Redis;
  readonly #gauge: JournalGauge;
  readonly #batches: BatchHandler;
  readonly #takeover: Takeover;
  readonly #slow: SlowLane;
  readonly #inFlight = new Set<Promise<unknown>>();
  /** Entries of batches under way. */
  readonly #inHand = new Set<string>();

  constructor(options: IntakeOptions) {
    const { context, starter, guard } = options;
    const redis = context.openRedis("intake", globalKeys.submissions);
    super({
      name: "intake",
      logger: context.logger,
      step: (signal) => this.#step(signal),
      interrupt: () => {
        redis.disconnect();
        void guard?.stop(); // what waits for it stays pending
      },
      close: async () => {
        await guard?.stop();
        await Promise.all([...this.#inFlight, this.#slow.whenIdle(), this.#takeover.trial]);
      },
    });
    this.#context = context;
    this.#redis = redis;
    this.#gauge = new JournalGauge(context, options);
    const workflows = new Workflows(context, options.compile, guard);
    const limits = options.limits ?? new LimitWatch(context, starter);
    const batchOf = (id: string): number | undefined => this.#slow.batchOf(id);
    this.#batches = new BatchHandler({ context, workflows, starter, limits, batchOf });
    this.#slow = new SlowLane(context, (...work) => this.#handleSlow(...work), options.touchMs);
    const besides = {
      // What waits for Postgres here, or for the compile thread, is not left behind.
      isInHand: (id: string) => this.#inHand.has(id) || this.#slow.has(id),
      idle: () => Promise.all(this.#inFlight),
      isCompiling: () => guard?.isBusy === true,
    };
    this.#takeover = new Takeover(context, this.#batches, besides, options);
  }

  async #step(signal: AbortSignal): Promise<number> {
    if (await this.#gauge.isBehind()) {
      return BACKLOG_LOOK_MS;
    }
    if (this.#slow.isFull) {
      const text = "intake pauses: so many submissions wait for the compile thread";
      this.#context.logger.warn(text);
      return BACKLOG_LOOK_MS;
    }
    const isMore = await this.#takeover.look(signal);
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
    this.#slow.add(await this.#batches.handleApart(entries, 0, signal), signal);
    entries.forEach(([id]) => this.#inHand.delete(id));
  }

  /** What is on trial has the thread for itself. */
  async #handleSlow(entries: readonly Entry[], signal: AbortSignal): Promise<PutOff> {
    await this.#takeover.trial;
    return this.#batches.handleApart(entries, SLOW_BATCH_MS, signal);
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
      return ifNoGroup(this.#context, error);
    }
  }
}
