/**
 * News of one kind once a minute, with how often it was not told since: a queue of steps that all fail
 * alike, thousands a second, is one piece of news.
 */
const QUIET_MS = 60_000;
/** Kinds that are remembered; then it begins anew. */
const KINDS_MAX = 1000;

export class ToldOnce {
  readonly #nowMs: () => number;
  readonly #told = new Map<string, { atMs: number; more: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Null: it was told a moment ago; else how often it was not told since, for the log. */
  next(kind: string): { before?: number } | null {
    const last = this.#told.get(kind);
    if (last !== undefined && this.#nowMs() - last.atMs < QUIET_MS) {
      last.more += 1;
      return null;
    }
    if (this.#told.size >= KINDS_MAX) {
      this.#told.clear();
    }
    this.#told.set(kind, { atMs: this.#nowMs(), more: 0 });
    return last === undefined || last.more === 0 ? {} : { before: last.more };
  }
}
