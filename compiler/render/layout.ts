/** Places for a picture's nodes and lines, worked out by dagre (layered, top to bottom). */
import * as library from "@dagrejs/dagre";
import { shorten, subtitleOf } from "./picture.ts";
import type { Picture, PictureEdge, PictureNode } from "./picture.ts";

/**
 * What is used of dagre. Its own declarations import each other without file extensions, which a
 * compiler that resolves as Node does cannot follow.
 */
interface Dagre {
  Graph: new (options: { compound: boolean; multigraph: boolean }) => DagreGraph;
  layout(graph: DagreGraph): void;
}

interface DagreGraph {
  setGraph(options: object): void;
  graph(): { width?: number; height?: number };
  setNode(name: string, label: object): void;
  setParent(name: string, parent: string): void;
  node(name: string): Box;
  setEdge(from: string, to: string, label: object, name: string): void;
  edge(from: string, to: string, name: string): { points?: Point[]; x?: number; y?: number };
}

const dagre = library as unknown as Dagre;

export interface Point {
  x: number;
  y: number;
}

/** Centre and size. */
export interface Box extends Point {
  width: number;
  height: number;
}

/** How far the sides of a branch, and of what waits, lean inwards. */
export const BRANCH_SLANT = 18;
export const WAIT_SLANT = 10;

export interface Layout {
  width: number;
  height: number;
  nodes: { node: PictureNode; box: Box }[];
  groups: { title: string; box: Box }[];
  edges: { edge: PictureEdge; points: Point[]; label: string; at: Point | null }[];
}

export const LABEL_MAX = 42;
const ID_MAX = 40;
/** Widths of a character, in pixels: of ids (14 px, bold) and of what stands smaller (11 px). */
const ID_CHAR = 8.2;
const SMALL_CHAR = 6.3;
const NODE_HEIGHT = 46;
const MARGIN = 24;

/** Lays a picture out. */
export function layOut(picture: Picture): Layout {
  const graph = new dagre.Graph({ compound: true, multigraph: true });
  graph.setGraph({ rankdir: "TB", nodesep: 36, ranksep: 44, marginx: MARGIN, marginy: MARGIN });
  const groups = [...new Set(picture.nodes.flatMap(({ group }) => group ?? []))];
  for (const group of groups) graph.setNode(`group ${group}`, { label: group });
  for (const node of picture.nodes) {
    graph.setNode(`node ${node.id}`, sizeOf(node));
    if (node.group !== null) graph.setParent(`node ${node.id}`, `group ${node.group}`);
  }
  for (const group of groups) {
    const outer = picture.nodes.find(({ id }) => id === group)?.group ?? null;
    if (outer !== null) graph.setParent(`group ${group}`, `group ${outer}`);
  }
  picture.edges.forEach((edge, i) => {
    const label = shorten(edge.label, LABEL_MAX);
    const size = label === "" ? {} : { width: label.length * SMALL_CHAR + 8, height: 16 };
    // A line back is drawn from the other end, so that it does not turn the order around.
    const [from, to] = edge.kind === "loop" ? [edge.to, edge.from] : [edge.from, edge.to];
    const weight = edge.isCritical ? 4 : 1;
    graph.setEdge(`node ${from}`, `node ${to}`, { ...size, weight, labelpos: "c" }, String(i));
  });
  dagre.layout(graph);
  return collect(graph, picture, groups);
}

function sizeOf(node: PictureNode): { width: number; height: number } {
  const id = shorten(node.id, ID_MAX).length * ID_CHAR;
  const width = Math.max(96, id + 32, subtitleOf(node).length * SMALL_CHAR + 32);
  return { width: node.shape === "branch" ? width + 28 : width, height: NODE_HEIGHT };
}

/** A point on the box around a node, moved to the outline that is drawn in it. */
function onOutline(node: PictureNode | undefined, box: Box, point: Point): Point {
  const [left, right] = [box.x - box.width / 2, box.x + box.width / 2];
  const down = (point.y - box.y) / box.height + 0.5;
  const within = (from: number, to: number): Point => {
    return { ...point, x: Math.min(to, Math.max(from, point.x)) };
  };
  if (node?.shape === "branch") {
    const inset = BRANCH_SLANT * Math.min(1, Math.abs(2 * down - 1));
    return within(left + inset, right - inset);
  }
  if (node?.shape !== "wait") return point;
  return within(left + WAIT_SLANT * (1 - down), right - WAIT_SLANT * down);
}

function collect(graph: DagreGraph, picture: Picture, groups: readonly string[]): Layout {
  const size = graph.graph();
  return {
    width: Math.ceil(size.width ?? 0),
    height: Math.ceil(size.height ?? 0),
    nodes: picture.nodes.map((node) => ({ node, box: graph.node(`node ${node.id}`) })),
    groups: groups.map((title) => ({ title, box: graph.node(`group ${title}`) })),
    edges: picture.edges.map((edge, i) => {
      const isBack = edge.kind === "loop";
      const [from, to] = isBack ? [edge.to, edge.from] : [edge.from, edge.to];
      const laid = graph.edge(`node ${from}`, `node ${to}`, String(i));
      const points = (laid.points ?? []).map((point, at, all) => {
        if (at > 0 && at < all.length - 1) return point;
        const id = at === 0 ? from : to;
        const node = picture.nodes.find((one) => one.id === id);
        return onOutline(node, graph.node(`node ${id}`), point);
      });
      const label = shorten(edge.label, LABEL_MAX);
      const at = label === "" ? null : { x: laid.x ?? 0, y: laid.y ?? 0 };
      return { edge, points: isBack ? points.reverse() : points, label, at };
    }),
  };
}
