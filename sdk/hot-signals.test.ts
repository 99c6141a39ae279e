import { describe, expect, it } from "vitest";
import { miniIr } from "../test/harness/mini-ir.ts";
import { HotState } from "./hot-state.ts";
import type { Transition } from "./journal.ts";

describe("B9: the signals of a run, folded from its journal", () => {
  const body = miniIr(["w"], []);
  const ir = miniIr(["m"], [], { nodes: { m: { type: "map", body } } });
  const signal = { kind: "signal" as const, name: "go", id: "s1", data: 1 };
  const wait = { kind: "signal" as const, signal: "go", token: "r!0#0.0-abcdefgh" };
  const begun: Transition[] = [
    { r: "r", e: "run.started" },
    { r: "r", e: "map.expanded", n: 0, s: "", a: 1, from: 0, items: [1], c: 1, win: 1, tol: 0 },
    { r: "r", e: "map.started", n: 0, s: "", a: 1, to: 1 },
    { r: "r", m: "0#0", e: "node.parked", n: 0, s: "", a: 1, w: wait },
  ];
  const fields = (transitions: Transition[]): { [field: string]: string } => {
    const state = new HotState(ir);
    transitions.forEach((t) => state.apply(t, 1));
    return { ...state.signals.fields(() => "queue") };
  };
  const resumed: Transition = { r: "r", m: "0#0", e: "node.resumed", n: 0, s: "", a: 1, v: signal };

  it("count one that serves an element of a map once", () => {
    expect(fields([...begun, resumed])).toEqual({ "i:s1": "1", r1: "s1", n: "1" });
  });

  it("list an element that waits, by its home", () => {
    expect(fields(begun)).toEqual({
      ...{ "w:go": "0|1|1", "v0:go": "0|0#0||1|queue", "u0|0#0": "0:go" },
    });
  });

  it("take one off that was kept, and do not accept it again", () => {
    const kept: Transition = { r: "r", e: "signal.kept", v: signal };
    const [started, ...rest] = begun as [Transition, ...Transition[]];
    expect(fields([started, kept, ...rest, resumed])).toEqual({
      ...{ "i:s1": "1", r1: "s1", n: "1", k: "0" },
    });
  });
});
