/**
 * What differs between two versions of a workflow: nodes by id, edges by their ends and by when they
 * are taken. What is compared is the compiled form, so spelling, order and layout of the file make
 * no difference.
 */
import { canonicalJson } from "../hash.ts";
import type { Ir, IrNode, Json } from "../ir.ts";
import { pictureOf } from "./picture.ts";
import type { Mark, Picture, PictureEdge, PictureNode } from "./picture.ts";

export interface FieldChange {
  /** JSON pointer inside the node, e.g. `/config/url`. */
  path: string;
  /** Undefined: not there. */
  before: Json | undefined;
  after: Json | undefined;
}

export interface EdgeChange {
  from: string;
  to: string;
  /** "success", "error", … as far as it is not success. */
  on: string;
  before: string | null;
  after: string | null;
}

export interface EdgeName {
  from: string;
  to: string;
  label: string;
}

export interface WorkflowDiff {
  isSame: boolean;
  nodes: {
    added: string[];
    removed: string[];
    changed: { id: string; fields: FieldChange[] }[];
  };
  edges: { added: EdgeName[]; removed: EdgeName[]; changed: EdgeChange[] };
  /** Everything outside of nodes and edges: settings, input schema, output, name. */
  workflow: FieldChange[];
}

/** Fields of a node that follow from its edges, its neighbours or its place. */
const DERIVED = new Set([
  ...[
    "id",
    "queue",
    "fusible",
    "ahead",
    "is_entry",
    "is_terminal",
    "in",
    "out",
    "loop",
    "latch_of",
  ],
  ...[
    "head_of",
    "refs",
    "edge_refs",
    "uses_input",
    "uses_attempt",
    "pure",
    "outer_refs",
    "body",
    "synthetic",
  ],
  "part_of",
]);

/** Compares two compiled workflows. */
export function diffWorkflows(before: Ir, after: Ir): WorkflowDiff {
  const [was, is] = [nodesOf(before), nodesOf(after)];
  const changed = [...is].flatMap(([id, node]) => {
    const old = was.get(id);
    const fields = old === undefined ? [] : compare(old, node, "");
    return fields.length > 0 ? [{ id, fields }] : [];
  });
  const nodes = {
    added: [...is.keys()].filter((id) => !was.has(id)),
    removed: [...was.keys()].filter((id) => !is.has(id)),
    changed,
  };
  const edges = diffEdges(pictureOf(before).edges, pictureOf(after).edges);
  const workflow = compare(outside(before), outside(after), "");
  const lists = [nodes.added, nodes.removed, nodes.changed, edges.added, edges.removed];
  const count = [...lists, edges.changed, workflow].reduce((sum, list) => sum + list.length, 0);
  return { isSame: count === 0, nodes, edges, workflow };
}

/** Nodes of the workflow and of its bodies, without what follows from elsewhere. */
function nodesOf(ir: Ir): Map<string, Json> {
  const found = new Map<string, Json>();
  for (const node of ir.nodes) {
    if (node.synthetic === true) continue;
    found.set(node.id, describe(ir, node));
    if (node.body !== undefined) nodesOf(node.body).forEach((value, id) => found.set(id, value));
  }
  return found;
}

function describe(ir: Ir, node: IrNode): Json {
  const own = Object.entries(node).filter(([key]) => !DERIVED.has(key)) as [string, Json][];
  const { kind, need, losers } = node.join;
  const loop = ir.loops[node.latch_of ?? -1];
  const turns =
    loop === undefined
      ? {}
      : {
          loop: {
            head: ir.nodes[loop.head]?.id ?? "",
            condition: loop.condition,
            max_iterations: loop.max_iterations,
            delay_ms: loop.delay_ms,
          },
        };
  return {
    ...Object.fromEntries(own),
    ...turns,
    join: { kind, need, ...(losers === undefined ? {} : { cancel_losers: true }) },
    queue: ir.queues[node.queue] ?? "",
  };
}

function outside(ir: Ir): Json {
  const { name, workflow_version, input_schema, output = null, settings } = ir;
  return { name, workflow_version, input_schema, output, settings } as unknown as Json;
}

/** Fields that differ, by pointer, in the order of the newer one. */
function compare(before: Json | undefined, after: Json | undefined, path: string): FieldChange[] {
  if (isObject(before) && isObject(after)) {
    const keys = [...new Set([...Object.keys(after), ...Object.keys(before)])];
    return keys.flatMap((key) => {
      const step = key.replaceAll("~", "~0").replaceAll("/", "~1");
      return compare(ownOf(before, key), ownOf(after, key), `${path}/${step}`);
    });
  }
  const text = (value: Json | undefined): string =>
    value === undefined ? "" : canonicalJson(value);
  return text(before) === text(after) ? [] : [{ path, before, after }];
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function ownOf(object: { [key: string]: Json }, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Edges that lead between the same nodes for the same reason are one edge, changed. */
function diffEdges(
  before: readonly PictureEdge[],
  after: readonly PictureEdge[],
): WorkflowDiff["edges"] {
  const name = ({ from, to, label }: PictureEdge): EdgeName => ({ from, to, label });
  const same = (a: PictureEdge, b: PictureEdge): boolean =>
    a.from === b.from && a.to === b.to && a.kind === b.kind;
  const gone = before.filter((a) => !after.some((b) => same(a, b) && a.label === b.label));
  const fresh = after.filter((b) => !before.some((a) => same(a, b) && a.label === b.label));
  const changed: EdgeChange[] = [];
  for (const edge of [...fresh]) {
    const at = gone.findIndex((old) => same(old, edge));
    const [old] = at < 0 ? [] : gone.splice(at, 1);
    if (old !== undefined) {
      fresh.splice(fresh.indexOf(edge), 1);
      const { from, to, kind } = edge;
      changed.push({ from, to, on: kind, before: old.label, after: edge.label });
    }
  }
  return { added: fresh.map(name), removed: gone.map(name), changed };
}

/** Both versions in one picture: what went, what came, what changed. */
export function diffPicture(before: Ir, after: Ir): Picture {
  const diff = diffWorkflows(before, after);
  const [was, is] = [pictureOf(before), pictureOf(after)];
  const marks = new Map<string, Mark>([
    ...diff.nodes.added.map((id): [string, Mark] => [id, "added"]),
    ...diff.nodes.changed.map(({ id }): [string, Mark] => [id, "changed"]),
  ]);
  const plain = (node: PictureNode): PictureNode => {
    const mark = marks.get(node.id);
    return { ...node, isCritical: false, ...(mark === undefined ? {} : { mark }) };
  };
  const removed = was.nodes.filter(({ id }) => diff.nodes.removed.includes(id));
  const isIn = (list: readonly EdgeName[], edge: PictureEdge): boolean =>
    list.some(
      ({ from, to, label }) => from === edge.from && to === edge.to && label === edge.label,
    );
  const edges = is.edges.map((edge): PictureEdge => {
    const isChanged = diff.edges.changed.some(
      ({ from, to, after: label }) => from === edge.from && to === edge.to && label === edge.label,
    );
    const mark = isIn(diff.edges.added, edge) ? "added" : isChanged ? "changed" : undefined;
    return { ...edge, isCritical: false, ...(mark === undefined ? {} : { mark }) };
  });
  const lost = was.edges.filter((edge) => isIn(diff.edges.removed, edge));
  return {
    title: `${was.title} → ${is.title}`,
    nodes: [
      ...is.nodes.map(plain),
      ...removed.map((node) => ({ ...node, isCritical: false, mark: "removed" as const })),
    ],
    edges: [
      ...edges,
      ...lost.map((edge) => ({ ...edge, isCritical: false, mark: "removed" as const })),
    ],
  };
}

/** The differences for people, one per line; nothing if there are none. */
export function diffLines(diff: WorkflowDiff): string[] {
  const value = (json: Json | undefined): string =>
    json === undefined ? "(none)" : JSON.stringify(json);
  const change = ({ path, before, after }: FieldChange): string =>
    `${path.slice(1).replaceAll("/", ".")}: ${value(before)} → ${value(after)}`;
  const edge = ({ from, to, label }: EdgeName): string =>
    `${from} → ${to}${label === "" ? "" : ` [${label}]`}`;
  const words = (text: string | null): string => (text === null || text === "" ? "always" : text);
  return [
    ...diff.workflow.map((field) => `~ workflow ${change(field)}`),
    ...diff.nodes.added.map((id) => `+ node ${id}`),
    ...diff.nodes.removed.map((id) => `- node ${id}`),
    ...diff.nodes.changed.flatMap(({ id, fields }) => [
      `~ node ${id}`,
      ...fields.map((field) => `    ${change(field)}`),
    ]),
    ...diff.edges.added.map((one) => `+ edge ${edge(one)}`),
    ...diff.edges.removed.map((one) => `- edge ${edge(one)}`),
    ...diff.edges.changed.map(
      ({ from, to, before, after }) => `~ edge ${from} → ${to}: ${words(before)} → ${words(after)}`,
    ),
  ];
}
