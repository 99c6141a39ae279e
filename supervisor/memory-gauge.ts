/**
 * Whether Redis has room for runs that have not begun.
 *
 * A server with `maxmemory` and `noeviction` refuses what needs memory once it is full. What is
 * under way may still write then (scripts/include/partition.lua), because only its end gives memory
 * back; new runs may not. They are held back earlier, so that there is room to end in: their rows
 * are accepted in Postgres, they leave the queue of submissions, and the sweep over queued rows
 * starts them when there is room again. So a flood ends up on disk and not in memory.
 */
import type { Redis } from "ioredis";
import { inTime } from "../sdk/internal.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";

/** Share of `maxmemory` above which nothing new begins. */
export const TIGHT_SHARE = 0.75;
const LOOK_MS = 250;
/** A server that does not answer for longer is not waited for: a start there fails by itself. */
const ANSWER_MS = 500;

interface Look {
  nextMs: number;
  isTight: boolean;
}

export class MemoryGauge {
  readonly #context: SupervisorContext;
  readonly #looks = new Map<Redis, Look>();

  constructor(context: SupervisorContext) {
    this.#context = context;
  }

  /** Those of the partitions whose server has no room; each server is asked now and then. */
  async tight(partitions: ReadonlySet<number>): Promise<Set<number>> {
    const tight = new Set<number>();
    await Promise.all(
      [...partitions].map(async (partition) => {
        if (await this.#isTight(scriptsOf(this.#context, partition).redis)) {
          tight.add(partition);
        }
      }),
    );
    return tight;
  }

  /** A server has refused a write: there is no room, whatever the last looks said. */
  refused(): void {
    for (const look of this.#looks.values()) {
      look.nextMs = this.#context.clock.monotonicMs() + LOOK_MS;
      this.#set(look, true, {});
    }
  }

  async #isTight(redis: Redis): Promise<boolean> {
    const look = this.#looks.get(redis) ?? { nextMs: 0, isTight: false };
    this.#looks.set(redis, look);
    const now = this.#context.clock.monotonicMs();
    if (now >= look.nextMs) {
      look.nextMs = now + LOOK_MS;
      const { isTight, ...bytes } = await memoryUse(redis);
      this.#set(look, isTight, bytes);
    }
    return look.isTight;
  }

  #set(look: Look, isTight: boolean, about: object): void {
    if (isTight !== look.isTight) {
      const text = isTight ? "Redis is almost full: no run begins" : "Redis has room: runs begin";
      this.#context.logger.warn(about, text);
    }
    look.isTight = isTight;
  }
}

/** What a server holds, in bytes; without `maxmemory` (0) there is always room. */
export async function memoryUse(
  redis: Redis,
): Promise<{ used: number; limit: number; isTight: boolean }> {
  const info = await inTime(redis.info("memory"), ANSWER_MS, "");
  const [used, limit] = [field(info, "used_memory"), field(info, "maxmemory")];
  return { used, limit, isTight: limit > 0 && used > limit * TIGHT_SHARE };
}

function field(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1] ?? 0);
}
