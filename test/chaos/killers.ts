/**
 * Kills every worker again and again, at a random moment soon after it is up, and starts another at
 * once: none lives long enough to mend more than a moment's work, and all of it must be mended.
 */
import type { ChildProcess } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { LeftBehind } from "./left-behind.ts";
import type { ChaosOptions } from "./run.ts";
import type { ChaosStack } from "./stack.ts";

/** How long a worker lives at most, once it is up; one in so many, that is more at work by then. */
const LIFE_MS = 300;
const LONG_LIFE_MS = 3000;
const LONG_EVERY = 10;
/** So many tell how far it is. */
const TOLD_TIMES = 20;

/** What was done, and what it led to. */
export interface Killed {
  count: number;
  perMinute: number;
  /** Longest that an entry lay with a dead worker until another took it, ms; the lease included. */
  longestLeftMs: number;
  /** Members of all queues' groups at the end, dead workers among them, and of the fullest. */
  consumers: { all: number; fullest: number };
}

export class Killers {
  readonly #stack: ChaosStack;
  readonly #kills: number;
  readonly #random: () => number;
  readonly #log: (text: string) => void;
  readonly #enough: AbortSignal | undefined;
  #begun = 0;
  #count = 0;

  constructor(stack: ChaosStack, options: ChaosOptions, random: () => number) {
    this.#stack = stack;
    this.#kills = options.kills ?? 0;
    this.#random = random;
    this.#log = options.log;
    this.#enough = options.enough;
  }

  /** Whether the last of them is still to come. */
  get isBusy(): boolean {
    return this.#count < this.#kills && this.#enough?.aborted !== true;
  }

  /** Kills so often, or until told that it is enough; as many workers live then as before. */
  async run(): Promise<Killed> {
    const started = performance.now();
    const leftBehind = await LeftBehind.watch(this.#stack);
    await Promise.all([...this.#stack.roles.worker].map((child) => this.#again(child)));
    const minutes = (performance.now() - started) / 60_000;
    return {
      count: this.#count,
      perMinute: Math.round(this.#count / minutes),
      longestLeftMs: await leftBehind.stop(),
      consumers: await leftBehind.consumers(),
    };
  }

  async #again(first: ChildProcess): Promise<void> {
    for (let child = first; this.#begun < this.#kills && this.isBusy;) {
      this.#begun += 1;
      const lifeMs = this.#begun % LONG_EVERY === 0 ? LONG_LIFE_MS : LIFE_MS;
      await pause(this.#random() * lifeMs);
      await this.#stack.kill("worker", this.#stack.roles.worker.indexOf(child));
      this.#count += 1;
      if (this.#count % Math.ceil(this.#kills / TOLD_TIMES) === 0) {
        this.#log(`${this.#count} of ${this.#kills} kills`);
      }
      child = await this.#stack.spawn("worker");
    }
  }
}
