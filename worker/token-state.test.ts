import { describe, expect, it } from "vitest";
import { tokenOf } from "./lane.fixture.ts";
import { asItsRun, checkedFields, isOpen, kindOf } from "./token-state.ts";

type Hash = { [field: string]: string | null };

/** A run at work whose node 0 is active; `more` is what is different. */
const hash = (more: Hash = {}): Map<string, string | null> =>
  new Map(Object.entries({ s: "running", e: "1", n0: "a1||", ...more }));

describe("a token", () => {
  it.each([
    ["of a run at work is executed", {}, "ready"],
    ["of a paused run waits with it", { s: "paused" }, "hold"],
    ["of a run that has ended is void", { s: "completed" }, "drop"],
    ["of a run that is gone is void", { s: null, e: null, n0: null }, "drop"],
    ["of a run that was rebuilt since is void", { e: "2" }, "drop"],
    ["of a paused run that was rebuilt since is void", { e: "2", s: "paused" }, "drop"],
    ["that is settled is void", { n0: "c1||1" }, "drop"],
    ["of a former attempt is void", { n0: "a2||" }, "drop"],
    ["of another round is void", { n0: "a1|5:2|" }, "drop"],
  ] as const)("%s", (_, more, kind) => {
    expect(kindOf(tokenOf("r"), hash(more))).toBe(kind);
  });

  it("in a loop is void when another round of it is alive", () => {
    const token = tokenOf("r", { scope: "5:2" });
    const [, , , round] = checkedFields(token);
    const of = (alive: string) => hash({ n0: "a1|5:2|", [round as string]: alive });
    expect(kindOf(token, of("5:2"))).toBe("ready");
    expect(kindOf(token, of("5:3"))).toBe("drop");
  });

  it("is what its entry stands for: a map's stays until all of it runs", () => {
    const of = (kind: "run" | "skip" | "gather", state: string): string =>
      kindOf(tokenOf("r", { kind }), hash({ n0: `${state}1||` }));
    expect([of("run", "m"), of("gather", "m")]).toEqual(["ready", "drop"]);
    expect([of("gather", "g"), of("run", "g")]).toEqual(["ready", "drop"]);
    expect([of("skip", "k"), of("run", "k")]).toEqual(["ready", "drop"]);
  });

  it("that asks for an output is of a run that waits for it", () => {
    const token = tokenOf("r", { kind: "finish" });
    expect(kindOf(token, hash({ s: "finishing" }))).toBe("ready");
    expect(kindOf(token, hash())).toBe("drop");
  });
});

describe("an element of a map", () => {
  const around = (own: string, status: string | null): string => {
    const data = hash({ s: own });
    asItsRun(data, status === null ? null : ({ status, epoch: "1" } as never));
    return kindOf(tokenOf("r"), data);
  };

  it("is as its run is, as long as it has not ended itself", () => {
    expect([around("running", "running"), around("running", "paused")]).toEqual(["ready", "hold"]);
    expect([around("running", "failed"), around("running", null)]).toEqual(["drop", "drop"]);
    expect([around("completed", "running"), around("completed", "failed")]).toEqual([
      "drop",
      "drop",
    ]);
  });
});

it("a run is open under the token's epoch only", () => {
  const token = tokenOf("r");
  expect([isOpen(token, hash()), isOpen(token, hash({ s: "paused" }))]).toEqual([true, true]);
  expect([isOpen(token, hash({ e: "2" })), isOpen(token, hash({ s: "failed" }))]).toEqual([
    false,
    false,
  ]);
});
