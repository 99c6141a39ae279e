import pino from "pino";
import { describe, expect, it } from "vitest";
import { partitionKeys } from "../sdk/internal.ts";
import type { Cursor } from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";
import type { RawRecord } from "./records.ts";
import { StreamTail, TAIL_RECORDS } from "./stream-tail.ts";

const keys = partitionKeys(0);
const cursorAt = (seq: number): Cursor => ({
  ...{ partition: 0, epoch: 1, seq, nonce: `n${seq}`, streamId: `${seq}-0` },
});
/** Records `from` to `to`, each of which is an entry of its number. */
const block = (from: number, to: number, chars = 10) => ({
  records: [{ seq: from, streamId: `${from}-0` } as RawRecord],
  ...{ to: cursorAt(to), chars },
});

/** A tail, and the stream ids before which it has removed what there was. */
function tailOf(more: { bytes?: number; tailChars?: number; fails?: boolean } = {}): {
  tail: StreamTail;
  trims: string[];
} {
  const trims: string[] = [];
  const redis = {
    memory: () => Promise.resolve(more.bytes ?? 0),
    xtrim: (_key: string, _how: string, streamId: string) => {
      trims.push(streamId);
      return more.fails === true ? Promise.reject(new Error("away")) : Promise.resolve(1);
    },
  };
  const { tailChars = 1000 } = more;
  const logger = pino({ level: "silent" });
  const context = { redis, logger, tailChars } as unknown as SupervisorContext;
  return { tail: new StreamTail(context, keys), trims };
}

describe("the tail of a stream", () => {
  it("keeps so many records behind the cursor, by whole blocks", () => {
    const { tail, trims } = tailOf();
    tail.add(block(1, 600));
    tail.add(block(601, 1200));
    tail.add(block(1201, 601 + TAIL_RECORDS));
    expect(trims).toEqual(["601-0"]);
  });

  it("keeps less where its text is long, yet the block with the cursor's record", () => {
    const { tail, trims } = tailOf({ tailChars: 1000 });
    tail.add(block(1, 2, 600));
    tail.add(block(3, 4, 600));
    expect(trims).toEqual([]);
    tail.add(block(5, 6, 2000));
    expect(trims).toEqual(["5-0"]);
  });

  it("is cut off at the cursor where what was left behind would count as a backlog", async () => {
    const { tail, trims } = tailOf({ tailChars: 1000, bytes: 2001 });
    await tail.trimOld(cursorAt(7));
    expect(trims).toEqual(["7-0"]);
    const small = tailOf({ tailChars: 1000, bytes: 2000 });
    await small.tail.trimOld(cursorAt(7));
    expect(small.trims).toEqual([]);
  });

  it("stays longer where a trim fails, and the archive goes on", () => {
    const { tail, trims } = tailOf({ tailChars: 100, fails: true });
    tail.add(block(1, 1, 200));
    tail.add(block(2, 2, 200));
    tail.add(block(3, 3, 200));
    expect(trims).toEqual(["2-0", "3-0"]);
  });
});
