/** What a follower of a run sees, on a terminal and elsewhere. */
import { describe, expect, it } from "vitest";
import { LiveView, type NodeLine } from "./live-view.ts";
import { alignColumns, formatMs, Output } from "./output.ts";

function viewOn(isTTY: boolean, columns = 80): { view: LiveView; written: () => string } {
  let text = "";
  const stream = { write: (part: string) => (text += part), isTTY, columns };
  const view = new LiveView(new Output({ stdout: stream, stderr: stream }), "demo r1", { b: 1 });
  return { view, written: () => text };
}

const line = (status: NodeLine["status"], more: Partial<NodeLine> = {}): NodeLine => ({
  ...{ status, attempts: 1, started_at: 1000, ended_at: null },
  ...more,
});

describe("elsewhere than on a terminal", () => {
  it("there is one line per node that got somewhere, with its duration", () => {
    const { view, written } = viewOn(false);
    view.node("a", line("ready"));
    view.node("a", line("completed", { ended_at: 1012 }));
    view.node("b", line("skipped", { started_at: null }));
    view.end();
    expect(written()).toBe("a completed 12 ms\nb skipped\n");
  });

  it("a snapshot that repeats what was told adds nothing", () => {
    const { view, written } = viewOn(false);
    view.node("a", line("failed", { attempts: 3, ended_at: 3500 }));
    view.node("a", line("failed", { attempts: 3, ended_at: 3500 }));
    expect(written()).toBe("a failed, attempt 3 2.5 s\n");
  });

  it("each round of a loop has its line", () => {
    const { view, written } = viewOn(false);
    view.node("a", line("completed", { ended_at: 1001 }));
    view.node("a", line("completed", { started_at: 2000, ended_at: 2001 }));
    expect(written()).toBe("a completed 1 ms\na completed 1 ms\n");
  });
});

describe("on a terminal", () => {
  it("the nodes are drawn in their order, indented by depth, no wider than the terminal", () => {
    const { view, written } = viewOn(true, 30);
    view.node("a", line("completed", { ended_at: 1001 }));
    view.node("b", line("running"));
    view.status("RUNNING");
    view.end();
    expect(written()).toContain("demo r1 RUNNING\n");
    expect(written()).toContain("  ✓ a    completed 1 ms\n");
    expect(written()).toContain("    ● b  running\n");
  });

  it("a second drawing replaces the first", () => {
    const { view, written } = viewOn(true);
    view.node("a", line("running"));
    view.end();
    view.end();
    expect(written()).toContain("\x1b[2A\x1b[0J");
  });

  it("more nodes than anybody reads are counted", () => {
    const { view, written } = viewOn(true);
    for (let i = 0; i < 40; i++) {
      view.node(`n${i}`, line("pending"));
    }
    view.end();
    expect(written()).toContain("… and 10 more nodes");
  });
});

describe("output", () => {
  it("has one document on stdout with --json, whatever else is said", () => {
    let text = "";
    const quiet = { write: () => 0 };
    const output = new Output({
      stdout: { write: (part: string) => (text += part) },
      stderr: quiet,
    });
    output.json = true;
    output.line("for people");
    output.document({ a: 1 });
    output.error(new Error("late"));
    expect(JSON.parse(text)).toEqual({ a: 1 });
  });

  it("aligns columns and does not pad the last", () => {
    expect(
      alignColumns([
        ["a", "b"],
        ["long", ""],
      ]),
    ).toEqual(["a     b", "long"]);
  });

  it.each([
    [0.4, "0 ms"],
    [999, "999 ms"],
    [3400, "3.4 s"],
    [125_000, "2 min 5 s"],
  ])("tells %d ms as %s", (ms, text) => {
    expect(formatMs(ms)).toBe(text);
  });
});
