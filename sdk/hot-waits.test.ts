import { beforeEach, describe, expect, it } from "vitest";
import { miniIr } from "../test/harness/mini-ir.ts";
import { HotState } from "./hot-state.ts";
import type { Transition } from "./journal.ts";
import type { WaitInfo } from "./waits.ts";

describe("waits folded from a journal", () => {
  const wait: WaitInfo = { kind: "signal", token: "r.0-abcdefgh" };
  let state: HotState;
  const apply = (t: Omit<Transition, "r">): void => state.apply({ r: "r", n: 0, s: "", ...t }, 10);

  beforeEach(() => {
    state = new HotState(miniIr(["w"], []));
    apply({ e: "run.started" });
  });

  it("of a time hold their timer", () => {
    apply({ e: "node.parked", a: 1, due: 99 });
    expect(state.tokens.get(0)).toMatchObject({ state: "w", timer: { kind: "resume", dueMs: 99 } });
  });

  it("for a circuit are another attempt, at once if no time is named", () => {
    apply({ e: "node.parked", a: 2, circuit: "db" });
    const timer = { kind: "emit", dueMs: 10 };
    expect(state.tokens.get(0)).toMatchObject({ state: "r", attempt: 2, circuit: "db", timer });
  });

  it("are forgotten to be over when the node waits again", () => {
    state.over.set(0, "=1|");
    apply({ e: "node.parked", a: 1, w: wait });
    expect(state.over.has(0)).toBe(false);
    expect(state.tokens.get(0)?.wait).toEqual(wait);
  });

  it("end with an answer, which is kept under the secret of the wait", () => {
    apply({ e: "node.parked", a: 1, w: wait });
    apply({ e: "node.resumed", a: 1, v: { kind: "callback", id: "c1", data: 5 } });
    const token = state.tokens.get(0);
    expect(token).toMatchObject({ state: "a", isResumed: true, answer: { id: "c1" } });
    expect(token?.wait).toBeUndefined();
    expect(state.over.get(0)).toBe("=1|");
    expect(state.answers.get(0)).toBe('abcdefgh\x1f"c1"\x1ec\x1e');
  });

  it("keep the decisions of one wait together, not those of the one before", () => {
    const approval = (secret: string): WaitInfo => ({ kind: "approval", token: `r.0-${secret}` });
    const say = (actor: string): void =>
      apply({ e: "approval.decided", v: { approved: true, actor, data: null, at: 5 } });
    apply({ e: "node.parked", a: 1, w: approval("firstone") });
    say("ann");
    say("bob");
    expect(state.answers.get(0)?.split("\x1f")).toHaveLength(3);
    apply({ e: "node.parked", a: 2, w: approval("nextwait") });
    say("ann");
    expect(state.answers.get(0)).toMatch(/^nextwait\x1f"ann"/);
    expect(state.answers.get(0)).not.toContain("bob");
  });

  it("skipped by hand are skipped", () => {
    apply({ e: "node.parked", a: 1, w: wait });
    apply({ e: "node.resumed", a: 1, v: { kind: "manual", action: "skip" } as never });
    expect(state.tokens.get(0)).toMatchObject({ state: "k", rest: "D" });
  });

  it("tried again by hand begin with the input that was given", () => {
    apply({ e: "node.activated", a: 2, v: { kind: "manual", action: "retry", input: 7 } as never });
    expect(state.tokens.get(0)).toMatchObject({ state: "a", attempt: 2, isResumed: false });
    expect(state.edited.get(0)).toBe("|7");
  });
});
