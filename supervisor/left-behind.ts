/**
 * Taking over what an intake has left behind: it died, or lost its connection. Each is tried alone
 * (trials.ts), for a while at a time, between which new entries have their turn.
 */
import { createGroups, globalKeys, INTAKE_GROUP } from "../sdk/internal.ts";
import type { BatchHandler } from "./batch-handler.ts";
import type { SupervisorContext } from "./context.ts";
import { within } from "./loop.ts";
import { Trials, TRIALS_MAX, type LeftBehind } from "./trials.ts";

const BATCH = 256;
/** Between two looks for what is left behind. */
export const LOOK_MS = 2000;
/** What is left behind is tried for so long at a time, before new entries have their turn. */
const TURN_MS_MAX = 2000;

/** What else its intake is at. */
export interface Besides {
  /** Whether it has this one itself. */
  isInHand(id: string): boolean;
  /** Resolves when none of its batches is under way. */
  idle(): Promise<unknown>;
  /** Whether the compile thread is at work. */
  isCompiling(): boolean;
}

/** In tests otherwise: how long a submission takes that kills, and the age at which one is tried. */
export interface TrialTimes {
  trialMs?: number | undefined;
  youngMs?: number | undefined;
}

export class Takeover {
  readonly #context: SupervisorContext;
  readonly #batches: BatchHandler;
  readonly #besides: Besides;
  readonly #trials: Trials;
  readonly #trialMs: number;
  #trial: Promise<void> | null = null;
  #nextMs = 0;

  constructor(
    context: SupervisorContext,
    batches: BatchHandler,
    besides: Besides,
    { trialMs, youngMs }: TrialTimes,
  ) {
    this.#context = context;
    this.#batches = batches;
    this.#besides = besides;
    this.#trials = new Trials(context, { soonMs: trialMs, youngMs });
    this.#trialMs = trialMs ?? TURN_MS_MAX;
  }

  /** The trial under way. */
  get trial(): Promise<void> | null {
    return this.#trial;
  }

  /** Tries what is left behind; whether some is left. */
  async look(signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#context;
    const beganMs = clock.monotonicMs();
    if (beganMs < this.#nextMs || this.#trial !== null) {
      return false;
    }
    const found = await this.#trials
      .leftBehind(BATCH)
      .catch((error) => ifNoGroup(this.#context, error));
    // What waits for Postgres here, or for the compile thread, is not left.
    const left = found.filter(({ id }) => !this.#besides.isInHand(id));
    // Alone: what kills must not be taken for another one.
    if (left.length > 0) {
      await this.#besides.idle();
    }
    let isMore = left.length === BATCH;
    for (const one of left) {
      const isLong = this.#trial !== null || clock.monotonicMs() - beganMs > TURN_MS_MAX;
      if (signal.aborted || isLong) {
        isMore = true;
        break;
      }
      // One that takes long, in the compile thread, goes on while new entries are read.
      this.#trial = this.#try(one, signal).finally(() => (this.#trial = null));
      await within(this.#trial, this.#trialMs);
    }
    this.#nextMs = isMore ? 0 : beganMs + LOOK_MS;
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
        ? this.#batches.setApart(entry, trials, signal)
        : this.#batches.handle([entry], signal, { isSuspect: true }).then(() => undefined);
    await this.#trials
      .outlive(one, work, () => this.#besides.isCompiling())
      .catch((error: unknown) => this.#batches.leavePending([entry], error, signal));
  }
}

/** Redis was emptied: makes the group again, and there is nothing. Other errors pass. */
export async function ifNoGroup(context: SupervisorContext, error: unknown): Promise<[]> {
  if (!(error instanceof Error) || !error.message.startsWith("NOGROUP")) {
    throw error;
  }
  await createGroups(context.redis, [globalKeys.submissions], INTAKE_GROUP);
  return [];
}
