import { describe, expect, it } from "vitest";
import { miniIr } from "../test/harness/mini-ir.ts";
import type { Ir } from "../compiler/ir.ts";
import { openTokens, type OpenToken } from "./audit/tokens.ts";
import { standingFor } from "./audit/run.ts";
import type { StandingEntry } from "./audit/snapshot.ts";
import { chainPlace, followChain } from "./chain.ts";

type Records = { [field: string]: string };

const at = { node: 0, scope: "" };

/** `a`, `ways` steps behind it, and one behind each of them. */
function wide(ways: number): Ir {
  const numbers = Array.from({ length: ways }, (_, i) => i);
  const ids = ["a", ...numbers.map((i) => `b${i}`), ...numbers.map((i) => `d${i}`)];
  const edges = numbers.flatMap((i): [string, string][] => [
    ["a", `b${i}`],
    [`b${i}`, `d${i}`],
  ]);
  return miniIr(ids, edges);
}

function line(length: number): Ir {
  const ids = Array.from({ length }, (_, i) => `s${i}`);
  return miniIr(
    ids,
    ids.slice(1).map((id, i) => [ids[i] as string, id]),
  );
}

/** How many records each look at the run asked for. */
function looks(ir: Ir, hash: Records): number[] {
  const walk = followChain(ir, at);
  const counts: number[] = [];
  let step = walk.next();
  while (step.done !== true) {
    counts.push(step.value.length);
    step = walk.next(step.value.map((node) => hash[`n${node}`]));
  }
  return counts;
}

/** The tokens in flight of a run of this workflow at top level. */
function open(ir: Ir, records: Records): { token: OpenToken; units: Map<string, Records> } {
  const units = new Map([["r", { s: "running", e: "1", ...records }]]);
  const [token] = openTokens(ir, units);
  return { token: token as OpenToken, units };
}

describe("A11: what stands for a token", () => {
  const ir = wide(300);
  const first = { unit: "r", node: 0, scope: "", attempt: 1, epoch: "1", kind: "run" };
  const entry = { token: first, state: "pending" } as StandingEntry;

  it("is the entry of the chain that has come to it, whichever way it went", () => {
    const { token, units } = open(ir, { n0: "c1||1", n3: "c1||1", n303: "a1||" });
    expect(token.index).toBe(303);
    expect(standingFor({ units, entries: [entry] }, token)).toEqual([entry]);
  });

  it("is not that of a chain which never came so far: who holds it would find nothing there", () => {
    const behind = open(ir, { n0: "c1||1", n3: "w1||", n303: "a1||" });
    const later = open(ir, { n0: "c1||1", n3: "a2||" });
    const token = [...openTokens(ir, behind.units)].find(({ index }) => index === 303) as OpenToken;
    expect(standingFor({ units: behind.units, entries: [entry] }, token)).toEqual([]);
    expect(standingFor({ units: later.units, entries: [entry] }, later.token)).toEqual([]);
  });
});

describe("A11: where a chain stands", () => {
  const ir = line(4);

  it("is behind what is settled, failures that were handled too", () => {
    expect(chainPlace(ir, at, { n1: "a1||" })).toEqual({ active: 1, passed: [] });
    const hash = { n1: "c1||1", n2: "f1||{}", n3: "a1||" };
    expect(chainPlace(ir, at, hash)).toEqual({ active: 3, passed: [1, 2] });
  });

  it("is nowhere if none is active in its scope", () => {
    expect(chainPlace(ir, at, { n1: "c1||1", n2: "c1||1" }).active).toBeNull();
    expect(chainPlace(ir, at, { n1: "a1|7:2|" }).active).toBeNull();
    expect(chainPlace(ir, at, {})).toEqual({ active: null, passed: [] });
  });

  it("is not at a later attempt, nor in another queue: these have entries of their own", () => {
    expect(chainPlace(ir, at, { n1: "c1||1", n2: "a2||" }).active).toBeNull();
    const queues = miniIr(["a", "b"], [["a", "b"]], { nodes: { b: { queue: 1 } } });
    expect(chainPlace(queues, at, { n1: "a1||" }).active).toBeNull();
  });

  it.each([
    [140, 0],
    [140, 139],
    [500, 3],
    [500, 499],
  ])("is found behind %i ways, at number %i", (ways, way) => {
    const hash = { [`n${1 + way}`]: "c1||1", [`n${1 + ways + way}`]: "a1||" };
    expect(chainPlace(wide(ways), at, hash).active).toBe(1 + ways + way);
  });

  it("is found however long it is, with one look for so many records", () => {
    const long = line(1001);
    const hash = Object.fromEntries(long.nodes.map((_, i) => [`n${i}`, "c1||1"]));
    expect(chainPlace(long, at, { ...hash, n1000: "a1||" }).active).toBe(1000);
    expect(looks(long, { ...hash, n1000: "a1||" })).toEqual([256, 256, 256, 232]);
    expect(looks(ir, { n1: "a1||" })).toEqual([3]);
  });

  it("takes looks as it is long, not as the workflow is wide", () => {
    // Ten ways behind each node: no more is asked for than what stands next behind settled ones.
    const ids = Array.from({ length: 1200 }, (_, i) => `s${i}`);
    const edges = ids.slice(1).map((id, i): [string, string] => [`s${Math.floor(i / 10)}`, id]);
    const tree = miniIr(ids, edges);
    const hash = { n1: "c1||1", n11: "c1||1", n111: "c1||1", n1111: "a1||" };
    expect(chainPlace(tree, at, hash)).toEqual({ active: 1111, passed: [1, 11, 111] });
    expect(looks(tree, hash).length).toBeLessThanOrEqual(2);
  });
});
