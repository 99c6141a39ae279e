/**
 * A workflow as a picture sees it: the one model that all forms - mermaid, dot, svg, text - draw.
 *
 * What the compiler made for itself (trees of wide fans) is looked through, back edges of loops
 * are edges again, and the body of a map is a group of its own. Marks (added, changed, removed) and
 * states of a run lie on top; a form shows of them what it can.
 */
import type { Ir, IrEdge, IrNode } from "../ir.ts";

export type NodeShape = "step" | "branch" | "parallel" | "wait" | "group";
export type Mark = "added" | "removed" | "changed";

export interface PictureNode {
  id: string;
  type: string;
  shape: NodeShape;
  isEntry: boolean;
  isTerminal: boolean;
  /** "all of 3", "any of 2", "2 of 3"; null: not a join. */
  join: string | null;
  isCritical: boolean;
  /** The map whose body it is in. */
  group: string | null;
  mark?: Mark;
  state?: NodeState;
}

export interface NodeState {
  status: string;
  /** From ready to ended, ms; null while it has not ended. */
  durationMs: number | null;
  attempts: number;
}

export interface PictureEdge {
  from: string;
  to: string;
  /** `flow` of a success; `failure` of an error or timeout; `loop` goes back; `body` into a map. */
  kind: "flow" | "failure" | "loop" | "body";
  /** Condition, "else", "error", … or "". */
  label: string;
  isCritical: boolean;
  mark?: Mark;
}

export interface Picture {
  title: string;
  nodes: PictureNode[];
  edges: PictureEdge[];
}

export interface PictureOptions {
  /** States of a run's nodes, by id. */
  states?: ReadonlyMap<string, NodeState>;
  /** Ids of the nodes on the path to highlight; default the longest one. */
  critical?: readonly string[];
}

/** The picture of a compiled workflow. */
export function pictureOf(ir: Ir, options: PictureOptions = {}): Picture {
  const picture: Picture = {
    title: `${ir.name} ${ir.workflow_version}`.trim(),
    nodes: [],
    edges: [],
  };
  addGraph(picture, ir, null, options);
  return picture;
}

function addGraph(picture: Picture, ir: Ir, group: string | null, options: PictureOptions): void {
  const longest = ir.analysis.critical_path.map((n) => ir.nodes[n]?.id ?? "");
  const path = group === null ? (options.critical ?? longest) : longest;
  const steps = new Set(path.slice(1).map((id, i) => `${path[i] ?? ""} ${id}`));
  for (const node of ir.nodes) {
    if (node.synthetic === true) continue;
    const state = options.states?.get(node.id);
    picture.nodes.push({
      id: node.id,
      type: node.type,
      shape: shapeOf(node),
      isEntry: node.is_entry,
      isTerminal: node.is_terminal,
      join: joinText(node),
      isCritical: path.includes(node.id),
      group,
      ...(state === undefined ? {} : { state }),
    });
    for (const { edge, to } of targets(ir, node)) {
      const isCritical = steps.has(`${node.id} ${to.id}`);
      const kind = edge.on === "error" || edge.on === "timeout" ? "failure" : "flow";
      picture.edges.push({
        ...{ from: node.id, to: to.id, kind, isCritical },
        label: labelOf(node, edge),
      });
    }
    if (node.body !== undefined) {
      addGraph(picture, node.body, node.id, options);
      for (const root of node.body.analysis.roots) {
        const to = node.body.nodes[root]?.id ?? "";
        picture.edges.push({
          ...{ from: node.id, to, kind: "body", label: "each", isCritical: false },
        });
      }
    }
  }
  for (const loop of ir.loops) {
    const [from, to] = [ir.nodes[loop.latch]?.id ?? "", ir.nodes[loop.head]?.id ?? ""];
    const label = `${loop.condition} (at most ${loop.max_iterations})`;
    picture.edges.push({ from, to, kind: "loop", label, isCritical: false });
  }
}

function shapeOf(node: IrNode): NodeShape {
  if (node.body !== undefined) return "group";
  if (node.routing !== "each") return "branch";
  if (node.type === "parallel") return "parallel";
  return node.type === "delay" || node.type === "wait" || node.type === "human" ? "wait" : "step";
}

function joinText({ join }: IrNode): string | null {
  if (join.arity < 2) return null;
  const losers = join.losers === undefined ? "" : ", cancels losers";
  return `${join.kind === "count" ? join.need : join.kind} of ${join.arity}${losers}`;
}

/** Out-edges with their targets, through nodes that the compiler made. */
function targets(ir: Ir, node: IrNode): { edge: IrEdge; to: IrNode }[] {
  return node.out.flatMap((index) => {
    const edge = ir.edges[index];
    const to = ir.nodes[edge?.to ?? -1];
    if (edge === undefined || to === undefined) return [];
    if (to.synthetic !== true) return [{ edge, to }];
    // The edge behind a made node carries the condition, if there is one.
    return targets(ir, to).map((far) => ({
      edge: far.edge.condition === null && far.edge.on === "success" ? edge : far.edge,
      to: far.to,
    }));
  });
}

function labelOf(node: IrNode, edge: IrEdge): string {
  const isElse = node.routing !== "each" && edge.condition === null && edge.on === "success";
  const on = edge.on === "success" ? "" : edge.on;
  return [on, isElse ? "else" : (edge.condition ?? "")].filter((part) => part !== "").join(": ");
}

/** What stands under a node's id: its type, its join, its state. */
export function subtitleOf(node: PictureNode): string {
  const state = node.state;
  const ms = state?.durationMs ?? null;
  const time = ms === null ? "" : durationText(ms);
  const tries = state !== undefined && state.attempts > 1 ? `attempt ${state.attempts}` : "";
  const parts = [node.type, node.join ?? "", state?.status ?? "", time, tries];
  return parts.filter((part) => part !== "").join(" · ");
}

/** Milliseconds for people: 12 ms, 3.4 s, 2 min. */
export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 3_600_000 ? `${(ms / 60_000).toFixed(1)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

/** Text of at most `max` characters; what was cut off shows. */
export function shorten(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max - 1)}…` : text;
}
