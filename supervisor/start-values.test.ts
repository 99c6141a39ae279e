import { describe, expect, it } from "vitest";
import { blobText, type RunStart } from "../sdk/internal.ts";
import type { Queryable } from "../sdk/postgres/index.ts";
import { largeOf, withLarge } from "./start-values.ts";

const hash = (of: string): string => of.repeat(64);
const ref = (of: string): string => blobText({ sha256: hash(of), bytes: 500_000 });
const run = (input: string, start: string | null = null): RunStart =>
  ({ runId: "r", input, start }) as RunStart;

/** A database with these texts, and how often it was asked. */
function dbOf(texts: { [sha256: string]: string }): { db: Queryable; asked: () => number } {
  let asked = 0;
  const query = (): Promise<unknown[]> => {
    asked++;
    return Promise.resolve(Object.entries(texts).map(([sha256, data]) => ({ sha256, data })));
  };
  return { db: { query } as unknown as Queryable, asked: () => asked };
}

describe("large values that runs begin with", () => {
  it("are its input and what is given for nodes", () => {
    const given = JSON.stringify({ n0: `c1||${ref("b")}`, n1: "c1||5" });
    expect(largeOf(run(ref("a"), given)).map(({ sha256 }) => sha256)).toEqual([
      hash("a"),
      hash("b"),
    ]);
    expect(largeOf(run("5"))).toEqual([]);
  });

  it("are read for those that have some", async () => {
    const { db, asked } = dbOf({ [hash("a")]: '"long"' });
    const [small, large] = await withLarge(db, [run("5"), run(ref("a"))]);
    expect(small).toEqual(run("5"));
    expect(large?.blobs).toEqual([{ sha256: hash("a"), text: '"long"' }]);
    expect(asked()).toBe(1);
  });

  it("cost nothing where no run has one", async () => {
    const { db, asked } = dbOf({});
    const runs = [run("5"), run("6")];
    expect(await withLarge(db, runs)).toBe(runs);
    expect(asked()).toBe(0);
  });
});
