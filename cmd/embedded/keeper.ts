/** Keeps a child process running: one that ends unasked is started again, on the same data. */
import type { Child } from "./child.ts";
import { pause } from "./sockets.ts";

const DELAY_MS = 100;
const DELAY_MAX_MS = 5000;
/** A child that has run this long is well; the next delay is short again. */
const WELL_AFTER_MS = 30_000;

export class Keeper<C extends Child> implements Child {
  readonly #name: string;
  readonly #start: () => Promise<C>;
  readonly #log: (message: string) => void;
  #stopping = false;
  #kept: Promise<void> = Promise.resolve();
  #child: C | undefined;

  constructor(name: string, start: () => Promise<C>, log: (message: string) => void) {
    this.#name = name;
    this.#start = start;
    this.#log = log;
  }

  /** Resolves when `stop` has ended it. */
  get ended(): Promise<string> {
    return this.#kept.then(() => "stopped");
  }

  /** The first start; its failure is thrown, not repeated. */
  async start(): Promise<C> {
    const child = await this.#start();
    this.#child = child;
    this.#kept = this.#keep(child);
    return child;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#child?.stop();
    await this.#kept;
  }

  async #keep(first: C): Promise<void> {
    let child: C | undefined = first;
    let delayMs = DELAY_MS;
    for (;;) {
      const since = performance.now();
      const reason = await (child?.ended ?? "not started");
      if (this.#stopping) {
        return;
      }
      delayMs = performance.now() - since > WELL_AFTER_MS ? DELAY_MS : delayMs;
      this.#log(`${this.#name} ended unexpectedly (${reason}); starting it again`);
      await pause(delayMs);
      delayMs = Math.min(delayMs * 2, DELAY_MAX_MS);
      child = await this.#again();
    }
  }

  async #again(): Promise<C | undefined> {
    try {
      const child = await this.#start();
      this.#child = child;
      // Stopped meanwhile: the stop has met the child before this one.
      if (this.#stopping) {
        await child.stop();
      }
      return child;
    } catch (error) {
      this.#log(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }
}
