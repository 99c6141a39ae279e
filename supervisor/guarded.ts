/**
 * Writing as long as nobody else has begun the same.
 *
 * Who puts runs back may have lost its role long ago: it stood still, or what it has sent arrives
 * late. By then another one may be at it, or have done it, and the runs have gone on. So each who
 * begins leaves a mark of its own in Redis - of a partition in its `meta`, of a run in its hash - and
 * each of its writes is carried out only while the mark is there (scripts/write_anyway.lua).
 *
 * Where nothing may be missing in the end, because the server may be replaced by one that has not all,
 * the mark is a number that each write raises by one. A client that has lost an answer sends the write
 * again (ioredis does by itself), and that one is refused: the number is there already.
 */
import {
  writeAnyway,
  writeGuarded,
  type Command,
  type Guard,
  type Redis,
} from "../sdk/internal.ts";
import { isValueFault } from "../sdk/postgres/index.ts";

/** Carries commands out in one step. Throws Superseded. */
export type Write = (commands: readonly Command[]) => Promise<void>;

/** Somebody else is at it now: the state that was to be written is one of before. */
export class Superseded extends Error {
  constructor({ key, field }: Guard) {
    const why = "somebody else is at it, or its server was replaced by one that has not all of it";
    super(`${key} has another ${field}: ${why}; nothing more is written here`);
  }
}

/** Writes for as long as the mark is there; without one, in any case. */
export function writeWhile(redis: Redis, guard?: Guard): Write {
  return async (commands) => {
    if (guard === undefined) {
      await writeAnyway(redis, commands);
    } else if (!(await writeGuarded(redis, commands, guard))) {
      throw new Superseded(guard);
    }
  };
}

/**
 * Carries out in one step what puts `done` in place of `guard`, and where that is so already does
 * nothing: the client had lost the answer and has sent it again. Nobody else may ever write `done`.
 * Throws Superseded.
 */
export async function writeOnce(
  redis: Redis,
  commands: readonly Command[],
  guard: Guard,
  done: Guard,
): Promise<void> {
  if (!(await writeGuarded(redis, commands, guard))) {
    if ((await redis.hget(done.key, done.field)) !== done.value) {
      throw new Superseded(guard);
    }
  }
}

/** Writes of which each is carried out once, and none before all that were begun before it. */
export class CountedWrites {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #field: string;
  readonly #end: number;
  #count: number;
  #last: Promise<void> = Promise.resolve();

  /** The field holds `from`, put there by who counts, and never as much as `end`. */
  constructor(redis: Redis, mark: { key: string; field: string; from: number; end: number }) {
    this.#redis = redis;
    this.#key = mark.key;
    this.#field = mark.field;
    this.#count = mark.from;
    this.#end = mark.end;
  }

  readonly write: Write = async (commands) => {
    if (commands.length > 0) {
      const guard = { key: this.#key, field: this.#field, value: String(this.#count) };
      this.#count += 1;
      this.#last = this.#carryOut(commands, guard, this.#last);
      await this.#last;
    }
  };

  async #carryOut(
    commands: readonly Command[],
    guard: Guard,
    before: Promise<void>,
  ): Promise<void> {
    before.catch(() => undefined); // who began it hears of that
    const raise = ["HSET", this.#key, this.#field, Number(guard.value) + 1];
    try {
      await this.#once([...commands, raise], guard, before);
    } catch (error) {
      if (isValueFault(error)) {
        // It could not be sent, and those behind it wait for its number.
        await this.#once([raise], guard, before);
      }
      throw error;
    }
  }

  async #once(commands: readonly Command[], guard: Guard, before: Promise<void>): Promise<void> {
    const done = Number(guard.value) + 1;
    while (!(await writeGuarded(this.#redis, commands, guard))) {
      // It may have overtaken those: where one was sent again, or to another node.
      await before.catch(unlessValueFault);
      const found = Number(await this.#redis.hget(this.#key, this.#field));
      if (found >= done && found < this.#end) {
        return; // it is there, and its answer was lost
      }
      if (found !== done - 1) {
        throw new Superseded(guard);
      }
    }
  }
}

/** What could not be sent has its number all the same. */
function unlessValueFault(error: unknown): void {
  if (!isValueFault(error)) {
    throw error;
  }
}
