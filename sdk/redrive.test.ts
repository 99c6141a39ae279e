import { describe, expect, it } from "vitest";
import { compile } from "../compiler/index.ts";
import type { Ir, Json } from "../compiler/ir.ts";
import { RunView } from "./fold.ts";
import { hotFields } from "./hot-fields.ts";
import { HotState } from "./hot-state.ts";
import type { Transition } from "./journal.ts";
import { planRedrive, type RedriveWish } from "./redrive.ts";
import type { Placed } from "./redrive-filter.ts";
import type { WaitAnswer } from "./waits.ts";

const step = (id: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: "f" } },
  ...more,
});
const loop = (to: string): object => ({
  ...{ id: "again", type: "loop" },
  config: { function_name: "f", loop_back_to: to, condition: "iteration < 2", max_iterations: 2 },
});
const edges = (...pairs: string[]): object[] =>
  pairs.map((pair) => ({ from: pair.split(">")[0], to: pair.split(">")[1] }));

function irOf(nodes: object[], more: object): Ir {
  const { ir, diagnostics } = compile({ document: { name: "redriven", nodes, ...more } });
  if (ir === null) {
    throw new Error(JSON.stringify(diagnostics));
  }
  return ir;
}

/** Transitions of one run, a millisecond apart. */
class Journal {
  readonly ir: Ir;
  readonly list: Placed[] = [];

  constructor(ir: Ir) {
    this.ir = ir;
    this.add({ e: "run.started" });
  }

  add(transition: Omit<Transition, "r">): this {
    this.list.push({ transition: { r: "r", ...transition }, t: this.list.length + 1 });
    return this;
  }

  done(id: string, s: string, x: string, o: Json = id): this {
    return this.add({ e: "node.completed", n: this.index(id), s, a: 1, x, o });
  }

  failed(id: string, s: string, x: string): this {
    const err = { error: { code: "E", message: `no ${id}`, node: id, attempts: 1 } };
    return this.add({ e: "node.failed", n: this.index(id), s, a: 1, x, err });
  }

  redriven(wish: Partial<RedriveWish>): this {
    const { redriven } = planRedrive(this.ir, this.list, { by: "ann", ...wish });
    return this.add({ e: "run.redriven", ep: 2, at: 2, rd: redriven });
  }

  index(id: string): number {
    return this.ir.nodes.findIndex((node) => node.id === id);
  }

  get state(): HotState {
    const state = new HotState(this.ir);
    this.list.forEach(({ transition, t }) => state.apply(transition, t));
    return state;
  }

  get view(): RunView {
    const view = new RunView(this.ir);
    this.list.forEach(({ transition, t }) => view.apply(transition, t));
    return view;
  }
}

describe("B8: a redrive that undoes a round of a loop", () => {
  const ir = irOf([step("head"), step("body"), loop("head"), step("x")], {
    edges: edges("head>body", "body>again"),
  });
  const latch = ir.nodes.findIndex(({ id }) => id === "again");
  const first = `${latch}:1`;
  const second = `${latch}:2`;
  const begun = (): Journal =>
    new Journal(ir)
      .done("head", first, "L")
      .done("body", first, "L", "of the first")
      .done("again", first, "")
      .add({ e: "loop.round", n: 0, s: second, due: 0 })
      .done("head", second, "L");

  it("shows of what is not reached again what the round before came to", () => {
    const journal = begun().done("body", second, "L", "of the second");
    journal
      .failed("x", "", "")
      .add({ e: "run.failed" })
      .redriven({ from: ["head"] });
    expect(journal.view.nodes).toMatchObject({
      ...{ head: { status: "ready" }, again: { status: "completed", output: "again" } },
      body: { status: "completed", output: "of the first" },
    });
  });

  it("shows it also when a redrive before had made it ready", () => {
    const journal = begun().failed("x", "", "").add({ e: "run.failed" }).redriven({});
    expect(journal.view.nodes["body"]).not.toHaveProperty("output");
    journal
      .failed("x", "", "")
      .add({ e: "run.failed" })
      .redriven({ from: ["head"] });
    expect(journal.view.nodes["body"]).toMatchObject({
      ...{ status: "completed", output: "of the first" },
    });
  });
});

describe("B8: a redrive of what failed in a loop that a join has not waited for", () => {
  it("says which join's end stands in its way, and a redrive from there ends the run", () => {
    const won = step("won", { join: { mode: "any", cancel_losers: true } });
    const ir = irOf([step("a"), step("x"), loop("x"), step("fast"), won], {
      edges: edges("a>x", "x>again", "a>fast", "again>won", "fast>won"),
      settings: { failure: "continue" },
    });
    const journal = new Journal(ir);
    const s = `${journal.index("again")}:1`;
    journal.done("a", "", "LL").failed("x", s, "X").done("fast", "", "L");
    const arrivals = ir.nodes[journal.index("won")]?.in.map((edge) =>
      ir.edges[edge]?.from === journal.index("fast") ? "L" : "X",
    );
    const decided = { s: "", v: "fired", in: arrivals?.join("") ?? "" } as const;
    journal.add({ e: "join.decided", n: journal.index("won"), ...decided });
    journal.done("won", "", "").add({ e: "run.failed" });
    const plan = (wish: Partial<RedriveWish>): ReturnType<typeof planRedrive> =>
      planRedrive(ir, journal.list, { by: "ann", ...wish });
    const message =
      `x@${s} would not run again, because \`won\` has not waited for it and has ended since: ` +
      "begin there (--from won)";
    expect(() => plan({})).toThrow(message);
    expect(plan({ from: ["won"] }).preview.starts).toEqual(["won"]);
  });
});

describe("B8: a redrive of what failed in a round of a loop that has ended since", () => {
  const ir = irOf([step("a"), step("x"), step("b", { join: "any" }), loop("a"), step("y")], {
    edges: edges("a>x", "a>b", "x>b", "b>again"),
    settings: { failure: "continue" },
  });
  const latch = ir.nodes.findIndex(({ id }) => id === "again");
  const s = `${latch}:1`;
  const round = (): Journal => {
    const journal = new Journal(ir).done("a", s, "LL");
    return journal
      .add({ e: "join.decided", n: journal.index("b"), s, v: "fired", in: "L." })
      .failed("x", s, "X")
      .done("b", s, "L")
      .done("again", s, "");
  };
  const ended = (): Journal => round().done("y", "", "");
  const plan = (journal: Journal, wish: object = {}): ReturnType<typeof planRedrive> =>
    planRedrive(ir, journal.add({ e: "run.failed" }).list, { by: "ann", ...wish });

  it("says which loop's end stands in its way, and a redrive from there runs it again", () => {
    const message =
      `x@${s} would not run again, because it lies in a round of a loop that has ended since: ` +
      `begin in that round (--from again@${s})`;
    expect(() => plan(ended())).toThrow(message);
    expect(() => plan(ended(), { from: ["x"] })).toThrow(message);
    const { preview } = plan(ended(), { from: [`again@${s}`] });
    expect(preview.starts.toSorted()).toEqual(["again", "x"]);
  });

  it("does not announce that it runs again beside others that do", () => {
    const { preview } = plan(round().failed("y", "", ""));
    expect(preview).toMatchObject({ starts: ["y"], again: [], effects: ["y"] });
  });

  it("announces what runs again because the loop goes back", () => {
    const second = `${latch}:2`;
    const journal = round().add({ e: "loop.round", n: 0, s: second, due: 0 });
    const wish = { from: [`again@${s}`] };
    expect(plan(journal.done("a", second, "LL"), wish).preview).toMatchObject({ again: ["a"] });
  });

  it("says that nothing is undone when that is so", () => {
    expect(() => plan(ended(), { only: ["y"] })).toThrow(
      "nothing of this run is undone, so it would end as it did",
    );
  });
});

describe("B8: a redrive that undoes what decided a join", () => {
  const two = { count: 2 };
  const irWith = (join: unknown): Ir =>
    irOf([step("a"), step("b"), step("c"), step("j", { join }), step("end"), step("bad")], {
      edges: edges("a>j", "b>j", "c>j", "j>end"),
      settings: { failure: "continue" },
    });
  const journalOf = (join: unknown, decided: string): Journal => {
    const journal = new Journal(irWith(join));
    const j = journal.index("j");
    journal.done("a", "", "L");
    if (join === two) {
      journal.done("c", "", "L");
    }
    journal.add({ e: "join.decided", n: j, s: "", v: "fired", in: decided }).done("j", "", "L");
    if (join !== two) {
      journal.done("c", "", "L");
    }
    journal.done("b", "", "L").done("end", "", "").failed("bad", "", "");
    return journal.add({ e: "run.failed" });
  };

  it.each([
    ["any", "any", "L..", "..L"],
    ["2 of 3", two, "L.L", ".LL"],
  ])("%s: it is decided by the first of those that are left", (_, join, before, after) => {
    const journal = journalOf(join, before);
    const { state } = planRedrive(journal.ir, journal.list, { by: "ann", from: ["a"] });
    const j = journal.index("j");
    expect(state.joins.get(j)?.arrivals).toBe(after);
    expect(state.tokens.get(j)).toMatchObject({ state: "a", rest: after });
  });
});

describe("B8: a redrive that undoes a wait", () => {
  const wait = { id: "wait", type: "wait", config: { signal: "go" } };
  const ir = irOf([step("a"), wait, step("z")], { edges: edges("a>wait", "wait>z") });
  const signal = (id: string) => ({ kind: "signal" as const, name: "go", id, data: id });

  it("keeps the signal again that it had used, also for who folds the journal later", () => {
    const journal = new Journal(ir)
      .add({ e: "signal.kept", v: signal("early") })
      .add({ e: "signal.kept", v: signal("next") })
      .done("a", "", "L");
    const n = journal.index("wait");
    journal
      .add({ e: "node.parked", n, s: "", a: 1, w: { kind: "signal", signal: "go", token: "t" } })
      .add({ e: "node.resumed", n, s: "", a: 1, v: signal("early") })
      .done("wait", "", "L")
      .failed("z", "", "")
      .add({ e: "run.failed" });
    const { state } = planRedrive(ir, journal.list, { by: "ann", from: ["a"] });
    const kept = state.signals.fields(() => null);
    expect(kept).toMatchObject({ k: "2", "q:go": "1,2", "i:early": "1", "i:next": "2" });
    journal.redriven({ from: ["a"] });
    expect(journal.state.signals.fields(() => null)).toEqual(kept);
    journal
      .done("a", "", "L")
      .add({ e: "node.parked", n, s: "", a: 1, w: { kind: "signal", signal: "go", token: "t" } })
      .add({ e: "node.resumed", n, s: "", a: 1, v: signal("early") });
    expect(journal.state.signals.fields(() => null)).toMatchObject({ k: "1", "q:go": "2" });
  });
});

describe("B8: what the journal is told of a redrive", () => {
  /** The run as it was planned, and as whoever folds the journal later has it. */
  const both = (journal: Journal, wish: Partial<RedriveWish> = {}): [HotState, HotState] => {
    const { state } = planRedrive(journal.ir, journal.list, { by: "ann", ...wish });
    return [state, journal.redriven(wish).state];
  };
  const more = { epoch: 1, irHash: "", input: null, namespace: "", priority: "normal" };
  const fieldsOf = (state: HotState): object => ({ ...hotFields(state, more), t0: "" });

  it.each([
    ["a wait", { kind: "timeout" } as const],
    ["a delay", undefined],
  ])("has %s that was over and is undone begin anew, though its record reads the same", (_, v) => {
    const wait = { id: "wait", type: "wait", config: { signal: "go" }, timeout_ms: 1000 };
    const journal = new Journal(irOf([wait, step("x")], { edges: [] }));
    const token = { n: journal.index("wait"), s: "", a: 1 };
    const w = { kind: "signal", signal: "go", token: "r.0-abcdefgh" } as const;
    journal
      .add({ e: "node.parked", ...token, due: 1000, ...(v !== undefined && { w }) })
      .add({ e: "node.resumed", ...token, ...(v !== undefined && { v }) })
      .failed("x", "", "")
      .add({ e: "run.failed" });
    const [planned, folded] = both(journal);
    expect(folded.tokens.get(token.n)).toEqual(planned.tokens.get(token.n));
    expect(folded.tokens.get(token.n)).not.toHaveProperty("answer");
  });

  it("has no answers to waits that are kept, as the run itself has none", () => {
    const human = { id: "h", type: "human", config: {} };
    const journal = new Journal(irOf([human, step("x")], { edges: edges("h>x") }));
    const token = { n: journal.index("h"), s: "", a: 1 };
    const decision = { actor: "ann", approved: true, data: null, at: 1 };
    const v: WaitAnswer = { kind: "approval", approved: true, decisions: [decision] };
    journal
      .add({ e: "node.parked", ...token, w: { kind: "approval", token: "r.0-abcdefgh" } })
      .add({ e: "approval.decided", ...token, v: decision })
      .add({ e: "node.resumed", ...token, v })
      .done("h", "", "L")
      .failed("x", "", "")
      .add({ e: "run.failed" });
    const [planned, folded] = both(journal);
    expect(fieldsOf(folded)).toEqual(fieldsOf(planned));
    expect(folded.answers.size).toBe(0);
  });

  it("says when a round begins that is undone, and waits for its time once more", () => {
    const again = {
      ...{ id: "again", type: "loop" },
      config: { ...(loop("head") as { config: object }).config, delay_ms: 50 },
    };
    const journal = new Journal(
      irOf([step("head"), again, step("x")], { edges: edges("head>again") }),
    );
    const round = (k: number): string => `${journal.index("again")}:${k}`;
    journal
      .done("head", round(1), "L")
      .done("again", round(1), "")
      .add({ e: "loop.round", n: journal.index("head"), s: round(2), due: 54 })
      .add({ e: "node.activated", n: journal.index("head"), s: round(2), a: 1 })
      .done("head", round(2), "L")
      .failed("x", "", "")
      .add({ e: "run.failed" });
    const [planned, folded] = both(journal, { from: [`head@${round(2)}`] });
    const head = journal.index("head");
    expect(planned.tokens.get(head)).toMatchObject({ state: "r", timer: { dueMs: 54 } });
    expect(folded.tokens.get(head)).toEqual(planned.tokens.get(head));
  });

  it("names a run that an open step has started without waiting: its next attempt ends that", () => {
    const child = { id: "c", type: "subworkflow", config: { workflow: "leaf", wait: false } };
    const journal = new Journal(irOf([child, step("x")], { edges: [] }));
    const n = journal.index("c");
    journal.add({ e: "child.started", n, s: "", a: 1, ch: "the child" });
    journal.failed("x", "", "").add({ e: "run.failed" });
    const [planned, folded] = both(journal);
    expect(planned.over.get(n)).toBe("=1||the child");
    expect(fieldsOf(folded)).toEqual(fieldsOf(planned));
  });
});
