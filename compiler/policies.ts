/**
 * Properties that a node's kind has no use for.
 *
 * A pure node is evaluated on the way, by the worker that has its input: it does not stand in a
 * queue, changes nothing that could be undone, and fails in the same way each time. A map is tried
 * again, held back and undone element by element, in the nodes of its body. To accept such a
 * property would be to promise something that does not happen.
 */
import type { Reporter } from "./diagnostics.ts";
import type { DocumentGraph, DocumentNode } from "./document.ts";
import type { NodeType } from "./ir.ts";
import { kindOf } from "./kinds/index.ts";

/** Report the properties of a graph's nodes that could have no effect. */
export function checkPolicies(part: DocumentGraph, reporter: Reporter): void {
  for (const node of part.nodes) {
    if (node.type === null || !kindOf(node.type).isSupported) continue;
    const idle = idleProperties(node);
    if (idle.length === 0) continue;
    const why =
      node.type === "map"
        ? "it has to be on the nodes of the body"
        : "such a node does no work of its own";
    for (const { pointer, name } of idle) {
      const message = `\`${name}\` has no effect on ${node.type} \`${node.id}\`: ${why}`;
      reporter.report({ code: "GV4005", pointer, atKey: true, message });
    }
  }
}

/** Kinds whose token waits for others: nothing begins that could be too often, or in vain. */
const PARKED: ReadonlySet<NodeType> = new Set(["wait", "human", "subworkflow"]);

interface Property {
  name: string;
  pointer: string;
}

function idleProperties(node: DocumentNode): Property[] {
  const { retry, retryPointer } = node;
  const inRetry = (["on", "not_on", "condition"] as const)
    .filter((key) => retry[key] !== undefined)
    .map((key) => ({ name: `retry.${key}`, pointer: `${retryPointer}/${key}` }));
  const compensate = node.compensate
    ? [{ name: "compensate", pointer: node.compensate.pointer }]
    : [];
  const held = [
    ...(node.rateLimit ? [{ name: "rate_limit", pointer: node.rateLimit.pointer }] : []),
    ...(node.circuitBreaker
      ? [{ name: "circuit_breaker", pointer: node.circuitBreaker.pointer }]
      : []),
  ];
  const queued =
    node.queueTimeoutMs === null
      ? []
      : [{ name: "queue_timeout_ms", pointer: `${node.pointer}/queue_timeout_ms` }];
  if (isPureNode(node)) return [...inRetry, ...compensate, ...held, ...queued];
  if (node.type === "map") return [...compensate, ...held];
  if (PARKED.has(node.type ?? "function")) return held;
  return node.type === "delay" ? [...inRetry, ...compensate, ...held] : [];
}

/** Whether a node does no work of its own: a kind that is pure, or a loop without a function. */
export function isPureNode(node: DocumentNode): boolean {
  if (!node.type) return true;
  const hasFunction = Object.hasOwn(node.config.value, "function_name");
  return kindOf(node.type).isPure && !(node.type === "loop" && hasFunction);
}
