/**
 * Which entries of which run stand in which stream: read in pages, once, and from there on only what
 * was added since. An entry never moves, so an id that was found stays its place until it is gone.
 */
import type { Redis } from "ioredis";
import { parseEntry, type ReadyToken } from "../../sdk/internal.ts";

const PAGE = 1000;

interface Stream {
  lastId: string;
  ids: Map<string, string[]>;
  isWhole: boolean;
}

export class StreamIndex {
  readonly #redis: Redis;
  readonly #pagesMax: number;
  readonly #streams = new Map<string, Stream>();

  /** Streams longer than `pagesMax` pages are not known to their end. */
  constructor(redis: Redis, pagesMax = Number.POSITIVE_INFINITY) {
    this.#redis = redis;
    this.#pagesMax = pagesMax;
  }

  /** Reads what was added to a stream; calls `each` for every entry that it reads. */
  async refresh(
    key: string,
    each: (id: string, token: ReadyToken | null) => void = () => undefined,
  ): Promise<void> {
    const ids = new Map<string, string[]>();
    const stream = this.#streams.get(key) ?? { lastId: "-", ids, isWhole: false };
    this.#streams.set(key, stream);
    for (let page = 0; page < this.#pagesMax; page++) {
      const from = stream.lastId === "-" ? "-" : `(${stream.lastId}`;
      const entries = await this.#redis.xrange(key, from, "+", "COUNT", PAGE);
      for (const [id, fields] of entries) {
        const token = parseEntry(key, id, fields);
        each(id, token);
        if (token !== null) {
          const own = stream.ids.get(token.runId) ?? [];
          stream.ids.set(token.runId, own);
          own.push(id);
        }
        stream.lastId = id;
      }
      if (entries.length < PAGE) {
        stream.isWhole = true;
        return;
      }
    }
    stream.isWhole = false;
  }

  /** Ids of a run's entries in a stream, as last refreshed; some may be gone. */
  idsOf(key: string, runId: string): readonly string[] {
    return this.#streams.get(key)?.ids.get(runId) ?? [];
  }

  lastId(key: string): string {
    return this.#streams.get(key)?.lastId ?? "-";
  }

  /** Whether all of a stream is known. */
  isWhole(key: string): boolean {
    return this.#streams.get(key)?.isWhole ?? false;
  }
}

/** Compares stream ids: negative, 0, positive. */
export function compareIds(a: string, b: string): number {
  const [aMs = 0, aSeq = 0] = a.split("-").map(Number);
  const [bMs = 0, bSeq = 0] = b.split("-").map(Number);
  return aMs - bMs || aSeq - bSeq;
}
