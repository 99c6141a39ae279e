/**
 * An abort controller that is made when somebody asks for its signal. Most handlers never do, and
 * an AbortSignal costs more than the rest of what a plain step needs in memory.
 */
export class LazyAbort {
  #controller: AbortController | null = null;
  #reason: unknown = null;
  #isAborted = false;
  #onAbort: (() => void) | null = null;

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#isAborted) {
        this.#controller.abort(this.#reason);
      }
    }
    return this.#controller.signal;
  }

  /** Has `listener` called when this is aborted, after those of the signal; needs none itself. */
  onAbort(listener: () => void): void {
    this.#onAbort = listener;
  }

  /** Only the first time: as of a signal, its reason stays. */
  abort(reason: unknown): void {
    if (!this.#isAborted) {
      this.#isAborted = true;
      this.#reason = reason;
      this.#controller?.abort(reason);
      this.#onAbort?.();
    }
  }
}
