/** What a driver draws from a seed: which of its consumers acts next, and what goes wrong. */
import { countDeath } from "./cases.ts";

export interface Schedule {
  /** Uniform in [0, 1). */
  random(): number;
  /** Probabilities per step. */
  die: number;
  steal: number;
  duplicate: number;
  /** How often a duplicate may come again; 1. */
  repeats?: number;
  late: number;
  /** Pauses the run, or resumes it when it is paused. */
  pause?: number;
  /**
   * People and other programs, who may act before every step. `isIdle`: nothing but they can move
   * the run on. Whether they could.
   */
  outside?(isIdle: boolean): Promise<boolean>;
}

/** Draws whether a worker dies here; deaths are counted with what is played. */
export function dies({ random, die }: Pick<Schedule, "random" | "die">): boolean {
  const isDead = random() < die;
  if (isDead) {
    countDeath();
  }
  return isDead;
}

/** Names in the consumer groups of those who take part. */
export const CONSUMERS: readonly string[] = ["c0", "c1", "c2"];

/** Any of these. */
export function pick<T>({ random }: Pick<Schedule, "random">, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)] as T;
}
