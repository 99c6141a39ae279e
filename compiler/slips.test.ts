import { describe, expect, it } from "vitest";
import { compile } from "./index.ts";

/** Hints and messages of a workflow, one line each. */
function said(text: string): string[] {
  return compile({ text }).diagnostics.map(
    ({ code, message, hint }) => `${code} ${message} | ${hint}`,
  );
}

const node = (rest: string): string => `name: w\nnodes:\n  - { id: a, ${rest} }\n`;

describe("what was probably meant", () => {
  it.each([
    ["timeout_ms: 5s, type: wait, config: { signal: s }", "in milliseconds: 5000"],
    ["timeout_ms: 2 h, type: wait, config: { signal: s }", "in milliseconds: 7200000"],
    ['timeout_ms: "250", type: wait, config: { signal: s }', "without quotes: 250"],
    ["type: delay, config: { duration: 5m }", "write PT5M"],
    ["type: delay, config: { duration: 2d }", "write P2D"],
    ["type: human, config: { assignees: ann }", "write `[ann]`"],
    ["type: http, url: x, config: { url: x }", "`url` stands in `config`"],
    [
      "type: function, function: f, config: { function_name: f }",
      "`function_name` stands in `config`",
    ],
    ["type: foreach", "did you mean `map`?"],
  ])("%s: %s", (rest, hint) => {
    expect(said(node(rest)).map((line) => line.split(" | ")[1])).toContain(hint);
  });

  it("is not guessed where nothing is sure", () => {
    const [found] = said(node("timeout_ms: soon, type: wait, config: { signal: s }"));
    expect(found).toMatch(/ \| undefined$/);
    expect(said(node("type: nonsense, url: x")).join("\n")).not.toContain("stands in");
  });
});

describe("a property of the node in its config", () => {
  it("is told where it would be a parameter of the function", () => {
    const [found, ...more] = said(node("type: function, config: { function_name: f, retry: {} }"));
    expect(found).toMatch(/^GV4010 `retry` in the config of `a` is a parameter of its function/);
    expect(more).toEqual([]);
    const meant = "type: function, config: { function_name: f, params: { retry: {} } }";
    expect(said(node(meant))).toEqual([]);
  });

  it("is told where it stands where the config does not know it", () => {
    const config = 'type: http, config: { url: "https://example.com", timeout: 5 }';
    expect(said(node(config))[0]).toMatch(/GV4004 .*`timeout_ms` stands at the node/);
  });
});

describe("an edge that is none", () => {
  const edges = (list: string): string =>
    `${node("type: noop")}  - { id: b, type: noop }\nedges: ${list}\n`;

  it("is named by its place, with what one looks like", () => {
    const found = said(edges("[a -> b]"));
    expect(found[0]).toContain("`edges[0]` must be an edge such as { from: a, to: b }, not");
  });

  it("leaves no node without edges: what is wrong is told once", () => {
    expect(said(edges("[{ from: a, to: bb }]")).map((line) => line.slice(0, 6))).toEqual([
      "GV2001",
    ]);
    const lone = `${edges("[{ from: a, to: b }]").replace("edges", "  - { id: c, type: noop }\nedges")}`;
    expect(said(lone).map((line) => line.slice(0, 6))).toEqual(["GV2007"]);
  });
});

describe("a text that is nothing but a path", () => {
  const sent = (text: string): string[] =>
    said(
      node(`type: function, config: { function_name: f, params: { x: ${JSON.stringify(text)} } }`),
    );

  it("of what is known here is told, as shells and other tools write it", () => {
    expect(sent("$input.b")).toEqual([
      "GV3012 `$input.b` is a plain text here, and is passed on as it is | " +
        'write `${input.b}`; where that text is meant: `${"$input.b"}`',
    ]);
    expect(sent("{input.items[0].sku}")[0]).toMatch(/^GV3012/);
  });

  it("is believed where it names nothing, or is more", () => {
    const texts = ["$5.00", "$HOME.x", "{name}", "$input", "costs $input.b", '${"$input.b"}'];
    for (const text of texts) expect([text, sent(text)]).toEqual([text, []]);
  });
});

describe("the two names of one value", () => {
  it("are told apart where the other one is known", () => {
    const edge = `${node("type: noop")}  - { id: b, type: noop }\nedges:\n  - { from: a, to: b, condition: data.ok }\n`;
    expect(said(edge)[0]).toMatch(
      /`data` is not known here .*; what the node puts out is `output`$/,
    );
    const config = "type: transform, config: { expression: output.ok }";
    expect(said(node(config))[0]).toMatch(
      /`output` is not known .*; what the node gets is `data`$/,
    );
  });
});
