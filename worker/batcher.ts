/**
 * Collects finished tokens and settles them in batches, one script call at a time.
 *
 * It never waits for more: it flushes when the event loop turns. While a call is under way the next
 * batch grows, so the batch size follows the load by itself. One call at a time also keeps the
 * items of one run in order (21 B2).
 */
import { completeBatch, type CompletionItem, type ScriptRunner } from "../sdk/internal.ts";

/** What an item's sender is told: its code, and the partition's takeovers at that moment. */
export type Settled = (code: number, takeovers: number) => void;

export interface BatcherOptions {
  scripts: ScriptRunner;
  /** This worker's name in the consumer groups. */
  consumer: string;
  /** Items per call. */
  itemsMax: number;
  /** A call that failed for good: its items stay pending and are taken over later. */
  onError: (error: unknown, items: number) => void;
}

export class CompletionBatcher {
  readonly #options: BatcherOptions;
  #items: CompletionItem[] = [];
  #settled: Settled[] = [];
  #inCall = 0;
  #scheduled = false;
  #flushing = false;
  #idle: (() => void)[] = [];
  #takeovers: number | undefined;

  constructor(options: BatcherOptions) {
    this.#options = options;
  }

  /** Items handed over and not yet settled. */
  get pending(): number {
    return this.#items.length + this.#inCall;
  }

  /** Takeovers of entries in the partition as of the last call; undefined before the first. */
  get takeovers(): number | undefined {
    return this.#takeovers;
  }

  /** Hands an item over; `settled` gets its COMPLETION code, NaN if the call failed. */
  add(item: CompletionItem, settled: Settled): void {
    this.#items.push(item);
    this.#settled.push(settled);
    this.#schedule();
  }

  /** Resolves when everything handed over so far is settled. */
  drain(): Promise<void> {
    if (this.#items.length === 0 && !this.#flushing) {
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #schedule(): void {
    if (!this.#scheduled && !this.#flushing) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        void this.#flush();
      });
    }
  }

  async #flush(): Promise<void> {
    if (this.#flushing) {
      return;
    }
    this.#flushing = true;
    const { scripts, consumer } = this.#options;
    while (this.#items.length > 0) {
      const items = this.#items.splice(0, this.#options.itemsMax);
      const settled = this.#settled.splice(0, this.#options.itemsMax);
      this.#inCall = items.length;
      try {
        const { codes, takeovers } = await completeBatch(scripts, items, consumer);
        this.#inCall = 0;
        this.#takeovers = takeovers;
        settled.forEach((tell, i) => tell(codes[i] as number, takeovers));
      } catch (error) {
        this.#inCall = 0;
        this.#options.onError(error, items.length);
        settled.forEach((tell) => tell(Number.NaN, -1));
      }
    }
    this.#flushing = false;
    this.#idle.splice(0).forEach((resolve) => resolve());
  }
}
