import { describe, expect, it } from "vitest";
import { rewriteLegacy } from "./legacy.ts";

describe("rewriteLegacy", () => {
  it.each([
    ["$.total >= 10", "output.total >= 10"],
    [
      "$.a.b == '$.c' && $['d'] == \"$nodes.x.y\"",
      "output.a.b == '$.c' && output['d'] == \"$nodes.x.y\"",
    ],
    ["$nodes.fetch.total > 1", "ctx.fetch.output.total > 1"],
    ["$nodes.fetch.output.total > 1", "ctx.fetch.output.total > 1"],
    ["$nodes.fetch-user.list[0].x == 1", 'ctx["fetch-user"].output.list[0].x == 1'],
    ["$nodes.in.x", 'ctx["in"].output.x'],
    ["$nodes.loop.x", "ctx.loop.output.x"],
    ["${$nodes.a.b} > 1", "ctx.a.output.b > 1"],
    ["{{a.output.b}} == {{ inputs.c }}", "ctx.a.output.b == input.c"],
    ["{{prev.output.x}} > {{trigger.y}}", "data.x > input.y"],
    ["output.x > 1 // $.y", "output.x > 1 // $.y"],
    ["{'a': {'b': 1}}.a.b == 1", "{'a': {'b': 1}}.a.b == 1"],
  ])("rewrites the condition %s", (source, expected) => {
    expect(rewriteLegacy(source, "condition")).toBe(expected);
  });

  it.each([
    ["${$nodes.a.b}", "${ctx.a.output.b}"],
    ["v: ${$nodes.a.b + '$nodes.c.d'}", "v: ${ctx.a.output.b + '$nodes.c.d'}"],
    ["$nodes.a.b and {{c.output.d}}", "${ctx.a.output.b} and ${ctx.c.output.d}"],
    ["{{c.output}}", "${ctx.c.output}"],
    ["{{c-d.output.e-f.0}}", '${ctx["c-d"].output["e-f"][0]}'],
    ["{{inputs.x}} {{input.y}} {{trigger.z}}", "${input.x} ${input.y} ${input.z}"],
    ["{{prev.output.x}}", "${data.x}"],
    ["costs $5, {{unknown}}, $.x", "costs $5, {{unknown}}, $.x"],
    ["$${$nodes.a.b}", "$${${ctx.a.output.b}}"],
    ["${input.x} plain", "${input.x} plain"],
    ["${ {'a': {'b': '{{c.output.d}}'}}.a.b }", "${ {'a': {'b': '{{c.output.d}}'}}.a.b }"],
    ["${", "${"],
  ])("rewrites the template %s", (source, expected) => {
    expect(rewriteLegacy(source, "template")).toBe(expected);
  });
});
