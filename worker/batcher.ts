/**
 * Collects finished tokens and settles them in batches.
 *
 * It never waits for more: it flushes when the event loop turns. While a call is under way the next
 * batch grows, so the batch size follows the load by itself. Under load Redis and the worker would
 * take turns, each idle while the other works; so a batch that is full by then is sent behind the
 * call under way. What the answers to one unit's items say depends on their order, which a call that
 * is repeated loses, so a second call has no items of units in the first (21 B2).
 */
import { completeBatch, type CompletionItem, type ScriptRunner } from "../sdk/internal.ts";

/** One that Redis executes, and one that it has next. */
const CALLS_MAX = 2;

export interface BatcherOptions<Sent extends { item: CompletionItem }> {
  scripts: ScriptRunner;
  /** This worker's name in the consumer groups. */
  consumer: string;
  /** Items per call. */
  itemsMax: number;
  /** What the items of a call do to other nodes: it bounds the time that Redis takes for it. */
  effectsMax: number;
  /** Characters of what the items of a call put out: they bound a record of the journal. */
  charsMax: number;
  /**
   * Told of every batch: its COMPLETION codes, NaN where it is not known what became of an item, and
   * the partition's takeovers at that moment, -1 if that is not known.
   */
  onSettled: (sent: readonly Sent[], codes: readonly number[], takeovers: number) => void;
  /** So many items of a call failed for good: they stay pending and are taken over later. */
  onError: (error: unknown, items: number) => void;
}

export class CompletionBatcher<Sent extends { item: CompletionItem }> {
  readonly #options: BatcherOptions<Sent>;
  #waiting: Sent[] = [];
  /** Units of the items in each call under way: a set of its own, which goes with its call. */
  #inCalls: readonly ReadonlySet<string>[] = [];
  #calls = 0;
  /** Items in calls under way. */
  #sent = 0;
  #scheduled = false;
  #idle: (() => void)[] = [];
  #takeovers: number | undefined;
  /** So often forsaken: what a call of before says of takeovers is of a server that may be another. */
  #forsaken = 0;

  constructor(options: BatcherOptions<Sent>) {
    this.#options = options;
  }

  /** Items handed over and not yet settled. */
  get pending(): number {
    return this.#waiting.length + this.#sent;
  }

  /**
   * Takeovers of entries in the partition as of the last call; undefined before the first, and anew when
   * the partition's epoch is another: they may be counted from 0 again.
   */
  get takeovers(): number | undefined {
    return this.#takeovers;
  }

  /** Hands an item over, with what its sender wants to be reminded of. */
  add(sent: Sent): void {
    this.#waiting.push(sent);
    if (!this.#scheduled && this.#mayFlush) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
  }

  /** Takes back what is not sent yet; nobody is told about it. */
  forsake(): void {
    this.#waiting = [];
    this.#takeovers = undefined;
    this.#forsaken += 1;
  }

  /** Resolves when everything handed over so far is settled. */
  drain(): Promise<void> {
    if (this.pending === 0) {
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  get #mayFlush(): boolean {
    return this.#calls === 0 || this.#isFull;
  }

  /** Enough waits for a call behind those under way. */
  get #isFull(): boolean {
    return this.#calls < CALLS_MAX && this.#waiting.length >= this.#options.itemsMax;
  }

  #isInCall(unit: string): boolean {
    return this.#inCalls.some((units) => units.has(unit));
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#mayFlush) {
      const batch = this.#next();
      if (batch.length === 0) {
        return;
      }
      void this.#call(batch);
    }
    if (this.pending === 0) {
      this.#idle.splice(0).forEach((resolve) => resolve());
    }
  }

  /** Takes a batch of those that wait; behind a call under way a full one or none. */
  #next(): Sent[] {
    const { itemsMax, effectsMax, charsMax } = this.#options;
    const batch: Sent[] = [];
    const rest: Sent[] = [];
    let effects = 0;
    let chars = 0;
    let isFull = false;
    for (const sent of this.#waiting) {
      if (isFull || this.#isInCall(sent.item.runId)) {
        rest.push(sent);
        continue;
      }
      batch.push(sent);
      effects += effectsOf(sent.item);
      chars += charsOf(sent.item);
      isFull = batch.length >= itemsMax || effects >= effectsMax || chars >= charsMax;
    }
    if (this.#calls > 0 && !isFull) {
      return [];
    }
    this.#waiting = rest;
    return batch;
  }

  async #call(sent: Sent[]): Promise<void> {
    const { scripts, consumer, onSettled, onError } = this.#options;
    const items = sent.map(({ item }) => item);
    this.#calls += 1;
    this.#sent += items.length;
    const units = new Set(items.map(({ runId }) => runId));
    this.#inCalls = [...this.#inCalls, units];
    const forsaken = this.#forsaken;
    const { codes, takeovers, error } = await completeBatch(scripts, items, consumer);
    if (takeovers >= 0 && forsaken === this.#forsaken) {
      this.#takeovers = takeovers;
    }
    if (error !== null) {
      onError(error, codes.filter(Number.isNaN).length);
    }
    this.#calls -= 1;
    this.#sent -= items.length;
    this.#inCalls = this.#inCalls.filter((others) => others !== units);
    onSettled(sent, codes, takeovers);
    this.#flush();
  }
}

/** A dead edge has as many as there are joins on the border of what dies with it. */
function effectsOf({ results }: CompletionItem): number {
  let effects = 0;
  for (const { plan } of results) {
    effects += plan.plain.length / 2 + plan.args.length / 8;
  }
  return effects;
}

function charsOf({ results, blobs }: CompletionItem): number {
  let chars = 0;
  for (const { value, extra, plan } of results) {
    chars += value.length + extra.length + plan.closure.length;
  }
  if (blobs !== undefined) {
    for (const { text } of blobs) {
      chars += text.length;
    }
  }
  return chars;
}
