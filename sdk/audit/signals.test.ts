import { describe, expect, it } from "vitest";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { HotState } from "../hot-state.ts";
import type { Transition } from "../journal.ts";
import { packWait, type WaitInfo } from "../waits.ts";
import { driftText } from "./drift.ts";
import { signalDrifts } from "./signals.ts";
import type { Hash } from "./units.ts";

describe("signals, compared with the journal", () => {
  const ir = miniIr(["a", "b"], []);
  const kept = (id: string): Transition => ({
    ...{ r: "r", e: "signal.kept" },
    v: { kind: "signal", name: "early", id, data: { n: 1 } },
  });
  const wait: WaitInfo = { kind: "signal", signal: "go", token: "r.0-abcdefgh" };
  const parked = (n: number): Transition => ({ r: "r", e: "node.parked", n, s: "", a: 1, w: wait });
  const hot = new HotState(ir);
  const journal: Transition[] = [{ r: "r", e: "run.started" }, kept("s1"), kept("s2")];
  [...journal, parked(1), parked(0)].forEach((t) => hot.apply(t, 1));
  const run = { w0: packWait(wait, "q"), w1: packWait(wait, "q") };
  const right: Hash = { ...hot.signals.fields(() => "q") };

  /** Kind, place, what is and what is expected, of each drift. */
  const found = (signals: Hash): string[][] =>
    signalDrifts({ runId: "r", units: new Map([["r", run]]), signals }, hot).map((drift) => {
      expect(driftText(drift)).toContain("rebuilt from its journal");
      return [drift.kind, drift.member ?? "", drift.is, drift.expected];
    });
  const without = (...fields: string[]): Hash =>
    Object.fromEntries(Object.entries(right).filter(([field]) => !fields.includes(field)));

  it("are right as the journal has them, however their JSON is spaced", () => {
    const spaced = '{ "kind": "signal", "name": "early", "id": "s1", "data": { "n": 1 } }';
    expect(found({ ...right, p1: spaced })).toEqual([]);
  });

  it("may have other places, gaps, and tokens of what is over in their lines", () => {
    const moved = without("w:go", "v0:go", "v1:go", "u1|", "u0|");
    const line = { "w:go": "3|9|3", "v4:go": "1|||1|q", "v5:go": "1||7:1|1|q", "v7:go": "0|||1|q" };
    expect(found({ ...moved, ...line, "u1|": "4:go", "u0|": "7:go" })).toEqual([]);
  });

  it("are missed one by one: kept, listed, counted", () => {
    const value = JSON.stringify('{"kind":"signal","name":"early","id":"s1","data":{"n":1}}');
    expect(found(without("p1"))).toEqual([["signal_kept", "signals, field p1", "absent", value]]);
    expect(found({ ...right, "q:early": "2,1" })).toEqual([
      ["signal_kept", "signals, field q:early", '"2,1"', '"1,2"'],
    ]);
    expect(found({ ...right, k: "9" })).toEqual([
      ["signal_kept", "signals, field k", '"9"', '"2"'],
    ]);
  });

  it("that were accepted are known, and no others", () => {
    expect(found(without("i:s2", "r2", "n"))).toEqual([
      ...[
        ["signal_id", "signals, field i:s2", "absent, and 2 more of its fields are others", '"2"'],
      ],
    ]);
    expect(found({ ...right, "i:s9": "3" })).toEqual([
      ["signal_id", "signals, field i:s9", '"3"', "absent"],
    ]);
  });

  it("find those who wait in their order, by their nodes, and counted", () => {
    const order = '"1|||1|q, 0|||1|q"';
    const place = (is: string): string[][] => [["waiter_place", "signals, line of go", is, order]];
    expect(found(without("v0:go"))).toEqual(place('"0|||1|q", counted as 2'));
    const swapped = { "v0:go": "0|||1|q", "v1:go": "1|||1|q", "u1|": "1:go", "u0|": "0:go" };
    expect(found({ ...right, ...swapped })).toEqual(place('"0|||1|q, 1|||1|q"'));
    expect(found(without("u0|"))).toEqual(place('"1|||1|q, 0|||1|q (not by its node)"'));
    expect(found({ ...right, "w:go": "0|2|1" })).toEqual(place(`${order}, counted as 1`));
    expect(found({ ...right, "v1:go": "0|||1|other" })).toEqual(place('"1|||1|q, 0|||1|other"'));
  });
});
