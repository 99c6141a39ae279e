import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compile } from "../compile.ts";
import type { Ir } from "../ir.ts";
import { diffLines, diffPicture, diffWorkflows } from "./diff.ts";
import { renderDot } from "./dot.ts";
import { layOut } from "./layout.ts";
import { renderMermaid } from "./mermaid.ts";
import { durationText, pictureOf } from "./picture.ts";
import { renderSvg } from "./svg.ts";
import { renderText } from "./text.ts";

const data = new URL("../../test_data/", import.meta.url);

function example(name: string): Ir {
  const { ir } = compile({ text: readFileSync(new URL(name, data), "utf8"), file: name });
  if (ir === null) throw new Error(`${name} does not compile`);
  return ir;
}

function made(nodes: object[], edges: object[], more: object = {}): Ir {
  const { ir, diagnostics } = compile({ document: { name: "t", nodes, edges, ...more } as never });
  if (ir === null) throw new Error(JSON.stringify(diagnostics));
  return ir;
}

const echo = (id: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: "builtin.echo" } },
  ...more,
});

describe("the picture of a workflow", () => {
  it("has every node that the author wrote, once, and an edge for every edge", () => {
    const ir = example("branch_merge.json");
    const { nodes, edges } = pictureOf(ir);
    expect(nodes.map(({ id }) => id).sort()).toEqual(ir.nodes.map(({ id }) => id).sort());
    expect(edges.length).toBe(ir.edges.length);
    expect(edges.find(({ from, to }) => from === "tier" && to === "basic")?.label).toBe("else");
  });

  it("shows a loop's way back, a map's body and a join's kind", () => {
    const loops = pictureOf(example("nested_loops.json"));
    expect(loops.edges.filter(({ kind }) => kind === "loop").length).toBe(2);
    const maps = pictureOf(example("nested_map.json"));
    const inner = maps.nodes.find(({ id }) => id === "cell");
    expect(inner?.group).toBe("cells");
    const join = pictureOf(example("diamond.json")).nodes.find((node) => node.join !== null);
    expect(join?.join).toBe("all of 2");
  });

  it("looks through the trees that the compiler makes of wide fans", () => {
    const ids = Array.from({ length: 700 }, (_, i) => `b${i}`);
    const edges = ids.flatMap((id) => [
      { from: "start", to: id },
      { from: id, to: "end" },
    ]);
    const ir = made([echo("start"), ...ids.map((id) => echo(id)), echo("end")], edges);
    const picture = pictureOf(ir);
    expect(picture.nodes.length).toBe(702);
    expect(picture.edges.length).toBe(1400);
  });
});

describe("forms", () => {
  const names = ["branch_merge.json", "nested_loops.json", "error_path.json", "nested_map.json"];

  it.each(names)("%s as text and as mermaid is what it was", async (name) => {
    const picture = pictureOf(example(name));
    const golden = (form: string): string =>
      new URL(`pictures/${name.replace(".json", "")}.${form}`, data).pathname;
    await expect(renderText(picture)).toMatchFileSnapshot(golden("txt"));
    await expect(renderMermaid(picture)).toMatchFileSnapshot(golden("mmd"));
  });

  it.each(["branch_merge.json", "nested_loops.json", "nested_map.json"])(
    "%s in docs/pictures is drawn by this version",
    async (name) => {
      const file = new URL(`../../docs/pictures/${name.replace(".json", "")}.svg`, import.meta.url);
      await expect(renderSvg(pictureOf(example(name)))).toMatchFileSnapshot(file.pathname);
    },
  );

  it("dot names nodes and edges, and quotes what is in them", () => {
    const condition = 'output.name == "a\\\\b"';
    const ir = made([echo("a"), echo("end")], [{ from: "a", to: "end", condition }]);
    const dot = renderDot(pictureOf(ir));
    expect(dot).toContain('"a" -> "end"');
    expect(dot).toContain('label="output.name == \\"a\\\\\\\\b\\""');
  });

  it("svg is one document that escapes what it shows and follows light and dark", () => {
    const condition = 'output.name == "<b>" && true';
    const ir = made([echo("a"), echo("b")], [{ from: "a", to: "b", condition }]);
    const svg = renderSvg(pictureOf(ir));
    expect(svg).toMatch(/^<svg xmlns/);
    expect(svg).toContain("&lt;b&gt;");
    expect(svg).not.toContain("<b>");
    expect(svg).toContain("prefers-color-scheme: dark");
    expect(svg).not.toMatch(/NaN|undefined/);
  });

  it("the layout overlaps no two nodes", () => {
    for (const name of names) {
      const { nodes } = layOut(pictureOf(example(name)));
      for (const [i, a] of nodes.entries()) {
        for (const b of nodes.slice(i + 1)) {
          const isApart =
            Math.abs(a.box.x - b.box.x) >= (a.box.width + b.box.width) / 2 ||
            Math.abs(a.box.y - b.box.y) >= (a.box.height + b.box.height) / 2;
          expect(isApart, `${a.node.id} and ${b.node.id} of ${name}`).toBe(true);
        }
      }
    }
  });

  it("a run's states and durations lie on top", () => {
    const states = new Map([["tier", { status: "completed", durationMs: 1234, attempts: 2 }]]);
    const text = renderText(pictureOf(example("branch_merge.json"), { states }));
    expect(text).toContain("tier [conditional · completed · 1.2 s · attempt 2]");
    expect([5, 65_000, 7_200_000].map(durationText)).toEqual(["5 ms", "1.1 min", "2.0 h"]);
  });
});

describe("differences", () => {
  const before = made(
    [echo("a"), echo("b"), echo("c")],
    [
      { from: "a", to: "b", condition: "output.n > 1" },
      { from: "b", to: "c" },
    ],
  );

  it("between a workflow and itself in another order there are none", () => {
    const same = made(
      [echo("c"), echo("a"), echo("b")],
      [
        { from: "b", to: "c" },
        { from: "a", to: "b", condition: "output.n > 1" },
      ],
    );
    expect(diffWorkflows(before, same).isSame).toBe(true);
    expect(diffLines(diffWorkflows(before, same))).toEqual([]);
  });

  it("are named: nodes, fields, edges, conditions, settings", () => {
    const after = made(
      [echo("a", { timeout_ms: 500 }), echo("b"), echo("d")],
      [
        { from: "a", to: "b", condition: "output.n > 2" },
        { from: "b", to: "d" },
      ],
      { settings: { failure: "continue" } },
    );
    expect(diffLines(diffWorkflows(before, after))).toEqual([
      '~ workflow settings.failure: "fail_fast" → "continue"',
      "+ node d",
      "- node c",
      "~ node a",
      "    timeout_ms: null → 500",
      "+ edge b → d",
      "- edge b → c",
      "~ edge a → b: output.n > 1 → output.n > 2",
    ]);
    const picture = diffPicture(before, after);
    expect(picture.nodes.map(({ id, mark }) => [id, mark ?? ""]).sort()).toEqual([
      ["a", "changed"],
      ["b", ""],
      ["c", "removed"],
      ["d", "added"],
    ]);
    expect(renderSvg(picture)).toContain('class="removed"');
  });
});
