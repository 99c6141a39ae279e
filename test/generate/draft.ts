/**
 * A workflow document while it is being drawn: nodes are added to open ports, and every edge that
 * is drawn is one that the compiler accepts.
 */
import type { Json } from "../../compiler/ir.ts";
import type { CondPlan, JoinPlan } from "./plan.ts";

export type JsonObject = { [key: string]: Json };

/** An out-edge whose target is not known yet. */
export interface Port {
  from: string;
  on: "success" | "error" | "always" | "exhausted";
  condition: string | null;
  /** Goes into the loop's break_path. */
  isBreak?: true;
  /** Must lead somewhere: without it a failure would be unhandled or no branch would match. */
  isRequired?: true;
  /** Nodes whose outputs (objects) can be read behind it. */
  upstream: ReadonlySet<string>;
  /** Of these, those that may still be in progress then, beside the join that did not wait for them. */
  racing: ReadonlySet<string>;
  /** Size of the value that it carries, roughly: 1 is a small object. */
  cost: number;
}

export interface DraftNode {
  id: string;
  type: string;
  config: JsonObject;
  [key: string]: Json;
}

interface DraftEdge {
  from: string;
  to: string;
  on: Port["on"];
  condition: string | null;
}

/** Numbers for the nodes of a workflow, those in bodies of maps too. */
export interface Numbers {
  next: number;
}

export class Draft {
  readonly #numbers: Numbers;
  readonly #cancels: boolean;
  readonly nodes: DraftNode[] = [];
  readonly #edges: DraftEdge[] = [];
  /** Nodes whose success edges are written as their `branch`. */
  readonly #byRules = new Set<string>();

  /** `cancels`: joins ask that their losers be cancelled, without looking whether they can be. */
  constructor(numbers: Numbers, cancels: boolean) {
    this.#numbers = numbers;
    this.#cancels = cancels;
  }

  /** Add a node behind `ports`: an entry if there are none, a join if there are several. */
  add(
    node: { type: string; config: JsonObject },
    ports: readonly Port[],
    join: JoinPlan,
  ): DraftNode {
    const at = this.#numbers.next++;
    const id = at % 7 === 3 ? `n-${at}` : `n${at}`;
    const drawn: DraftNode = { id, ...node };
    this.nodes.push(drawn);
    const arity = ports.filter((port) => this.#connect(port, id)).length;
    if (arity > 1 && join.kind !== "all") drawn["join"] = this.#joinOf(join, arity);
    return drawn;
  }

  #joinOf({ kind, pick }: JoinPlan, arity: number): Json {
    const cancels = this.#cancels && pick % 2 === 1;
    const more = cancels ? { cancel_losers: true } : {};
    if (kind === "count") return { count: 1 + (pick % arity), ...more };
    return cancels ? { mode: kind, ...more } : kind;
  }

  /** Whether there is a new edge; the same edge twice would be an error. */
  #connect(port: Port, to: string): boolean {
    const { from, on, condition } = port;
    if (port.isBreak || on === "exhausted") {
      const node = this.nodes.find((candidate) => candidate.id === from);
      const loop = (node?.["loop"] ?? node?.config) as JsonObject;
      const key = on === "exhausted" ? "timeout_path" : "break_path";
      const targets = (loop[key] ?? []) as string[];
      if (targets.includes(to)) return false;
      loop[key] = [...targets, to];
      return true;
    }
    const isSame = (edge: DraftEdge): boolean =>
      edge.from === from && edge.to === to && edge.on === on && edge.condition === condition;
    if (this.#edges.some(isSame)) return false;
    this.#edges.push({ from, to, on, condition });
    return true;
  }

  writeAsBranch(id: string): void {
    this.#byRules.add(id);
  }

  /** The document, its edges in the order in which they were drawn. */
  document(settings: JsonObject, output: Json | undefined): JsonObject {
    return { metadata: { name: "generated", version: "1" }, ...this.graph(output), settings };
  }

  /** Nodes and edges, as in a document or in the body of a map. */
  graph(output: Json | undefined): JsonObject {
    const edges = this.#edges.filter((edge) => !this.#isRule(edge));
    return {
      nodes: this.nodes.map((node) => this.#withBranch(node)),
      edges: edges.map(({ from, to, on, condition }) => ({
        ...{ from, to },
        ...(on === "success" ? {} : { on }),
        ...(condition === null ? {} : { condition }),
      })),
      ...(output === undefined ? {} : { output }),
    };
  }

  #isRule(edge: DraftEdge): boolean {
    return edge.on === "success" && this.#byRules.has(edge.from);
  }

  #withBranch(node: DraftNode): DraftNode {
    const mine = this.#edges.filter((edge) => edge.from === node.id && this.#isRule(edge));
    if (mine.length === 0) return node;
    const rules = mine.flatMap(({ to, condition }) =>
      condition === null ? [] : [{ condition, next_nodes: [to] }],
    );
    const fallback = mine.filter((edge) => edge.condition === null).map((edge) => edge.to);
    const branch = { rules, ...(fallback.length === 0 ? {} : { default: fallback }) };
    return { ...node, branch };
  }
}

/** How an expression names another node. */
export function ctxOf(id: string): string {
  return id.includes("-") ? `ctx["${id}"]` : `ctx.${id}`;
}

/** One of the nodes upstream, the same for the same pick; undefined at an entry. */
export function pickFrom(upstream: ReadonlySet<string>, pick: number): string | undefined {
  return [...upstream][upstream.size === 0 ? 0 : pick % upstream.size];
}

/** CEL that holds or not, and can always be evaluated; `settled`: nodes that it may ask for. */
export function conditionOf(
  { about, k, pick, negate }: CondPlan,
  settled: ReadonlySet<string>,
  inLoop: boolean,
): string {
  const source = pickFrom(settled, pick);
  if (about === "count") return `has(output.count) && output.count ${negate ? "<=" : ">"} ${k}`;
  if (about === "size") return `size(output) ${negate ? "<=" : ">"} ${1 + (k % 3)}`;
  if (about === "round" && inLoop) return `iteration % 2 ${negate ? "!=" : "=="} ${k % 2}`;
  if (about === "ctx" && source !== undefined) {
    return `${negate ? "!" : ""}has(${ctxOf(source)}.output)`;
  }
  return `input.n ${negate ? "<=" : ">"} ${k}`;
}
