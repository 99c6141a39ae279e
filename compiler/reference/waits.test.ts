import { describe, expect, it } from "vitest";
import type { Json } from "../ir.ts";
import { chain, fails, fn, gives, irOf, late, on, play, statuses } from "./play.fixture.ts";
import type { Work } from "./play.fixture.ts";

type JsonObject = { [key: string]: Json };

const wait = (id: string, signal: string, more: JsonObject = {}): JsonObject => ({
  ...{ id, type: "wait", config: { signal } },
  ...more,
});
const human = (id: string, config: JsonObject = {}, more: JsonObject = {}): JsonObject => ({
  ...{ id, type: "human", config },
  ...more,
});

describe("a wait", () => {
  const one = irOf([fn("a"), wait("w", "go")], chain("a>w"));

  it("puts out what the signal brings, whether it comes early or late", () => {
    for (const at of [0, 500]) {
      const signals = [{ name: "go", value: { n: at }, at }];
      expect(play(one, { signals }).output).toEqual({ n: at });
    }
  });

  it("is reported as waiting when nothing comes and nothing ends it", () => {
    const result = play(one, { signals: [{ name: "other", value: 1 }] });
    expect(result).toMatchObject({ status: "WAITING", output: null });
    expect(statuses(result)).toEqual({ a: "completed", w: "waiting" });
  });

  it("takes its timeout edge when the signal comes too late", () => {
    const ir = irOf(
      [wait("w", "go", { timeout_ms: 100 }), fn("ok"), fn("gone")],
      [...chain("w>ok"), on("w", "gone", "timeout")],
    );
    const at = (ms: number) => play(ir, { signals: [{ name: "go", value: 1, at: ms }] });
    expect(statuses(at(101))).toEqual({ w: "failed", ok: "skipped", gone: "completed" });
    expect(statuses(at(100))).toEqual({ w: "completed", ok: "completed", gone: "skipped" });
  });

  it("fails with TIMEOUT when nothing handles it, after its retries", () => {
    const ir = irOf([wait("w", "go", { timeout_ms: 100, retry: { max_attempts: 2 } })], []);
    expect(play(ir).error).toMatchObject({ code: "TIMEOUT", node: "w", attempts: 2 });
    expect(play(ir, { signals: [{ name: "go", value: 1, at: 150 }] }).output).toBe(1);
  });

  it("ends with the run when the run's time is over first", () => {
    const ir = irOf([wait("w", "go", { timeout_ms: 100 }), fn("x")], [on("w", "x", "timeout")], {
      settings: { timeout_ms: 50 },
    });
    const result = play(ir);
    expect(result.error?.code).toBe("RUN_TIMED_OUT");
    expect(statuses(result)).toEqual({ w: "cancelled", x: "pending" });
  });

  it("B7: of several the oldest has the signal, one signal serves one wait, others are kept", () => {
    const ir = irOf([wait("v", "go"), fn("a"), wait("w", "go")], chain("a>w"));
    const signals = [1, 2].map((value) => ({ name: "go", value, at: 10 }));
    expect(play(ir, { signals, order: late("a") }).output).toEqual({ v: 1, w: 2 });
    const early = play(ir, { signals: [{ name: "go", value: 1 }], order: late("v") });
    expect(statuses(early)).toMatchObject({ v: "waiting", w: "completed" });
  });

  it("in an element of a map takes the run's signals, too", () => {
    const map = { id: "m", type: "map", config: { do: wait("w", "go") } };
    const signals = ["a", "b"].map((value) => ({ name: "go", value, at: 1 }));
    expect(play(irOf([map], []), { input: [1, 2], signals }).output).toEqual(["a", "b"]);
  });

  it("in a map holds it up no longer than the map may take", () => {
    const body = { nodes: [wait("w", "go")] };
    const map = { id: "m", type: "map", config: { do: body }, timeout_ms: 10 };
    const result = play(irOf([map], []), { input: [1, 2] });
    expect(result.error).toMatchObject({ code: "TIMEOUT", node: "m" });
    expect(result.elements["0#0"]?.["w"]?.status).toBe("cancelled");
  });
});

describe("an approval", () => {
  const yes = (by: string, data: Json = null) => ({ node: "h", by, approved: true, data });

  it("puts out who has decided, and how", () => {
    const ir = irOf([human("h")], []);
    expect(play(ir, { decisions: [yes("ann", { n: 1 })] }).output).toEqual({
      ...{ approved: true, by: "ann", data: { n: 1 } },
    });
    const no = { node: "h", by: "bob", approved: false };
    expect(play(ir, { decisions: [no] }).output).toEqual({
      ...{ approved: false, by: "bob", data: null },
    });
  });

  it("waits for as many people as it needs, each counted once, but for one refusal only", () => {
    const ir = irOf([human("h", { required: 2 })], []);
    const result = play(ir, { decisions: [yes("ann", 1), yes("ann", 2), yes("bob", 3)] });
    expect(result.output).toEqual({ approved: true, by: ["ann", "bob"], data: [1, 3] });
    expect(play(ir, { decisions: [yes("ann")] }).status).toBe("WAITING");
    const refused = [yes("ann"), { node: "h", by: "bob", approved: false }];
    expect(play(ir, { decisions: refused }).output).toMatchObject({ approved: false });
  });

  it("expires by its timeout edge", () => {
    const ir = irOf([human("h", {}, { timeout_ms: 5 }), fn("late")], [on("h", "late", "timeout")]);
    expect(statuses(play(ir))).toEqual({ h: "failed", late: "completed" });
  });
});

describe("a child run", () => {
  const child = irOf([fn("c")], [], { output: { got: "${ctx.c.output}" } });
  const parent = (config: JsonObject = {}, more: JsonObject = {}) =>
    irOf(
      [
        { id: "s", type: "subworkflow", config: { workflow: "child", ...config }, ...more },
        fn("z"),
      ],
      chain("s>z"),
    );
  const workflows = { child };

  it("gets the node's input, and its output is the node's", () => {
    expect(play(parent(), { input: 1, workflows }).output).toEqual({ got: 1 });
    const config = { input: { n: "${input.k}" } };
    expect(play(parent(config), { input: { k: 2 }, workflows }).output).toEqual({ got: { n: 2 } });
  });

  it("that fails fails the node with its error, and a retry begins another one", () => {
    const failed = play(parent(), { workflows, work: { c: fails("BROKEN") } });
    expect(failed.error).toEqual({
      ...{ code: "BROKEN", message: "it broke", node: "s", scope: "", attempts: 1 },
      details: { run_id: "simulated.s", workflow: "child", node: "c" },
    });
    let count = 0;
    const second: Work = () =>
      ++count < 2 ? { error: { code: "X", message: "" } } : { output: count };
    const again = play(parent({}, { retry: { max_attempts: 2 } }), {
      ...{ workflows, work: { c: second } },
    });
    expect(again.output).toEqual({ got: 2 });
  });

  it("is not waited for with wait: false", () => {
    const result = play(parent({ wait: false }), { workflows, work: { c: fails() } });
    expect(result).toMatchObject({ status: "COMPLETED", output: { run_id: "simulated.s" } });
  });

  it("is named in its own expressions and signals", () => {
    const waiting = irOf([wait("w", "go")], [], { output: "${run.id + ctx.w.output}" });
    const signals = [{ name: "go", value: "!", run: "simulated.s", at: 5 }];
    const result = play(parent(), { workflows: { child: waiting }, signals });
    expect(result.output).toBe("simulated.s!");
  });

  it("whose own failure is by timeout takes its node's timeout edge", () => {
    const waiting = irOf([wait("w", "go", { timeout_ms: 10 })], []);
    const node = { id: "s", type: "subworkflow", config: { workflow: "child" } };
    const edges = [on("s", "late", "timeout"), on("s", "bad", "error")];
    const ir = irOf([node, fn("late"), fn("bad")], edges);
    const result = play(ir, { workflows: { child: waiting } });
    expect(statuses(result)).toMatchObject({ s: "failed", late: "completed", bad: "skipped" });
  });

  it("that takes longer than its node may is cancelled with it", () => {
    const waiting = irOf([wait("w", "go")], []);
    const result = play(parent({}, { timeout_ms: 10 }), { workflows: { child: waiting } });
    expect(result.error).toMatchObject({ code: "TIMEOUT", node: "s" });
  });
});

describe("a retry", () => {
  const retried = (retry: JsonObject, code = "A", details?: JsonObject) => {
    const ir = irOf([fn("a", { retry: { max_attempts: 3, ...retry } })], []);
    const more = details === undefined ? {} : { details };
    return play(ir, { work: { a: fails(code, more) } }).error;
  };

  it("is for the codes in `on`, and not for those in `not_on`", () => {
    expect(retried({ on: ["A"] })?.attempts).toBe(3);
    expect(retried({ on: ["B"] })?.attempts).toBe(1);
    expect(retried({ not_on: "A" })?.attempts).toBe(1);
    expect(retried({ not_on: ["B"] })?.attempts).toBe(3);
  });

  it("follows while its condition holds", () => {
    expect(retried({ condition: "attempt < 2" })?.attempts).toBe(2);
    expect(retried({ condition: "error.details.again" }, "A", { again: true })?.attempts).toBe(3);
    expect(retried({ condition: "error.code == 'B'" })?.attempts).toBe(1);
  });

  it("is not made when its condition cannot be evaluated", () => {
    const error = retried({ condition: "error.details.again" });
    expect(error).toMatchObject({ code: "A", attempts: 1 });
  });
});

describe("a cancelled run", () => {
  it("executes nothing more", () => {
    const ir = irOf([fn("a"), fn("b"), wait("w", "go")], chain("a>b"));
    const result = play(ir, { cancelAfter: 1, work: { a: gives(1) } });
    expect(result).toMatchObject({ status: "CANCELLED", error: { code: "CANCELLED" } });
    expect(statuses(result)).toEqual({ a: "completed", b: "cancelled", w: "cancelled" });
  });
});
