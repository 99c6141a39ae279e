/**
 * Which mock a node has: its own, its function's, or that of the workflow that it runs.
 *
 * A child that is simulated from its file has nodes with ids of its own, and mocks of its own for
 * them. So a mock is looked up by the node itself, not by its id.
 */
import type { Ir, IrNode } from "../../compiler/index.ts";
import type { Mock, Mocks } from "./mocks.ts";

/** Compiled child workflows, by the names that `workflows` of the mocks gives them. */
export type ChildFiles = ReadonlyMap<string, Ir>;

export const NO_CHILDREN: ChildFiles = new Map();

export class MockBook {
  readonly mocks: Mocks;
  /** What `subworkflow` nodes run, by what their config says. */
  readonly workflows: { [ref: string]: Ir } = Object.create(null) as { [ref: string]: Ir };
  readonly #scopes = new Map<IrNode, ReadonlyMap<string, Mock>>();
  readonly #queues = new Map<IrNode, string>();
  /** Nodes whose tokens always stand behind. */
  readonly #behind = new Set<IrNode>();
  /** Nodes whose first tokens do: where runs begin. */
  readonly #entries: ReadonlySet<IrNode>;

  constructor(ir: Ir, mocks: Mocks, files: ChildFiles = NO_CHILDREN) {
    this.mocks = mocks;
    const isOrdered = ir.behind !== undefined;
    this.#entries = new Set(isOrdered ? [] : ir.nodes.filter(({ is_entry }) => is_entry));
    const seen = new Set<Ir>();
    const add = (graph: Ir, scope: ReadonlyMap<string, Mock>): void => {
      if (seen.has(graph)) return;
      seen.add(graph);
      for (const node of graph.nodes) {
        this.#scopes.set(node, scope);
        this.#queues.set(node, graph.queues[node.queue] ?? "default");
        if (node.queue >= (graph.behind ?? Number.POSITIVE_INFINITY)) this.#behind.add(node);
        if (node.body !== undefined) add(node.body, scope);
        const ref = refOf(node);
        const name = ref === null ? undefined : nameIn(files, ref);
        const child = name === undefined ? undefined : files.get(name);
        if (ref === null || name === undefined || child === undefined) continue;
        this.workflows[ref] = child;
        add(child, mocks.workflows.get(name)?.nodes ?? new Map());
      }
    };
    add(ir, mocks.nodes);
  }

  /** All nodes that a run can come to, those of bodies and child workflows too. */
  get nodes(): IterableIterator<IrNode> {
    return this.#scopes.keys();
  }

  /** Name of the queue that the node stands in. */
  queueOf(node: IrNode): string {
    return this.#queues.get(node) ?? "default";
  }

  /** Whether a token of the node stands behind others of its queue, as sdk/profile.ts has it. */
  isBehind(node: IrNode, isFirst: boolean): boolean {
    return this.#behind.has(node) || (isFirst && this.#entries.has(node));
  }

  /** The node's mock, if it has one; it may say no more than how long the node takes. */
  of(node: IrNode): Mock | undefined {
    const own = this.#scopes.get(node)?.get(node.id);
    if (own !== undefined) return own;
    const ref = refOf(node);
    if (ref === null) return this.mocks.functions.get(functionOf(node) ?? "");
    const name = nameIn(this.mocks.workflows, ref);
    return name === undefined ? undefined : this.mocks.workflows.get(name);
  }

  /** The node's mock, if it says what the node answers. */
  answerOf(node: IrNode): Mock | undefined {
    const mock = this.of(node);
    if (mock === undefined) return undefined;
    const says = mock.output !== undefined || mock.error !== undefined || mock.timeout === true;
    // An outside step that only takes its time hands on its input; one that can be evaluated is.
    return says || isOutside(node) ? mock : undefined;
  }

  /** Nodes that reach outside and have no mock: their ids, with what they call. */
  missing(): { id: string; calls: string; isWorkflow: boolean }[] {
    return [...this.nodes].flatMap((node) => {
      const ref = refOf(node);
      const isKnown =
        this.of(node) !== undefined || (ref !== null && this.workflows[ref] !== undefined);
      if (isKnown || !(isOutside(node) || ref !== null)) return [];
      const calls = ref ?? functionOf(node) ?? node.type;
      return [{ id: node.id, calls, isWorkflow: ref !== null }];
    });
  }
}

/** The function that a node calls, if it calls one. */
export function functionOf(node: IrNode): string | null {
  const name = node.config["function_name"];
  return typeof name === "string" && ["function", "loop"].includes(node.type) ? name : null;
}

const OUTSIDE: ReadonlySet<string> = new Set(["http", "llm", "emit"]);

/** Whether a node does what a simulation cannot. */
function isOutside(node: IrNode): boolean {
  const name = functionOf(node);
  return OUTSIDE.has(node.type) || (name !== null && !name.startsWith("builtin."));
}

function refOf(node: IrNode): string | null {
  return node.type === "subworkflow" ? String(node.config["workflow"]) : null;
}

/** `name@version` under itself, else under the name. */
function nameIn(table: ReadonlyMap<string, unknown>, ref: string): string | undefined {
  if (table.has(ref)) return ref;
  const [name = ""] = ref.split("@");
  return table.has(name) ? name : undefined;
}

/** A mocks file to begin with. */
export function skeleton(missing: ReturnType<MockBook["missing"]>): string {
  const lines = (of: typeof missing, name: (one: (typeof of)[number]) => string): string[] =>
    of.map((one) => `  ${name(one)}: { output: {} }   # ${one.isWorkflow ? one.id : one.calls}`);
  const workflows = missing.filter(({ isWorkflow }) => isWorkflow);
  const nodes = missing.filter(({ isWorkflow }) => !isWorkflow);
  return [
    ...(nodes.length > 0 ? ["nodes:", ...lines(nodes, ({ id }) => id)] : []),
    ...(workflows.length > 0
      ? ["workflows:", ...lines(workflows, ({ calls }) => JSON.stringify(calls))]
      : []),
  ].join("\n");
}
