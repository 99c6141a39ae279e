/**
 * Reading the results of a map's elements. What they come to together is known before any large one is
 * read: the list is kept as an output is, and a worker that reads gigabytes to find it too long is dead
 * before it can say so.
 */
import type { Redis } from "ioredis";
import type { Json } from "../compiler/ir.ts";
import { blobOfValue, parseBlobText, readBlob, type RunError } from "../sdk/internal.ts";
import { ExecutionError } from "./kinds/kind.ts";
import { elementError, type ElementError } from "./kinds/map.ts";

/** Results read at a time. */
const PAGE = 500;

/** Counts bytes up to a bound. */
class Room {
  readonly #what: string;
  readonly #max: number;
  #left: number;

  constructor(what: string, max: number) {
    this.#what = what;
    this.#max = max;
    this.#left = max;
  }

  /** Throws ExecutionError TOO_LARGE when there is no room for so many. */
  take(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0) {
      const message = `${this.#what} has more than the ${this.#max} bytes that are kept`;
      throw new ExecutionError("TOO_LARGE", message, { retryable: false });
    }
  }
}

/**
 * `composed`: a script has put each element's output together from those of several nodes. Throws
 * ExecutionError TOO_LARGE if the list would have more than `bytesMax`.
 */
export async function readResults(
  redis: Redis,
  key: string,
  blobs: string,
  { composed, bytesMax }: { composed: boolean; bytesMax: number },
): Promise<{ output: Json[]; errors: ElementError[] }> {
  const room = new Room("the map's list of results", bytesMax);
  const roomOfErrors = new Room("the map's list of failed elements", bytesMax);
  const count = Number(await redis.hget(key, "n"));
  const texts: (string | null)[] = [];
  const errors: ElementError[] = [];
  for (let from = 0; from < count; from += PAGE) {
    const indexes = Array.from({ length: Math.min(PAGE, count - from) }, (_, i) => from + i);
    const values = await redis.hmget(key, ...indexes.flatMap((i) => [`r${i}`, `e${i}`]));
    for (const [i, index] of indexes.entries()) {
      const [result, failure] = [values[2 * i] ?? null, values[2 * i + 1] ?? null];
      if (result === null && failure === null) {
        throw new Error(`element ${index} of ${key} has no result`);
      }
      room.take(result === null ? 0 : (parseBlobText(result)?.bytes ?? result.length));
      texts.push(result);
      if (failure !== null) {
        const { error } = JSON.parse(failure) as { error: RunError };
        const told = elementError(index, error);
        roomOfErrors.take(JSON.stringify(told).length);
        errors.push(told);
      }
    }
  }
  const output: Json[] = [];
  for (const text of texts) {
    output.push(text === null ? null : await resultOf(redis, blobs, text, composed ? room : null));
  }
  return { output, errors };
}

/** An element's result as a value; `room` for its parts, which may stand beside the run, too. */
async function resultOf(
  redis: Redis,
  blobs: string,
  text: string,
  room: Room | null,
): Promise<Json> {
  const value = JSON.parse(await readBlob(redis, blobs, text)) as Json;
  if (room !== null && typeof value === "object" && value !== null && !Array.isArray(value)) {
    for (const [id, part] of Object.entries(value)) {
      const ref = blobOfValue(part);
      if (ref !== null) {
        room.take(ref.bytes);
        const whole = await readBlob(redis, blobs, JSON.stringify(part));
        value[id] = JSON.parse(whole) as Json;
      }
    }
  }
  return value;
}
