/** GV6xxx: what is allowed, but probably not meant, and what the schemas of a file contradict. */
import { error, warning } from "./code.ts";
import type { CodeSpec } from "./code.ts";

const order = (expression: string, condition: string): string => `
name: order
input_schema:
  type: object
  properties: { total: { type: number } }
  additionalProperties: false
nodes:
  - id: price
    type: transform
    config: { expression: "${expression}" }
    output_schema:
      type: object
      properties: { score: { type: number }, tier: { type: string } }
      additionalProperties: false
  - { id: gold, type: noop }
edges:
  - { from: price, to: gold, condition: ${condition} }
`;

const paid = (card: string): string => `
name: order
input_schema:
  type: object
  required: [total]
  properties: { total: { type: number }, card: { type: string } }
nodes:
  - { id: pay, type: function, config: { function_name: pay, params: { card: "${card}" } } }
`;

export const ANALYSIS_CODES = {
  GV6001: warning({
    title: "field that the schema does not have",
    remedy: "name a field of the schema, or add it there",
    meaning:
      "An expression reads a field of a value whose schema (`input_schema` of the workflow, " +
      "`input_schema` or `output_schema` of a node) is closed by `additionalProperties: false` and " +
      "does not name it; or is open, and lists one that is written nearly the same. What `human` " +
      "puts out, and `http` with `output: response`, counts as closed.",
    why: "The value can never have it: the expression fails, or its `has` is always false.",
    wrong: order("input.totl", "output.score > 80"),
    right: order("input.total", "output.score > 80"),
  }),
  GV6002: error({
    title: "comparison with a value of another type",
    remedy: "compare with a value of the type that the schema says",
    meaning:
      "A condition compares a value with a constant, and by its schema the value is never of the " +
      "type of that constant.",
    why: "`==` could never hold, and `<` could only fail.",
    wrong: order("input.total", `'output.score > "80"'`),
    right: order("input.total", "output.score > 80"),
  }),
  GV6003: warning({
    title: "condition that never holds",
    remedy: "correct the condition, or remove the edge",
    meaning:
      "Whatever the values are, the condition is false or cannot be evaluated: it asks for more " +
      "than one value can be.",
    why: "Its edge is never taken, and what follows only from it never runs.",
    wrong: order("input.total", "output.score > 80 && output.score < 20"),
    right: order("input.total", "output.score > 20 && output.score < 80"),
  }),
  GV6004: warning({
    title: "field that may be missing",
    remedy: "guard it with has(…), or require it in the schema",
    meaning:
      "An expression reads a field that the schema of its value names, and leaves out of " +
      "`required`. Nothing is said where the schema requires nothing at all.",
    why: "Where the field is missing the node fails with `BAD_INPUT` when the run comes to it.",
    wrong: paid("${input.card}"),
    right: paid("${has(input.card) ? input.card : null}"),
  }),
} as const satisfies Record<string, CodeSpec>;
