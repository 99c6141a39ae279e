/**
 * Limits of whole runs: how many of one key may be in progress, and how many may start in a time.
 *
 * As the engine has them (docs/limits.md): a run that is one too many waits for its turn, or is
 * rejected; no window of the rate's time has more starts than its limit. Runs here do not cancel one
 * another, so `cancel_running` waits like `queue`.
 */
import { compileTemplate } from "../../condition/index.ts";
import type { IrConcurrency, IrRateLimit, IrSettings, Json } from "../../compiler/index.ts";
import type { Rate } from "./limits.ts";

/** Limits that take the place of the workflow's own. */
export interface RunLimits {
  atOnce?: number;
  rate?: Rate;
}

export interface Arrived {
  /** What templates of keys see. */
  input: Json;
  id: string;
  begin(): void;
  /** It is not let in at all. */
  reject(): void;
}

export interface GateClock {
  readonly now: number;
  /** Call back when so many ms have gone by. */
  after(ms: number, happen: () => void): void;
}

interface Waiting {
  run: Arrived;
  since: number;
}

export class RunGate {
  readonly #concurrency: IrConcurrency | undefined;
  readonly #rate: IrRateLimit | undefined;
  readonly #clock: GateClock;
  readonly #inProgress = new Map<string, number>();
  /** Starts by key, the oldest first. */
  readonly #starts = new Map<string, number[]>();
  #waiting: Waiting[] = [];
  /** How long runs have waited to start, all together, and how many have started. */
  waitedMs = 0;
  started = 0;

  constructor(settings: IrSettings, limits: RunLimits, clock: GateClock) {
    const { atOnce, rate } = limits;
    this.#concurrency =
      atOnce === undefined
        ? settings.concurrency
        : { key: "", limit: atOnce, on_conflict: "queue" };
    this.#rate = rate === undefined ? settings.rate_limit : { key: "", ...rate };
    this.#clock = clock;
  }

  get isLimited(): boolean {
    return this.#concurrency !== undefined || this.#rate !== undefined;
  }

  arrive(run: Arrived): void {
    const isFull = this.#placesLeft(run) <= 0;
    if (isFull && this.#concurrency?.on_conflict === "reject") return run.reject();
    this.#waiting.push({ run, since: this.#clock.now });
    this.#admit();
  }

  /** A run that was let in has ended. */
  ended(run: Pick<Arrived, "input" | "id">): void {
    if (this.#concurrency === undefined) return;
    const key = keyOf(this.#concurrency.key, run);
    this.#inProgress.set(key, (this.#inProgress.get(key) ?? 1) - 1);
    this.#admit();
  }

  /** In the order of their arrival; who waits for a key does not hold up the others. */
  #admit(): void {
    const left: Waiting[] = [];
    const admitted: Waiting[] = [];
    for (const [at, entry] of this.#waiting.entries()) {
      if (this.#mayStart(entry.run)) {
        this.#enter(entry.run);
        admitted.push(entry);
      } else if (this.#isKeyed) {
        left.push(entry);
      } else {
        // All wait for the same.
        left.push(...this.#waiting.slice(at));
        break;
      }
    }
    this.#waiting = left;
    for (const { run, since } of admitted) {
      this.started += 1;
      this.waitedMs += this.#clock.now - since;
      run.begin();
    }
  }

  get #isKeyed(): boolean {
    return (this.#concurrency?.key ?? "") !== "" || (this.#rate?.key ?? "") !== "";
  }

  #mayStart(run: Arrived): boolean {
    return this.#placesLeft(run) > 0 && this.#untilStart(run) === 0;
  }

  #enter(run: Arrived): void {
    if (this.#concurrency !== undefined) {
      const key = keyOf(this.#concurrency.key, run);
      this.#inProgress.set(key, (this.#inProgress.get(key) ?? 0) + 1);
    }
    const rate = this.#rate;
    if (rate === undefined) return;
    const key = keyOf(rate.key, run);
    const starts = [...(this.#starts.get(key) ?? []), this.#clock.now];
    this.#starts.set(key, starts.slice(-Math.ceil(rate.limit)));
    // Whoever waits for this start to fall out of the window comes again then.
    this.#clock.after(rate.per_ms, () => this.#admit());
  }

  #placesLeft(run: Arrived): number {
    if (this.#concurrency === undefined) return 1;
    const { key, limit } = this.#concurrency;
    return limit - (this.#inProgress.get(keyOf(key, run)) ?? 0);
  }

  /** Ms until the window has room for another start. */
  #untilStart(run: Arrived): number {
    if (this.#rate === undefined) return 0;
    const { key, limit, per_ms: perMs } = this.#rate;
    const starts = this.#starts.get(keyOf(key, run)) ?? [];
    const oldest = starts[starts.length - Math.ceil(limit)];
    return oldest === undefined ? 0 : Math.max(0, oldest + perMs - this.#clock.now);
  }
}

/** As the supervisor makes it: what the template gives, as text. */
function keyOf(key: string, { input, id }: Pick<Arrived, "input" | "id">): string {
  if (key === "") return "";
  const value = compileTemplate(key).evaluate({ input, run: { id } } as never);
  return typeof value === "string" ? value : JSON.stringify(value);
}
