import { describe, expect, it } from "vitest";
import { chain, fails, fn, gives, irOf, late, play, statuses } from "./play.fixture.ts";

const no = (from: string, to: string) => ({ from, to, condition: "false" });

describe("a join of kind all", () => {
  const diamond = (...edges: { [key: string]: string }[]) =>
    irOf([fn("a"), fn("b"), fn("c"), fn("d")], edges);

  it("fires once when all its predecessors have ended, with their outputs by id", () => {
    const result = play(diamond(...chain("a>b>d", "a>c>d")), {
      work: { b: gives(1), c: gives(2) },
    });
    expect(result.nodes["d"]).toMatchObject({ activations: 1, output: { b: 1, c: 2 } });
  });

  it("fires without a predecessor that was skipped", () => {
    const result = play(diamond(...chain("a>b>d", "c>d"), no("a", "c")));
    expect(statuses(result)).toMatchObject({ c: "skipped", d: "completed" });
    expect(result.nodes["d"]?.output).toEqual({ b: {} });
  });

  it("fires when the last thing to arrive is dead", () => {
    const ir = diamond(...chain("a>b>d", "a>c"), no("c", "d"));
    const result = play(ir, { order: late("c"), work: { b: gives(1) } });
    expect(result.nodes["d"]).toMatchObject({ status: "completed", output: { b: 1 } });
  });

  it("is skipped when everything that arrives is dead, and passes that on", () => {
    const ir = irOf(
      [fn("a"), fn("b"), fn("d"), fn("e")],
      [...chain("a>b", "d>e"), no("a", "d"), no("b", "d")],
    );
    const result = play(ir);
    expect(result).toMatchObject({ status: "COMPLETED", output: null });
    expect(statuses(result)).toMatchObject({ d: "skipped", e: "skipped" });
  });

  it("counts two edges between the same nodes apart, and names their source once", () => {
    const ir = irOf(
      [fn("a"), fn("b")],
      [
        { from: "a", to: "b", condition: "output.n > 1" },
        { from: "a", to: "b", condition: "output.n > 5" },
      ],
    );
    expect(play(ir, { input: { n: 3 } }).nodes["b"]?.output).toEqual({ a: { n: 3 } });
    expect(play(ir, { input: { n: 0 } }).nodes["b"]?.status).toBe("skipped");
  });
});

describe("a join of kind any", () => {
  const race = irOf(
    [fn("a"), fn("b"), fn("c"), fn("d", { join: "any" }), fn("e")],
    chain("a>b>d", "a>c>d>e"),
  );

  it("fires at the first live arrival and names only that one in its input", () => {
    const result = play(race, { order: late("b"), work: { b: gives(1), c: gives(2) } });
    expect(result.nodes["d"]?.output).toEqual({ c: 2 });
  });

  it("lets the loser go on, and its arrival changes nothing", () => {
    const result = play(race, { order: late("b") });
    expect(statuses(result)["b"]).toBe("completed");
    expect(result.nodes["d"]?.activations).toBe(1);
    const events = result.trace.map(({ event, node }) => `${event} ${node}`);
    expect(events.indexOf("node.completed b")).toBeGreaterThan(events.indexOf("node.completed e"));
  });

  it("does not fire at a dead arrival", () => {
    const ir = irOf(
      [fn("a"), fn("b"), fn("d", { join: "any" })],
      [no("a", "d"), ...chain("a>b>d")],
    );
    expect(play(ir, { work: { b: gives(1) } }).nodes["d"]?.output).toEqual({ b: 1 });
  });
});

describe("a join of kind count", () => {
  const three = (...dead: string[]) =>
    irOf(
      [fn("a"), fn("b"), fn("c"), fn("d", { join: { count: 2 } }), fn("e")],
      [
        ...chain("d>e"),
        ...["a", "b", "c"].map((from) => (dead.includes(from) ? no(from, "d") : { from, to: "d" })),
      ],
    );

  it("fires at the n-th live arrival with what had arrived by then", () => {
    const result = play(three(), { order: late("b"), work: { a: gives(1), c: gives(3) } });
    expect(result.nodes["d"]).toMatchObject({ activations: 1, output: { a: 1, c: 3 } });
  });

  it("is skipped with n - 1 live arrivals, once all in-edges are decided", () => {
    const result = play(three("a", "b"));
    expect(statuses(result)).toMatchObject({ d: "skipped", e: "skipped" });
    expect(result.status).toBe("COMPLETED");
  });
});

describe("a failed arrival", () => {
  const joined = (join: string | { count: number }) =>
    irOf([fn("a"), fn("b"), fn("d", { join }), fn("e")], chain("a>d", "b>d>e"), {
      settings: { failure: "continue" },
    });
  const work = { b: fails() };

  it("skips an all-join that has a live one too", () => {
    const result = play(joined("all"), { work });
    expect(statuses(result)).toEqual({ a: "completed", b: "failed", d: "skipped", e: "skipped" });
    expect(result).toMatchObject({ status: "FAILED", failed_nodes: ["b"] });
  });

  it("is no obstacle to an any-join that gets a live one", () => {
    const result = play(joined("any"), { work });
    expect(statuses(result)).toMatchObject({ d: "completed", e: "completed" });
    expect(result.status).toBe("FAILED");
  });

  it("is passed on by a count-join that is skipped", () => {
    const ir = irOf(
      [fn("a"), fn("b"), fn("d", { join: { count: 2 } }), fn("e"), fn("x")],
      chain("a>d", "b>d>e", "x>e"),
      { settings: { failure: "continue" } },
    );
    const result = play(ir, { work });
    expect(statuses(result)).toMatchObject({ d: "skipped", x: "completed", e: "skipped" });
  });
});
