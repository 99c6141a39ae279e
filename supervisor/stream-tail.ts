/**
 * The tail of a partition's stream: what is archived and kept all the same, for the live feed.
 *
 * Nothing that is not archived is ever removed, and never the cursor's own record: what comes next is
 * held against it. The tail is bounded by records and by their text, so that it never counts as a
 * backlog, which would slow the intake down.
 */
import { BACKLOG_BYTES_SOFT, backlogBytes, type PartitionKeys } from "../sdk/internal.ts";
import type { Cursor } from "../sdk/postgres/index.ts";
import type { Block } from "./block-reader.ts";
import type { SupervisorContext } from "./context.ts";

/** Records kept in the stream behind the cursor. */
export const TAIL_RECORDS = 1000;
/** And so much of their text: the tail stays far below what counts as a backlog. */
const TAIL_CHARS = BACKLOG_BYTES_SOFT / 8;

export class StreamTail {
  readonly #context: SupervisorContext;
  readonly #keys: PartitionKeys;
  /** Blocks behind the cursor: where each began. */
  #blocks: { seq: number; streamId: string; chars: number }[] = [];

  constructor(context: SupervisorContext, keys: PartitionKeys) {
    this.#context = context;
    this.#keys = keys;
  }

  /** What is archived must not count as a backlog: at the start, and when nothing comes. */
  async trimOld({ seq, streamId }: Cursor): Promise<void> {
    const { redis, tailChars = TAIL_CHARS } = this.#context;
    if ((await backlogBytes(redis, this.#keys)) > 2 * tailChars) {
      await redis.xtrim(this.#keys.ev, "MINID", streamId);
      this.#blocks = [{ seq, streamId, chars: 0 }];
    }
  }

  /**
   * A block is archived: trims to a tail of about TAIL_RECORDS. Nobody waits for it; what it misses, a
   * later trim removes.
   */
  add({ records, to, chars: added }: Pick<Block, "records" | "to" | "chars">): void {
    const [first] = records;
    if (first === undefined) {
      return;
    }
    this.#blocks.push({ seq: first.seq, streamId: first.streamId, chars: added });
    const { redis, logger, tailChars = TAIL_CHARS } = this.#context;
    let chars = 0;
    const keep = this.#blocks.findLastIndex((old) => {
      chars += old.chars;
      return old.seq <= to.seq - TAIL_RECORDS || chars > tailChars;
    });
    if (keep > 0) {
      this.#blocks = this.#blocks.slice(keep);
      const { streamId } = this.#blocks[0] as { streamId: string };
      redis.xtrim(this.#keys.ev, "MINID", streamId).catch((error: unknown) => {
        logger.warn({ err: error }, "the journal's stream was not trimmed");
      });
    }
  }
}
