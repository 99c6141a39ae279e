/**
 * Collects finished tokens and settles them in batches, one script call at a time.
 *
 * It never waits for more: it flushes when the event loop turns. While a call is under way the next
 * batch grows, so the batch size follows the load by itself. One call at a time also keeps the
 * items of one run in order (21 B2).
 */
import { completeBatch, type CompletionItem, type ScriptRunner } from "../sdk/internal.ts";

export interface BatcherOptions<Sent extends { item: CompletionItem }> {
  scripts: ScriptRunner;
  /** This worker's name in the consumer groups. */
  consumer: string;
  /** Items per call. */
  itemsMax: number;
  /**
   * Told of every batch: its COMPLETION codes, NaN for all if the call failed, and the partition's
   * takeovers at that moment.
   */
  onSettled: (sent: readonly Sent[], codes: readonly number[], takeovers: number) => void;
  /** A call that failed for good: its items stay pending and are taken over later. */
  onError: (error: unknown, items: number) => void;
}

export class CompletionBatcher<Sent extends { item: CompletionItem }> {
  readonly #options: BatcherOptions<Sent>;
  #waiting: Sent[] = [];
  #inCall = 0;
  #scheduled = false;
  #flushing = false;
  #idle: (() => void)[] = [];
  #takeovers: number | undefined;

  constructor(options: BatcherOptions<Sent>) {
    this.#options = options;
  }

  /** Items handed over and not yet settled. */
  get pending(): number {
    return this.#waiting.length + this.#inCall;
  }

  /** Takeovers of entries in the partition as of the last call; undefined before the first. */
  get takeovers(): number | undefined {
    return this.#takeovers;
  }

  /** Hands an item over, with what its sender wants to be reminded of. */
  add(sent: Sent): void {
    this.#waiting.push(sent);
    this.#schedule();
  }

  /** Takes back what is not sent yet; nobody is told about it. */
  forsake(): void {
    this.#waiting = [];
  }

  /** Resolves when everything handed over so far is settled. */
  drain(): Promise<void> {
    if (this.#waiting.length === 0 && !this.#flushing) {
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
    while (this.#waiting.length > 0) {
      const sent = this.#waiting.splice(0, this.#options.itemsMax);
      const items = sent.map(({ item }) => item);
      this.#inCall = items.length;
      let codes: number[];
      let takeovers = -1;
      try {
        ({ codes, takeovers } = await completeBatch(scripts, items, consumer));
        this.#takeovers = takeovers;
      } catch (error) {
        this.#options.onError(error, items.length);
        codes = items.map(() => Number.NaN);
      }
      this.#inCall = 0;
      this.#options.onSettled(sent, codes, takeovers);
    }
    this.#flushing = false;
    this.#idle.splice(0).forEach((resolve) => resolve());
  }
}
