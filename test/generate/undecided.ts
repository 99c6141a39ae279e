/**
 * Steps whose out-edges cannot be decided with what they have put out, on either side of the length up
 * to which an error keeps it: their failures are handled, or nobody's, or cannot be decided either.
 */
import type { Json } from "../../compiler/ir.ts";
import type { JsonObject } from "./workflow.ts";

/** JSON bytes of `{"text":""}`. */
const AROUND = 11;
const KEPT_MAX = 16 * 1024;
/** Of outputs: short, more than travels with a token, as long as is kept, a byte longer, very long. */
const BYTES = [40, 6_000, KEPT_MAX, KEPT_MAX + 1, 5 * KEPT_MAX];

const echo = (id: string, params: Json): JsonObject => ({
  ...{ id, type: "function", config: { function_name: "builtin.echo", params } },
});

/** A loop that wants one round more than it has. */
const endless = (id: string, params: Json): JsonObject => ({
  ...{ id, type: "loop" },
  config: {
    ...{ function_name: "builtin.echo", params },
    ...{ loop_back_to: id, max_iterations: 2, condition: "true" },
  },
});

/** What it sees of the error that led to it, without making an output as long as that. */
const LOOK: Json = {
  code: "${data.error.code}",
  text: "${has(data.error.details.output) ? size(data.error.details.output.text) : -1}",
  bytes: "${has(data.error.details.output_bytes) ? data.error.details.output_bytes : -1}",
};

/** A workflow of as many ways. */
export function undecidedDocument(): JsonObject {
  const nodes: JsonObject[] = [];
  const edges: JsonObject[] = [];
  BYTES.forEach((bytes, way) => {
    // Letters of two bytes, and one of one where the length is odd.
    const room = bytes - AROUND;
    const text = "ü".repeat(room >> 1) + "x".repeat(room & 1);
    const [left, handled, twice] = [`left${way}`, `handled${way}`, `twice${way}`];
    const broken = { condition: "output.nothing.here > 1" };
    const [branch, loop] = [`branch${way}`, `loop${way}`];
    nodes.push({ id: branch, type: "conditional", config: { input: { text } } });
    edges.push({ from: branch, to: `next${way}`, condition: "size(output.text) < 1" });
    nodes.push(endless(loop, { text }));
    edges.push({ from: loop, to: `next${way}` });
    for (const from of [branch, loop]) {
      edges.push({ from, to: `seen${from}`, on: "error" });
      nodes.push(echo(`seen${from}`, LOOK));
    }
    nodes.push(echo(left, { text }), echo(handled, { text }), echo(twice, { text }));
    nodes.push(echo(`next${way}`, {}), echo(`look${way}`, LOOK));
    for (const from of [left, handled, twice]) {
      edges.push({ from, to: `next${way}`, ...broken });
    }
    edges.push(
      { from: handled, to: `look${way}`, on: "error", condition: "has(output.error.details)" },
      { from: twice, to: `next${way}`, on: "error", ...broken },
    );
  });
  return {
    metadata: { name: "undecided", version: "1" },
    nodes,
    edges,
    settings: { failure: "continue" },
  };
}
