/** Counts what is read from Postgres, and characters that are kept. */
import { describe, expect, it } from "vitest";
import type { Json } from "../compiler/ir.ts";
import type { Queryable } from "../sdk/postgres/index.ts";
import { COSTLY, NO_THREAD, type CompileGuard } from "./compile-guard.ts";
import { IrStore } from "./ir-store.ts";
import { chainIr } from "./stack.fixture.ts";

const TEXT = JSON.stringify(chainIr(["a", "b"]));
const CHARS_MAX = 50 * TEXT.length;
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `h${i}`);

/** A store on a database that has every workflow, and how often each was read from it. */
function storeOf(textOf = (_: string): string => TEXT): {
  irs: IrStore;
  reads: Map<string, number>;
} {
  const reads = new Map<string, number>();
  const query = (_: unknown, [hashes]: [Buffer]): Promise<unknown> => {
    const asked = hashes.toString("latin1").match(/h\d+|used/g) ?? [];
    asked.forEach((hash) => reads.set(hash, (reads.get(hash) ?? 0) + 1));
    return Promise.resolve(asked.map((hash) => ({ hash, ir: textOf(hash) })));
  };
  return { irs: new IrStore({ query } as never as Queryable, CHARS_MAX), reads };
}

describe("stored workflows", () => {
  it("in use stay, however many others come and go", async () => {
    const { irs, reads } = storeOf();
    for (const hash of names(500)) {
      await irs.load(["used", hash]);
    }
    expect(reads.get("used")).toBe(1);
  });

  it("that are a few too many for the bound are mostly there", async () => {
    const { irs, reads } = storeOf();
    let seed = 1;
    const next = (): number => (seed = (seed * 48271) % 2147483647);
    for (let i = 0; i < 2000; i++) {
      await irs.load([`h${next() % 55}`]);
    }
    const all = [...reads.values()].reduce((sum, one) => sum + one, 0);
    expect(all).toBeLessThan(2000 * (5 / 55) * 2);
  });

  it("are kept by their characters, not by their number", async () => {
    const large = JSON.stringify(chainIr(Array.from({ length: 40 }, (_, i) => `n${i}`)));
    const { irs } = storeOf((hash) => (Number(hash.slice(1)) % 2 === 0 ? large : TEXT));
    await irs.load(names(200));
    const kept = names(200).flatMap((hash) => irs.peek(hash)?.text.length ?? []);
    const chars = kept.reduce((sum, one) => sum + one, 0);
    expect(chars).toBeLessThanOrEqual(CHARS_MAX);
    expect(chars).toBeGreaterThan(CHARS_MAX - large.length);
  });
});

describe("the input of a run", () => {
  const FEW = { type: "object", properties: { a: { maxLength: 2 } } };
  const MANY = {
    properties: Object.fromEntries(
      Array.from({ length: 400 }, (_, i) => [`p${i}`, { minLength: 1 }]),
    ),
  };
  /** Looks twice at each part of the data. */
  const TWICE = { properties: { a: { allOf: [{ $ref: "#" }, { $ref: "#" }] } } };
  const deep = (depth: number): Json =>
    JSON.parse(`${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`) as Json;

  let asked = 0;
  const guardOf = (answer: unknown): CompileGuard =>
    ({ check: () => (asked++, Promise.resolve(answer)), bounds: "1 s" }) as never;
  const told = [{ path: "/p0", message: "is said by the thread" }];

  async function codes(schema: Json, input: Json, guard?: CompileGuard): Promise<string[]> {
    asked = 0;
    const { irs } = storeOf();
    const ir = chainIr(["a"], { input_schema: schema });
    const found = await irs.check(irs.put("h", ir, JSON.stringify(ir)), input, guard);
    if (!Array.isArray(found)) {
      throw new Error("it is put off");
    }
    return found.map(({ code, message }) => `${code} ${message}`);
  }

  it("is checked at once by a schema that is quick", async () => {
    expect(await codes(FEW, { a: "abc" }, guardOf(told))).toMatchObject([
      expect.stringContaining("GV_BAD_INPUT input/a"),
    ]);
    expect(await codes(FEW, { a: "ab" }, guardOf(told))).toEqual([]);
    expect(asked).toBe(0);
  });

  it("is checked in the thread by a large one, and where the data take long", async () => {
    const said = ["GV_BAD_INPUT input/p0 is said by the thread"];
    expect(await codes(MANY, { p0: "" }, guardOf(told))).toEqual(said);
    expect(asked).toBe(1);
    expect(await codes(TWICE, deep(5), guardOf(told))).toEqual([]);
    expect(asked).toBe(0);
    expect(await codes(TWICE, deep(20), guardOf(told))).toEqual(said);
    expect(asked).toBe(1);
  });

  it("is refused where the thread says that it costs too much, and checked here without one", async () => {
    expect(await codes(MANY, {}, guardOf(COSTLY))).toMatchObject([
      expect.stringContaining("GV_WORKFLOW_COSTLY"),
    ]);
    for (const guard of [guardOf(NO_THREAD), undefined]) {
      expect(await codes(MANY, { p0: "" }, guard)).toMatchObject([
        expect.stringContaining("GV_BAD_INPUT input/p0"),
      ]);
    }
  });
});
