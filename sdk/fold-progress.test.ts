import { expect, it } from "vitest";
import { miniIr } from "../test/harness/mini-ir.ts";
import { RunView } from "./fold.ts";

it("progress counts a map by its elements, and as one node when it has ended", () => {
  const view = new RunView(miniIr(["m", "b"], [["m", "b"]]));
  const apply = (...transitions: object[]): number => {
    transitions.forEach((t) => view.apply({ r: "r", s: "", ...t } as never, 1));
    return view.progress;
  };
  expect(apply({ e: "run.started" }, { e: "map.expanded", n: 0, c: 80, from: 0 })).toBe(0);
  expect(apply({ e: "map.started", n: 0 })).toBe(0);
  const element = { e: "map.element", n: 0, v: "completed" };
  expect(apply(...Array.from({ length: 40 }, () => element))).toBe(25);
  expect(apply(...Array.from({ length: 40 }, () => element))).toBe(50);
  expect(apply({ e: "node.completed", n: 0, o: [], x: "L" })).toBe(50);
  expect(apply({ e: "node.completed", n: 1, o: 1, x: "" })).toBe(99);
  expect(apply({ e: "run.completed" })).toBe(100);
});
