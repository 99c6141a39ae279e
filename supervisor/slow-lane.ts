/**
 * Submissions that wait for the compile thread, while all others go on: one batch after the other.
 *
 * Tenants have turns (tenant-lines.ts), so nobody waits for all that another one has sent. Files of one
 * tenant have theirs as they came: of those that take long nothing is known before.
 *
 * Known by their ids alone, since there may be many of them, and large ones. They stay pending, and
 * are touched while this lives: what lies idle is taken for left behind (trials.ts), by this supervisor
 * and by every other one, which would have the same file compiled once more.
 */
import { setTimeout as delay } from "node:timers/promises";
import { globalKeys, INTAKE_GROUP } from "../sdk/internal.ts";
import type { Entry } from "./admit-batch.ts";
import type { SupervisorContext } from "./context.ts";
import { TenantLines } from "./tenant-lines.ts";
import { endTrouble, meetTrouble } from "./trouble.ts";

/** Of one pass: what is put off again is read anew in the next. */
const PASS = 32;
/** With so many, no more submissions are to be read. */
const LANE_MAX = 10_000;
const TOUCH_EVERY_MS = 1500;
const TOUCH_BATCH = 1000;
/** A pass that takes longer than any file may hangs: others are to take over what waits for it. */
const PASS_MS_MAX = 600_000;
const RETRY_MS = 1000;
const PUT_OFF = "submissions that were put off";

/** Handles a pass; resolves with those that are put off again. Throws nothing. */
type Handle = (
  entries: readonly Entry[],
  signal: AbortSignal,
) => Promise<{ has(id: string): boolean }>;

type Pending = [id: string, ...unknown[]][];

export class SlowLane {
  readonly #context: SupervisorContext;
  readonly #handle: Handle;
  readonly #touchMs: number;
  readonly #ids = new TenantLines();
  /** A number for those that came together. */
  readonly #batchOf = new Map<string, number>();
  #batches = 0;
  #running: Promise<void> | null = null;
  #passSinceMs = 0;

  /** `touchMs`: between two touches, in tests. */
  constructor(context: SupervisorContext, handle: Handle, touchMs = TOUCH_EVERY_MS) {
    this.#context = context;
    this.#handle = handle;
    this.#touchMs = touchMs;
  }

  get isFull(): boolean {
    return this.#ids.size >= LANE_MAX;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** The same for those that were added together; none for others. */
  batchOf(id: string): number | undefined {
    return this.#batchOf.get(id);
  }

  /** Takes them, and has them handled until `signal` is aborted. */
  add(ids: Iterable<readonly [id: string, tenant: string]>, signal: AbortSignal): void {
    this.#batches++;
    for (const [id, tenant] of ids) {
      this.#ids.add(id, tenant);
      this.#batchOf.set(id, this.#batches);
    }
    if (this.#ids.size > 0 && !signal.aborted) {
      this.#running ??= this.#run(signal).finally(() => {
        this.#running = null;
        this.add([], signal); // what was added as it ended
      });
    }
  }

  /** Resolves when nothing of it is under way: when it is empty, or its signal was aborted. */
  async whenIdle(): Promise<void> {
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#context;
    const touches = setInterval(() => void this.#touch(), this.#touchMs).unref();
    while (this.#ids.size > 0 && !signal.aborted) {
      this.#passSinceMs = clock.monotonicMs();
      try {
        await this.#pass(signal);
        endTrouble(logger, PUT_OFF, "over");
      } catch (error) {
        if (!signal.aborted) {
          meetTrouble(logger, PUT_OFF, error);
          await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
        }
      }
    }
    endTrouble(logger, PUT_OFF, "giveUp");
    clearInterval(touches);
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { redis } = this.#context;
    const page = this.#ids.page(PASS);
    const read = page.map((id) => redis.xrange(globalKeys.submissions, id, id));
    // Those that are gone were answered by somebody else.
    const entries: Entry[] = (await Promise.all(read)).flat();
    const later = entries.length === 0 ? null : await this.#handle(entries, signal);
    const left = page.filter((id) => later?.has(id) === true);
    if (left.length === 0) {
      this.#ids.endTurns(page);
    }
    for (const id of page.filter((one) => !left.includes(one))) {
      this.#ids.delete(id);
      this.#batchOf.delete(id);
    }
    if (left[0] !== undefined) {
      this.#ids.turnTo(left[0]); // the thread may be at this one by now
    }
  }

  /** Only what is still its own: somebody else may have taken it over while this process was frozen. */
  async #touch(): Promise<void> {
    const { redis, id: consumer, clock } = this.#context;
    if (clock.monotonicMs() - this.#passSinceMs > PASS_MS_MAX) {
      return;
    }
    const of = [globalKeys.submissions, INTAKE_GROUP] as const;
    try {
      for (let from = "-", isMore = true; isMore;) {
        const page = ["IDLE", this.#touchMs, from, "+", TOUCH_BATCH, consumer] as const;
        const idle = ((await redis.xpending(...of, ...page)) as Pending).map(([id]) => id);
        const own = idle.filter((id) => this.#ids.has(id));
        if (own.length > 0) {
          await redis.xclaim(...of, consumer, 0, ...own, "JUSTID");
        }
        isMore = idle.length === TOUCH_BATCH;
        from = `(${idle.at(-1)}`;
      }
    } catch (error) {
      this.#context.logger.warn({ err: error }, "submissions that were put off were not touched");
    }
  }
}
