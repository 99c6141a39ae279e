import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { compile } from "./index.ts";
import { renderDiagnostics, summarise } from "./report.ts";
import type { RenderOptions } from "./report.ts";

function render(text: string, options: RenderOptions = {}): string {
  return renderDiagnostics(compile({ text, file: "w.yaml" }).diagnostics, text, options);
}

const node = (line: string): string => `name: w\nnodes:\n${line}\n`;

describe("the mark of a range", () => {
  it("stands under the range", () => {
    expect(render(node("  - { id: a, type: noop, time_out: 3 }")).split("\n")).toEqual([
      "error[GV1011]: unknown property `time_out`",
      "   --> w.yaml:3:26",
      "    |",
      "  3 |   - { id: a, type: noop, time_out: 3 }",
      "    |                          ^^^^^^^^",
      "    = help: did you mean `timeout_ms`?",
    ]);
  });

  it.each([
    ["wide characters", "漢字", 4],
    ["emoji of several code points", "👨‍👩‍👧", 2],
    ["combining marks", "e\u0301", 1],
    ["no characters", "", 0],
  ])("counts columns as a terminal shows them: %s", (_, description, width) => {
    const text = node(`  - { id: a, type: noop, description: "${description}", time_out: 3 }`);
    const marks = render(text).split("\n")[4] ?? "";
    const before = '  - { id: a, type: noop, description: "", '.length;
    expect(marks.indexOf("^")).toBe("    | ".length + before + width);
  });

  it("is right behind tabs, which are shown as four blanks", () => {
    const text = '{\n\t"name": "w",\n\t"nodes": [{ "id": "a", "type": "nop" }]\n}';
    const [, , , line = "", marks = ""] = render(text).split("\n");
    expect(line).toContain('|     "nodes"');
    expect(marks.indexOf("^")).toBe(line.indexOf('"nop"'));
  });

  it("of several lines is a bar beside them", () => {
    const text = "name: w\nnodes:\n  - { id: a, type: noop }\nedges:\n  - from: a\n    to: a\n";
    expect(render(text).split("\n").slice(2, 6)).toEqual([
      "    |",
      "  5 | /   - from: a",
      "  6 | |     to: a",
      "    | |_________^",
    ]);
  });

  it("stays in a line that is cut because it is long", () => {
    const long = "x".repeat(5000);
    const text = node(`  - { id: a, description: ${long}, type: nop, queue: ${long} }`);
    const rows = render(text, { columns: 60 }).split("\n");
    const at = rows.findIndex((row) => row.includes("type: nop"));
    const line = rows[at] ?? "";
    expect(line).toMatch(/\| ….*type: nop,.*…$/);
    expect(line.length).toBeLessThanOrEqual(60);
    expect(rows[at + 1]?.indexOf("^")).toBe(line.indexOf("nop"));
  });

  it("is at the same place whether lines end in CRLF or LF, and with a byte order mark", () => {
    const text = node("  - { id: a, type: nop }");
    const rows = render(text);
    expect(render(text.replaceAll("\n", "\r\n"))).toBe(rows);
    expect(render(`\uFEFF${text}`)).toBe(rows);
  });
});

describe("what a terminal would obey", () => {
  it("is shown by its number", () => {
    const text = node('  - { id: a, type: "\\e[2J", description: "\u202Eabc" }');
    const shown = render(text);
    expect(shown).toContain("unknown node type `\\u{1b}[2J`");
    expect(shown).toContain("\\u{202e}abc");
    expect(shown).not.toMatch(/[\u001b\u202e]/u);
  });
});

describe("colour", () => {
  it("adds nothing but control sequences", () => {
    const text = node("  - { id: a, type: nop }");
    const colored = render(text, { color: true });
    expect(colored).toContain("\u001b[1;31merror[GV4001]");
    expect(stripVTControlCharacters(colored)).toBe(render(text));
  });
});

describe("many diagnostics", () => {
  const nodes = Array.from({ length: 30 }, (_, i) => `  - { id: n${i}, type: nop }`);
  const text = `nodes:\n${nodes.join("\n")}\n`;

  it("are cut, errors first, and the rest is counted", () => {
    const { diagnostics } = compile({ text });
    const shown = renderDiagnostics(diagnostics, text, { shownMax: 3 }, 7);
    expect(shown.match(/^error/gm)).toHaveLength(3);
    expect(shown).not.toMatch(/^warning/m);
    expect(shown).toMatch(/… and 35 more$/);
  });

  it("are summed up by severity", () => {
    expect(summarise(compile({ text }).diagnostics)).toBe("30 errors, 1 warning");
    expect(summarise([])).toBe("no errors");
  });
});
