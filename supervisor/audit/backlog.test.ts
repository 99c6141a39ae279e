import type { Redis } from "ioredis";
import { expect, it } from "vitest";
import type { Cursor } from "../../sdk/postgres/index.ts";
import { Backlog } from "./backlog.ts";

/** A partition's stream, and how many records were read from it. */
class Stream {
  readonly entries: [string, string[]][] = [];
  read = 0;

  /** Adds records; each says something of these runs. */
  add(...records: readonly string[][]): void {
    for (const runs of records) {
      const seq = this.entries.length + 1;
      const told = runs.map((r) => JSON.stringify({ r, e: "node.ready", n: seq }));
      const chain = ["seq", `${seq}`, "nonce", `n${seq}`, "prev", `n${seq - 1}`];
      this.entries.push([`${seq}-0`, ["v", "1", ...chain, "t", "5", "b", `[${told.join(",\n")}]`]]);
    }
  }

  /** Read by `max` characters, a record is heavier than which. */
  backlog(max?: number): Backlog {
    const xrange = (_: string, from: string, __: string, ___: string, count: number): unknown => {
      const after = Number.parseInt(from.slice(1), 10);
      const found = this.entries.filter(([id]) => Number.parseInt(id, 10) > after).slice(0, count);
      this.read += found.length;
      return Promise.resolve(found);
    };
    return new Backlog({ xrange } as unknown as Redis, 0, max);
  }
}

const cursorAt = (seq: number, epoch = 1): Cursor => ({
  ...{ partition: 0, epoch, seq, nonce: `n${seq}`, streamId: `${seq}-0` },
});
/** Numbers of the records that tell of a run. */
async function toldOf(
  backlog: Backlog,
  run: string,
  cursor: Cursor,
  seq: number,
): Promise<unknown> {
  const told = await backlog.of(run, cursor, seq);
  return told?.flatMap(({ transitions }) => transitions.map(({ r, n }) => `${r}${n}`)) ?? null;
}

it("is read once for all who ask, and each is told of its own run, exactly up to its record", async () => {
  const stream = new Stream();
  stream.add(["a", "b"], ["b"], ["a", "a"], ["c"], ["a"]);
  const backlog = stream.backlog();
  const asked = [toldOf(backlog, "a", cursorAt(1), 4), toldOf(backlog, "b", cursorAt(0), 5)];
  expect(await Promise.all(asked)).toEqual([
    ["a3", "a3"],
    ["b1", "b2"],
  ]);
  expect(stream.read).toBe(4 + 5); // the second of them stands further back
  stream.add(["b"]);
  expect(await toldOf(backlog, "b", cursorAt(2), 6)).toEqual(["b6"]);
  expect(await toldOf(backlog, "a", cursorAt(2), 6)).toEqual(["a3", "a3", "a5"]);
  expect(stream.read).toBe(4 + 5 + 1);
});

it("is nothing to go by when a record is missing, or not there yet", async () => {
  const stream = new Stream();
  stream.add(["a"], ["a"], ["a"], ["a"]);
  const backlog = stream.backlog();
  expect(await toldOf(backlog, "a", cursorAt(0), 5)).toBe(null);
  stream.entries.splice(1, 1);
  expect(await toldOf(stream.backlog(), "a", cursorAt(0), 4)).toBe(null);
  expect(await toldOf(stream.backlog(), "a", { ...cursorAt(2), nonce: "other" }, 4)).toBe(null);
});

it("begins anew when the partition has another epoch, or is archived beyond what is known", async () => {
  const stream = new Stream();
  stream.add(["a"], ["a"]);
  const backlog = stream.backlog();
  expect(await toldOf(backlog, "a", cursorAt(0), 2)).toEqual(["a1", "a2"]);
  expect(await toldOf(backlog, "a", cursorAt(0, 2), 2)).toEqual(["a1", "a2"]);
  expect(stream.read).toBe(4);
  stream.add(["a"], ["a"]);
  expect(await toldOf(backlog, "a", cursorAt(3, 2), 4)).toEqual(["a4"]);
  expect(stream.read).toBe(5);
});

it("keeps so much and a page, and reads on when the archive has gone on", async () => {
  const stream = new Stream();
  stream.add(...Array.from({ length: 200 }, () => ["a"]));
  const backlog = stream.backlog(1000);
  expect(await toldOf(backlog, "a", cursorAt(0), 200)).toBe(null);
  const { read } = stream;
  expect(read).toBeLessThan(100);
  expect(await toldOf(backlog, "a", cursorAt(0), 200)).toBe(null);
  expect(stream.read).toBe(read);
  expect(await toldOf(backlog, "a", cursorAt(read), read + 1)).toEqual([`a${read + 1}`]);
  expect(await toldOf(backlog, "a", cursorAt(199), 200)).toEqual(["a200"]);
});
