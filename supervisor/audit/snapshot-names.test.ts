/** What there is to read of a run, by name. */
import { expect, it } from "vitest";
import type { Ir } from "../../compiler/ir.ts";
import type { Hash } from "../../sdk/internal.ts";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { livingElements, namesOf, streamsOf } from "./snapshot-names.ts";

const hash = (fields: { [field: string]: string }): Hash => fields as Hash;

it("a run's names are its maps, living elements, timers and children, in a fixed order", () => {
  const units = new Map([
    ["r", hash({ s: "running", e: "2", d1: "timer-b", d0: "timer-a" })],
    ["r/m", hash({ by: "r", next: "3", r0: "1", e1: "{}", d0: "of no timer" })],
    ["r/m#2", hash({ s: "running", d0: "timer-c" })],
  ]);
  const names = namesOf("r", units, []);
  expect(names).toEqual({
    ...{ maps: ["r/m"], elements: ["r/m#2"], children: [] },
    timers: ["run|r|2||||", "timer-a", "timer-b", "timer-c"],
  });
  const turned = new Map([...units].reverse());
  expect(namesOf("r", turned, [])).toEqual(names);
});

it("an element that has begun is living until it has a result or an error", () => {
  const units = new Map([["m", hash({ by: "r", next: "4", r0: "1", e2: "{}" })]]);
  expect(livingElements(units)).toEqual(["m#1", "m#3"]);
  expect(livingElements(new Map([["r", hash({ next: "4" })]]))).toEqual([]);
});

it("tokens of a run may stand in queues of the bodies of its maps, by its namespace and priority", () => {
  const body = { ...miniIr(["b"], []), queues: ["fn:inner"] };
  const outer = { ...miniIr(["m"], []), queues: ["fn:outer"] };
  const nodes = [{ ...(outer.nodes[0] as Ir["nodes"][number]), body }];
  const streams = streamsOf({ ...outer, nodes }, 0, "ns:blue:|high");
  for (const queue of ["outer", "inner"]) {
    expect(streams.filter((key) => key.includes(`ns:blue:fn:${queue}`))).toHaveLength(2);
  }
  expect(streams.every((key) => key.includes("high"))).toBe(true);
  expect(streamsOf(null, 0, "")).toHaveLength(1); // that of all, for a run whose workflow nobody knows
});
