/**
 * Properties that a node's kind has no use for.
 *
 * A pure node is evaluated on the way, by the worker that has its input: it does not stand in a
 * queue, changes nothing that could be undone, and fails in the same way each time. A map is tried
 * again, held back and undone element by element, in the nodes of its body. A delay takes as long as
 * it says. To accept such a property, or an edge for a timeout that cannot be, would be to promise
 * something that does not happen.
 */
import { isDeepStrictEqual } from "node:util";
import type { Reporter } from "./diagnostics.ts";
import type { DocumentGraph, DocumentNode } from "./document.ts";
import type { NodeType } from "./ir.ts";
import { kindOf } from "./kinds/index.ts";
import { RETRY_DEFAULTS } from "./read-policy.ts";

/** Report the properties and timeout edges of a graph's nodes that could have no effect. */
export function checkPolicies(part: DocumentGraph, reporter: Reporter): void {
  checkTimeoutEdges(part, reporter);
  for (const node of part.nodes) {
    if (node.type === null || !kindOf(node.type).isSupported) continue;
    if (node.cache) {
      const pointer = `${node.pointer}/cache`;
      const message = `\`cache\` has no effect on \`${node.id}\`: it is executed each time`;
      reporter.report({ code: "GV4007", pointer, atKey: true, message });
    }
    if (node.isPure && node.type !== "function") {
      const pointer = `${node.pointer}/pure`;
      const message = `\`pure\` has no effect on ${node.type} \`${node.id}\`: it is said of functions`;
      reporter.report({ code: "GV4005", pointer, atKey: true, message });
    }
    checkRetry(node, reporter);
    const idle = idleProperties(node);
    if (idle.length === 0) continue;
    const why =
      node.type === "map"
        ? "it has to be on the nodes of the body"
        : node.type === "delay"
          ? "a delay takes as long as it says"
          : "such a node does no work of its own";
    for (const { pointer, name } of idle) {
      const message = `\`${name}\` has no effect on ${node.type} \`${node.id}\`: ${why}`;
      reporter.report({ code: "GV4005", pointer, atKey: true, message });
    }
  }
}

/** Edges that are taken after a timeout, of nodes that are never over their time. */
function checkTimeoutEdges(part: DocumentGraph, reporter: Reporter): void {
  const nodes = new Map(part.nodes.map((node) => [node.id, node]));
  for (const edge of part.edges) {
    const node = edge.on === "timeout" ? nodes.get(edge.from.id) : undefined;
    const why = node && whyNoTimeout(node);
    if (!why) continue;
    const message = `this edge is never taken: ${node.type} \`${node.id}\` has no timeout, ${why}`;
    reporter.report({ code: "GV4008", pointer: `${edge.pointer}/on`, message });
  }
}

/** Why a node is never over its time; undefined if it may be. Handlers may say so themselves. */
function whyNoTimeout(node: DocumentNode): string | undefined {
  if (node.type === null || node.queueTimeoutMs !== null) return undefined;
  if (isPureNode(node)) return "since it does no work of its own";
  if (node.type === "delay") return "since it takes as long as it says";
  const isAnswered = node.type === "wait" || node.type === "human";
  return isAnswered && node.timeoutMs === null
    ? "and without `timeout_ms` it waits for ever"
    : undefined;
}

/** A `retry` that asks for no second attempt, or at a node that fails in no way that is retried. */
function checkRetry(node: DocumentNode, reporter: Reporter): void {
  if (!hasRetry(node) || isSteady(node)) return;
  checkRetryCodes(node, reporter);
  const isAnswered = node.type === "wait" || node.type === "human";
  const isEndless = isAnswered && node.timeoutMs === null && node.outputSchema === null;
  if (node.retry.max_attempts !== 1 && !isEndless) return;
  const why = isEndless
    ? "without `timeout_ms` it waits for ever"
    : "unless `max_attempts` is 2 or more, it is executed once";
  const hint = isEndless ? "say how long one attempt waits, e.g. `timeout_ms: 60000`" : undefined;
  const message = `\`retry\` of ${node.type} \`${node.id}\` never happens: ${why}`;
  reporter.report({ code: "GV4009", pointer: node.retryPointer, atKey: true, message, hint });
}

/** With which codes an `http` node fails, besides `HTTP_` and a status. */
const HTTP_CODES = [
  ...["HTTP_UNREACHABLE", "HTTP_REFUSED", "HTTP_REDIRECTS", "HTTP_AUTH", "HTTP_BODY"],
  ...["BAD_INPUT", "BAD_OUTPUT", "TIMEOUT", "CANCELLED", "CIRCUIT_OPEN", "POISON", "TOO_LARGE"],
  ...["BLOB_MISSING", "BLOB_DAMAGED", "KIND_NOT_FOUND", "FAILED_BY_HAND"],
];

/** Codes that an `http` node never fails with; those of other kinds are their handlers' own. */
function checkRetryCodes(node: DocumentNode, reporter: Reporter): void {
  if (node.type !== "http") return;
  for (const code of [...(node.retry.on ?? []), ...(node.retry.not_on ?? [])]) {
    if (HTTP_CODES.includes(code) || /^HTTP_[1-5]\d\d$/.test(code)) continue;
    const message = `\`retry\` of http \`${node.id}\` names \`${code}\`, no code of such a node`;
    const hint = `it fails with HTTP_<status>, as HTTP_503, or ${HTTP_CODES.join(", ")}`;
    const pointer = node.retryPointer;
    reporter.report({ code: "GV4009", pointer, atKey: true, message, hint });
  }
}

/** Whether `retry` says more than that there is none. */
function hasRetry({ retry }: DocumentNode): boolean {
  return retry !== RETRY_DEFAULTS && !isDeepStrictEqual(retry, RETRY_DEFAULTS);
}

/** Whether a second attempt would end as the first: a node that does no work but evaluate. */
function isSteady(node: DocumentNode): boolean {
  return isPureNode(node) || node.type === "delay";
}

/** Kinds whose token waits for others: nothing begins that could be too often, or in vain. */
const PARKED: ReadonlySet<NodeType> = new Set(["wait", "human", "subworkflow"]);

interface Property {
  name: string;
  pointer: string;
}

function idleProperties(node: DocumentNode): Property[] {
  const retry = hasRetry(node) ? [{ name: "retry", pointer: node.retryPointer }] : [];
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
  const timed =
    node.timeoutMs === null ? [] : [{ name: "timeout_ms", pointer: `${node.pointer}/timeout_ms` }];
  if (isPureNode(node)) return [...retry, ...compensate, ...held, ...queued, ...timed];
  if (node.type === "map") return [...compensate, ...held];
  if (PARKED.has(node.type ?? "function")) return held;
  return node.type === "delay" ? [...retry, ...compensate, ...held, ...timed] : [];
}

/** Whether a node does no work of its own: a kind that is pure, or a loop without a function. */
export function isPureNode(node: DocumentNode): boolean {
  if (!node.type) return true;
  const hasFunction = Object.hasOwn(node.config.value, "function_name");
  return kindOf(node.type).isPure && !(node.type === "loop" && hasFunction);
}
