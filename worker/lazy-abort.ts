/**
 * An abort controller that is made when somebody asks for its signal. Most handlers never do, and
 * an AbortSignal costs more than the rest of what a plain step needs in memory.
 */
export class LazyAbort {
  #controller: AbortController | null = null;
  #reason: unknown = null;
  #isAborted = false;

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#isAborted) {
        this.#controller.abort(this.#reason);
      }
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#isAborted = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
