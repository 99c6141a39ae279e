/**
 * Equal requests: nodes of which one answer does for all. Only if asked for, because two requests
 * can be meant.
 *
 * A mark: `same_as` names the first of them, and who executes may answer the others with its output.
 * Equal are requests that only read (http with GET or HEAD), with the same config, queue, limits and
 * retries, in the same scope, whose templates see the same: the same outputs by reference, and the
 * same input, which is so if they have the same only predecessor or do not read their input.
 */
import { compileTemplate } from "../../condition/index.ts";
import { canonicalJson } from "../hash.ts";
import type { Ir, IrNode, Json } from "../ir.ts";
import type { Pass } from "./pass.ts";

export const COALESCE: Pass = {
  name: "coalesce",
  about: "nodes that make the same request are marked",
  isOptional: true,
  run(ir, note) {
    const known = new Map<string, number>();
    ir.nodes.forEach((node, index) => {
      const key = requestOf(ir, node);
      if (key === undefined) return;
      const first = known.get(key);
      if (first === undefined) {
        known.set(key, index);
        return;
      }
      node.same_as = first;
      note(index, `makes the same request as \`${ir.nodes[first]?.id ?? ""}\``);
    });
  },
};

/** A text that is equal for equal requests; undefined for what is none. */
function requestOf(ir: Ir, node: IrNode): string | undefined {
  const method = node.config["method"] ?? "GET";
  const isRead = method === "GET" || method === "HEAD";
  if (node.type !== "http" || !isRead || node.head_of.length > 0) return undefined;
  const { config, queue, retry, timeout_ms, loop, refs } = node;
  const { rate_limit = null, circuit_breaker = null, cache = null } = node;
  const { output_schema = null, input_schema = null } = node;
  const input = readsInput(config) || input_schema !== null ? sourceOf(ir, node) : "";
  if (input === undefined) return undefined;
  const parts = { config, queue, retry, timeout_ms, loop, refs, input };
  return canonicalJson({
    ...parts,
    ...{ rate_limit, circuit_breaker, cache, output_schema, input_schema },
  } as unknown as Json);
}

function readsInput(config: { [key: string]: Json }): boolean {
  return compileTemplate(config).references.some(({ path }) => path[0] === "data");
}

/** The only node before; what it sends is the same on all its edges that are live by a success. */
function sourceOf(ir: Ir, node: IrNode): string | undefined {
  const [first, ...others] = node.in;
  if (first === undefined) return "run";
  const edge = ir.edges[first];
  return edge && others.length === 0 ? `${edge.from} ${edge.on}` : undefined;
}
