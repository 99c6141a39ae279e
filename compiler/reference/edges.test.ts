import { describe, expect, it } from "vitest";
import { chain, fails, fn, gives, irOf, on, play, statuses } from "./play.fixture.ts";
import type { ReferenceError } from "./types.ts";

const when = (from: string, to: string, condition: string) => ({ from, to, condition });

describe("a conditional", () => {
  const steer = (config: { [key: string]: string }, edges: { [key: string]: string }[]) =>
    irOf([{ id: "c", type: "conditional", config }, fn("x"), fn("y"), fn("z")], edges);
  const edges = [
    when("c", "x", "output.n > 5"),
    { from: "c", to: "z" },
    when("c", "y", "output.n > 1"),
  ];

  it("takes the first edge that holds, in the order of the file", () => {
    const taken = statuses(play(steer({}, edges), { input: { n: 9 } }));
    expect(taken).toMatchObject({ x: "completed", y: "skipped", z: "skipped" });
  });

  it("takes the default only if nothing holds, whatever its place", () => {
    expect(statuses(play(steer({}, edges), { input: { n: 3 } }))).toMatchObject({ y: "completed" });
    expect(statuses(play(steer({}, edges), { input: { n: 0 } }))).toMatchObject({ z: "completed" });
  });

  it("takes every edge that holds in mode all", () => {
    const taken = statuses(play(steer({ mode: "all" }, edges), { input: { n: 9 } }));
    expect(taken).toMatchObject({ x: "completed", y: "completed", z: "skipped" });
  });

  it("fails with NO_BRANCH_MATCHED if nothing holds", () => {
    const bare = [...edges.filter((edge) => edge.to !== "z"), ...chain("y>z")];
    const result = play(steer({}, bare), { input: { n: 0 } });
    expect(result.error).toMatchObject({
      ...{ code: "NO_BRANCH_MATCHED", node: "c", attempts: 1, details: { output: { n: 0 } } },
    });
    const skipped = play(steer({ on_no_match: "skip" }, bare), { input: { n: 0 } });
    expect(skipped.status).toBe("COMPLETED");
    expect(statuses(skipped)).toMatchObject({ c: "completed", x: "skipped", z: "skipped" });
  });

  it("takes an always edge beside the branch, and an error edge when nothing matches", () => {
    const ir = steer({}, [
      when("c", "x", "output.n > 5"),
      on("c", "y", "always"),
      on("c", "z", "error"),
    ]);
    expect(statuses(play(ir, { input: { n: 9 } }))).toMatchObject({
      ...{ x: "completed", y: "completed", z: "skipped" },
    });
    expect(statuses(play(ir, { input: { n: 0 } }))).toMatchObject({
      ...{ c: "failed", x: "skipped", y: "completed", z: "completed" },
    });
  });
});

describe("edges of any other node", () => {
  it("decide each for itself, and none need hold", () => {
    const ir = irOf(
      [fn("a"), fn("b"), fn("c")],
      [when("a", "b", "output.n > 1"), when("a", "c", "output.n > 2")],
    );
    expect(statuses(play(ir, { input: { n: 3 } }))).toMatchObject({
      b: "completed",
      c: "completed",
    });
    const none = play(ir, { input: { n: 0 } });
    expect(none).toMatchObject({ status: "COMPLETED", output: null });
    expect(statuses(none)).toEqual({ a: "completed", b: "skipped", c: "skipped" });
  });

  it("make the node fail with CONDITION_FAILED, without retry, if they cannot be evaluated", () => {
    const ir = irOf(
      [fn("a", { retry: { max_attempts: 3 } }), fn("b")],
      [when("a", "b", "output.there.deep > 1")],
    );
    const result = play(ir, { work: { a: gives({ kept: 1 }) } });
    expect(result.error).toMatchObject({
      ...{ code: "CONDITION_FAILED", attempts: 1, details: { output: { kept: 1 } } },
      message: expect.stringMatching(
        /^edge to "b" \(condition output\.there\.deep > 1\): /,
      ) as string,
    });
  });
});

describe("an output that edges cannot be decided with", () => {
  const ir = irOf(
    [fn("a"), fn("b"), fn("c")],
    [when("a", "b", "output.there.deep > 1"), on("a", "c", "error")],
  );
  const sent = (output: string): unknown =>
    play(ir, { work: { a: gives(output) } }).nodes["c"]?.output;

  it("goes along error edges with the error, of a longer one than is kept its length", () => {
    const longest = "x".repeat(16 * 1024 - 2);
    expect(sent(longest)).toMatchObject({ error: { details: { output: longest } } });
    expect(sent(`${longest}x`)).toMatchObject({
      error: { code: "CONDITION_FAILED", details: { output_bytes: 16 * 1024 + 1 } },
    });
  });

  it("is the node's to keep, and not the run's that goes on without it", () => {
    const goesOn = irOf([fn("a"), fn("b")], [when("a", "b", "output.there.deep > 1")], {
      settings: { failure: "continue" },
    });
    const { nodes, error } = play(goesOn, { work: { a: gives({ kept: 1 }) } });
    expect(nodes["a"]?.error).toMatchObject({ details: { output: { kept: 1 } } });
    const { message, node, scope, attempts } = nodes["a"]?.error as ReferenceError;
    const told = { code: "CONDITION_FAILED", message, node, scope, attempts };
    expect(error?.details).toEqual({ nodes: [{ id: "a", error: told }] });
  });
});

describe("after a failure", () => {
  const ir = (...edges: { [key: string]: string }[]) =>
    irOf([fn("a"), fn("ok"), fn("bad"), fn("slow")], [...chain("a>ok"), ...edges]);
  const all = ir(on("a", "bad", "error"), on("a", "slow", "timeout"));

  it("error and always edges carry the error; success edges die", () => {
    const result = play(ir(on("a", "bad", "error"), on("a", "slow", "always")), {
      work: { a: fails("OUCH") },
    });
    const value = { error: { code: "OUCH", message: "it broke", node: "a", attempts: 1 } };
    expect(result.nodes["bad"]?.output).toEqual(value);
    expect(result.nodes["slow"]?.output).toEqual(value);
    expect(result).toMatchObject({ status: "COMPLETED", failed_nodes: [] });
    expect(statuses(result)).toMatchObject({ a: "failed", ok: "skipped" });
  });

  it("a timeout takes the timeout edge, and the error edge only if there is none", () => {
    const work = { a: fails("TIMEOUT") };
    expect(statuses(play(all, { work }))).toMatchObject({ bad: "skipped", slow: "completed" });
    const only = ir(on("a", "bad", "error"), ...chain("a>slow"));
    expect(statuses(play(only, { work }))).toMatchObject({ bad: "completed" });
  });

  it("an error does not take the timeout edge", () => {
    const result = play(all, { work: { a: fails() } });
    expect(statuses(result)).toMatchObject({ bad: "completed", slow: "skipped" });
  });

  it("an error edge whose condition does not hold handles nothing", () => {
    const picky = irOf(
      [fn("a"), fn("b")],
      [{ ...on("a", "b", "error"), condition: "output.error.code == 'OTHER'" }],
    );
    expect(play(picky, { work: { a: fails() } })).toMatchObject({
      ...{ status: "FAILED", error: { code: "BROKEN" }, failed_nodes: ["a"] },
    });
    expect(play(picky, { work: { a: fails("OTHER") } }).status).toBe("COMPLETED");
  });

  it("an error edge whose condition cannot be evaluated fails the node for good", () => {
    const broken = irOf(
      [fn("a"), fn("b")],
      [{ ...on("a", "b", "error"), condition: "output.nothing.there == 1" }],
    );
    const result = play(broken, { work: { a: fails() } });
    const before = { error: { code: "BROKEN", message: "it broke", node: "a", attempts: 1 } };
    expect(result.error).toMatchObject({
      ...{ code: "CONDITION_FAILED", node: "a", details: { output: before } },
    });
  });
});

describe("retries", () => {
  const once = (attempt: number) =>
    attempt < 3 ? { error: { code: "AGAIN", message: "not yet" } } : { output: attempt };
  const ir = irOf([fn("a", { retry: { max_attempts: 3 } }), fn("b")], chain("a>b"));

  it("give the same input to the next attempt until one succeeds", () => {
    const seen: unknown[] = [];
    const result = play(ir, {
      input: { n: 1 },
      work: {
        a: ({ attempt, data }) => {
          seen.push(data);
          return once(attempt);
        },
      },
    });
    expect(seen).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }]);
    expect(result.nodes["a"]).toMatchObject({ attempts: 3, activations: 1, output: 3 });
  });

  it("end with the last attempt, and at once if another one would not help", () => {
    expect(play(ir, { work: { a: fails() } }).error).toMatchObject({ attempts: 3 });
    const final = play(ir, { work: { a: fails("NO", { retryable: false }) } });
    expect(final.error).toMatchObject({ code: "NO", attempts: 1 });
  });
});

describe("a failure that nothing handles", () => {
  const nodes = [fn("a"), fn("b"), fn("c"), fn("d")];
  const edges = [...chain("a>b", "c>d"), on("c", "b", "always")];

  it("ends the run at once under fail_fast: open nodes are cancelled, the others pending", () => {
    const result = play(irOf(nodes, edges), { work: { a: fails() } });
    expect(result).toMatchObject({ status: "FAILED", output: null, error: { node: "a" } });
    expect(statuses(result)).toEqual({ a: "failed", b: "pending", c: "cancelled", d: "pending" });
  });

  it("stops only what depends on it under continue", () => {
    const ir = irOf(nodes, edges, { settings: { failure: "continue" } });
    const result = play(ir, { work: { a: fails() } });
    expect(statuses(result)).toEqual({
      ...{ a: "failed", b: "skipped", c: "completed", d: "completed" },
    });
    const error = { code: "BROKEN", message: "it broke", node: "a", scope: "", attempts: 1 };
    expect(result.error).toEqual({
      ...{ code: "BROKEN", message: "1 node(s) failed: a", node: "a" },
      details: { nodes: [{ id: "a", error }] },
    });
  });
});
