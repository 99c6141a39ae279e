/** GV3xxx: conditions and templates. */
import { error, warning } from "./code.ts";
import type { CodeSpec } from "./code.ts";

const check = (condition: string): string => `
name: check
nodes:
  - { id: fetch, type: noop }
  - { id: store, type: noop }
edges:
  - { from: fetch, to: store, condition: '${condition}' }
`;

const read = (text: string): string => `
name: read
nodes:
  - { id: fetch, type: noop }
  - { id: other, type: noop }
  - { id: store, type: transform, config: { expression: { value: '${text}' } } }
edges:
  - { from: fetch, to: store }
  - { from: fetch, to: other }
`;

const maybe = (text: string): string => `
name: maybe
nodes:
  - { id: fetch, type: noop }
  - { id: bonus, type: noop }
  - { id: store, type: transform, config: { expression: { value: '${text}' } } }
edges:
  - { from: fetch, to: bonus, condition: output.vip }
  - { from: bonus, to: store }
  - { from: fetch, to: store }
`;

const mapped = (text: string, more: string): string => `
name: prices
nodes:
  - id: each
    type: map
    config:
      { items: input.rows, ${more} do: { id: price, type: function, config: { function_name: f } } }
  - { id: store, type: transform, config: { expression: { value: '${text}' } } }
edges:
  - { from: each, to: store }
`;

export const EXPRESSION_CODES = {
  GV3001: error({
    title: "expression does not parse",
    remedy: "expressions are CEL: ==, &&, ||, !, in, c ? a : b, has(x.y); text in quotes",
    meaning: "A condition, or the inside of `${…}` in a template, is not CEL.",
    why: "Expressions are compiled before a run, so that no run fails of a typing mistake.",
    wrong: check("output.total >= "),
    right: check("output.total >= 10"),
  }),
  GV3002: error({
    title: "expression is wrong",
    remedy: "use names and functions that exist, on values of types that go together",
    meaning: "An expression parses, but uses a name, a function or types that do not go together.",
    why: "It could only fail in a run.",
    wrong: check("outptu.total >= 10"),
    right: check("output.total >= 10"),
  }),
  GV3003: error({
    title: "JavaScript instead of CEL",
    remedy: "write it in CEL",
    meaning:
      "The text looks like JavaScript (`===`, `=>`, `.length`, `typeof`). Where the CEL " +
      "for it is known it is shown.",
    why:
      "Expressions are CEL: without side effects, without access to the process, and " +
      "bounded in time.",
    wrong: check("output.total === 10"),
    right: check("output.total == 10"),
  }),
  GV3004: error({
    title: "reference to a node that does not exist",
    remedy: "name an existing node",
    meaning: "`ctx.<id>` names an id that no node has.",
    why: "It would have no value in any run.",
    wrong: read("${ctx.fetsh.output.id}"),
    right: read("${ctx.fetch.output.id}"),
  }),
  GV3005: error({
    title: "reference to a node that is not upstream",
    remedy: "read only nodes that ran before",
    meaning: "`ctx.<id>` names a node that no path leads from to this one.",
    why: "Whether it has run by then would be a matter of luck.",
    wrong: read("${ctx.other.output.id}"),
    right: read("${ctx.fetch.output.id}"),
  }),
  GV3006: warning({
    title: "reference to a node that only sometimes runs",
    remedy: "guard it with has(…)",
    meaning:
      "`ctx.<id>` names a node upstream that a condition, or a join of `any` or a count, " +
      "can leave without an output.",
    why: "In the runs in which it has none, the expression fails.",
    wrong: maybe("${ctx.bonus.output.points}"),
    right: maybe("${has(ctx.bonus.output) ? ctx.bonus.output.points : 0}"),
  }),
  GV3007: error({
    title: "iteration outside a loop",
    remedy: "read `iteration` in a loop body only",
    meaning:
      "`iteration` is the round of the innermost loop around the place where it stands; " +
      "here is none.",
    why: "It would have no value.",
    wrong: check("iteration < 3"),
    right: check("output.count < 3"),
  }),
  GV3008: error({
    title: "secrets outside http nodes",
    remedy: "read secrets in those configs only",
    meaning: "`secrets.NAME` is read in a condition, or in the config of a node of another type.",
    why: "There its value would end up in outputs, which are stored and shown.",
    wrong: read("${secrets.API_KEY}"),
    right: `
name: read
nodes:
  - id: fetch
    type: http
    config: { url: "https://api.example.com", headers: { authorization: "Bearer \${secrets.API_KEY}" } }
`,
  }),
  GV3009: error({
    title: "name not known here",
    remedy: "use a name that exists at this place",
    meaning:
      "The name belongs to the language, but not to this place: `output` is known in " +
      "conditions, `data` in configs, `item` in a map's body.",
    why: "It would have no value.",
    wrong: read("${output.id}"),
    right: read("${data.id}"),
  }),
  GV3010: error({
    title: "reference into the body of a map",
    remedy: "read the output of the map",
    meaning:
      "`ctx.<id>` names a node in the body of a map, from outside of that body. Such a node runs " +
      "once per element.",
    why: "There is no single output that it could mean; the map puts the results into one list.",
    wrong: mapped("${ctx.price.output.total}", ""),
    right: mapped("${ctx.each.output[0].total}", ""),
  }),
  GV3011: error({
    title: "errors of a node that has none",
    remedy: "set tolerated_failures, or read the output",
    meaning:
      "`ctx.<id>.errors` is the list of failed elements of a map whose `tolerated_failures` is " +
      "above 0. This node is no such map.",
    why: "It would have no value: a map that tolerates nothing fails with its first failed element.",
    wrong: mapped("${ctx.each.errors}", ""),
    right: mapped("${ctx.each.errors}", "tolerated_failures: 1,"),
  }),
  GV3012: warning({
    title: "text that looks like an expression",
    remedy: "write it as `${…}`, where templates are filled in",
    meaning:
      "A text has an expression in braces where it is passed on as it is: in `{{…}}`, of which only " +
      "plain references are read (`{{input.x}}`, `{{fetch.output.x}}`), as the key of an object, or " +
      "where a name is expected; or a text is nothing but `$input.x` or `{input.x}`.",
    why: "The next node gets the braces, and not the value.",
    wrong: read("{{ctx.fetch.output.count + 1}}"),
    right: read("${ctx.fetch.output.count + 1}"),
  }),
} as const satisfies Record<string, CodeSpec>;
