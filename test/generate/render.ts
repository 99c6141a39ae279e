/**
 * From a plan to a workflow document that the compiler accepts.
 *
 * A block takes open ports and gives open ports; its first node takes all of the former, so it is a
 * join if there are several, and the head if the block is the body of a loop. When enough nodes
 * have been drawn, blocks become empty: their ports go through.
 */
import type { Json } from "../../compiler/ir.ts";
import { conditionOf, ctxOf, Draft, pickFrom } from "./draft.ts";
import type { DraftNode, JsonObject, Numbers, Port } from "./draft.ts";
import { withPossibleLosers } from "./losers.ts";
import { bodyOutput, ELEMENTS_MAX, failingEntry, mapConfig, mapWrap } from "./maps.ts";
import type {
  Block,
  BranchPlan,
  CondPlan,
  FanPlan,
  GenerateOptions,
  JoinPlan,
  LoopPlan,
  MapPlan,
  TaskPlan,
  TryPlan,
  WorkflowPlan,
} from "./plan.ts";
import { call, failure, retry, taskNode } from "./tasks.ts";
import type { TaskNode, TaskPlace } from "./tasks.ts";

const NODES_DEFAULT = 40;
/** Values larger than this are not handed on: joins of joins would grow without bound. */
const COST_MAX = 40;
/** A value from outside of a loop counts at least so much inside of it. */
const LOOP_INPUT_COST = 10;
/** Values larger than this do not become elements of a map. */
const ITEM_COST_MAX = 5;
const ALL: JoinPlan = { kind: "all", pick: 0 };
const ANY: JoinPlan = { kind: "any", pick: 0 };

/** Nodes that can be read in a place. */
type Around = Pick<Port, "upstream" | "racing">;

/** Draw a workflow. */
export function renderWorkflow(plan: WorkflowPlan, options: GenerateOptions): JsonObject {
  const document = new Renderer(options).render(plan);
  return options.cancels ? withPossibleLosers(document) : document;
}

class Renderer {
  readonly #numbers: Numbers = { next: 0 };
  #draft: Draft;
  readonly #options: GenerateOptions;
  /** Not in the body of a map: which of several failures comes first would be a race. */
  #canFailRun: boolean;
  /** In the body of a map: nodes outside that it can read. */
  #outside: Around = { upstream: new Set(), racing: new Set() };
  #mapDepth = 0;
  #loopDepth = 0;
  /** Where the innermost loop's head is drawn: it gets more than what comes over its in-edges. */
  #headAt = -1;

  constructor(options: GenerateOptions) {
    this.#options = options;
    this.#draft = this.#newDraft();
    this.#canFailRun = options.failures === true && options.handledOnly !== true;
  }

  render(plan: WorkflowPlan): JsonObject {
    let ports = plan.entries.flatMap((entry) => this.#block(entry, []));
    if (plan.tail) ports = this.#block(plan.tail, ports);
    this.#close(ports);
    const failure = this.#options.continue ? "continue" : "fail_fast";
    const order = this.#options.ordered ? { order: "critical_path" } : {};
    return this.#draft.document({ failure, ...order }, this.#output(plan));
  }

  #newDraft(): Draft {
    return new Draft(this.#numbers, this.#options.cancels === true);
  }

  /** Lead the ports on that must lead somewhere. */
  #close(ports: readonly Port[]): void {
    const required = ports.filter((port) => port.isRequired);
    if (required.length > 0) this.#add({ type: "parallel", config: {} }, required, ALL);
  }

  #output({ output }: WorkflowPlan): Json | undefined {
    if (!output) return undefined;
    const ids = new Set(this.#draft.nodes.map((node) => node.id));
    const fields = output.picks.map((pick): [string, Json] => {
      const node = ctxOf(pickFrom(ids, pick) ?? "");
      return [`o${pick}`, `\${has(${node}.output) ? ${node}.output : null}`];
    });
    return { n: "${input.n}", ...Object.fromEntries(fields) };
  }

  #block(block: Block | null, ports: readonly Port[]): Port[] {
    const isFull = this.#numbers.next >= (this.#options.maxNodes ?? NODES_DEFAULT);
    if (block === null || (isFull && ports.length > 0)) return [...ports];
    switch (block.kind) {
      case "task":
        return [this.#guarded(this.#task(block.task, ports), block.guard)];
      case "seq":
        return block.blocks
          .reduce((open: readonly Port[], next) => this.#block(next, open), ports)
          .slice();
      case "fan":
        return this.#fan(block, ports);
      case "branch":
        return this.#branch(block, ports);
      case "try":
        return this.#try(block, ports);
      case "loop":
        return this.#loop(block, ports);
      case "map":
        return this.#map(block, ports);
    }
  }

  #fan({ head, branches, merge, drop }: FanPlan, ports: readonly Port[]): Port[] {
    const start = this.#task(head, ports);
    const ends = branches.flatMap(({ guard, block }) =>
      this.#block(block, [this.#guarded(start, guard)]),
    );
    const last = ends.at(-1);
    const canDrop = drop === 0 && this.#loopDepth === 0 && ends.length > 1 && !last?.isRequired;
    const kept = canDrop ? ends.slice(0, -1) : ends;
    return merge ? [this.#task(merge, kept)] : kept;
  }

  #branch(plan: BranchPlan, ports: readonly Port[]): Port[] {
    const { form, arms } = plan;
    const hasDefault = plan.hasDefault;
    const onNoMatch: JsonObject =
      hasDefault || (this.#canFailRun && plan.head.k < 2) ? {} : { on_no_match: "skip" };
    const routing = form === "all" ? { mode: "all" } : {};
    const node =
      form === "rules"
        ? { type: "function", config: { ...call("builtin.echo"), ...onNoMatch } }
        : { type: "conditional", config: { ...routing, ...onNoMatch } };
    const from = this.#add(node, ports, plan.head.join);
    if (form === "rules") this.#draft.writeAsBranch(from.id);
    const base = this.#behind(from, ports, true);
    const taken = arms.flatMap(({ cond, block }) =>
      this.#block(block, [{ ...this.#guarded(base, cond), isRequired: true }]),
    );
    if (!hasDefault) return taken;
    return [...taken, ...this.#block(plan.fallback, [{ ...base, isRequired: true }])];
  }

  #try(plan: TryPlan, ports: readonly Port[]): Port[] {
    const place = this.#place(ports, plan.task.join);
    const params = failure(plan.task, place, plan.fails === "always");
    if (plan.fails === "broken") params["when"] = false;
    const node = { type: "function", config: call("builtin.fail", params) };
    const from = this.#add(node, ports, plan.task.join);
    if (plan.attempts > 1) from["retry"] = retry(plan.attempts);
    const base = this.#behind(from, ports, false);
    const broken = plan.fails === "broken" ? `output.nothing.here > ${plan.task.k}` : null;
    const success = {
      ...this.#guarded(base, plan.guard),
      ...(broken ? { condition: broken } : {}),
    };
    const handlers: Port[] = [];
    if (plan.on !== "always") handlers.push({ ...base, on: "error", isRequired: true, cost: 1 });
    if (plan.on !== "error") handlers.push({ ...base, on: "always", isRequired: true });
    // Of two edges that handle it one may ask for a certain error.
    const [first, second] = handlers;
    const mayMiss = this.#canFailRun && plan.task.k < 2;
    if (first && (second || mayMiss) && plan.task.pick % 2 === 0) {
      handlers[0] = { ...first, condition: `has(output.error) && output.error.code == "E1"` };
    }
    const handled = this.#block(plan.handler, handlers);
    return [success, ...handled];
  }

  #loop(plan: LoopPlan, ports: readonly Port[]): Port[] {
    const first = this.#draft.nodes.length;
    this.#loopDepth++;
    this.#headAt = first;
    const entered = ports.map((p) => ({ ...p, cost: Math.max(p.cost, LOOP_INPUT_COST) }));
    const inside = this.#block(plan.body, entered);
    const place = this.#place(inside, plan.latch.join);
    const task = this.#latchTask(plan.latch, place, inside);
    const head = this.#draft.nodes[first]?.id;
    const source = pickFrom(settledOf(place), plan.k);
    const hasErrorEdge = this.#options.failures === true && plan.k % 2 === 1;
    const canExhaust =
      plan.exhausted !== null || hasErrorEdge || (this.#canFailRun && plan.latch.k < 2);
    const loop: JsonObject = {
      ...(head === undefined ? {} : { loop_back_to: head }),
      condition: loopCondition(plan, canExhaust, source),
      max_iterations: plan.rounds,
    };
    const isLoopType =
      plan.form === "loop" && (task.type === "function" || task.type === "parallel");
    const node = isLoopType
      ? { type: "loop", config: { ...task.config, ...loop } }
      : { type: task.type, config: task.config, loop };
    const latch = this.#add(node, inside, plan.latch.join);
    if (task.retry) latch["retry"] = task.retry;
    this.#loopDepth--;
    const base = this.#behind(latch, inside, task.passesOn);
    return this.#loopExits(plan, base, hasErrorEdge);
  }

  #loopExits(plan: LoopPlan, base: Port, hasErrorEdge: boolean): Port[] {
    const isBreak = plan.exhausted !== null || !plan.drawn;
    const exits: Port[] = isBreak
      ? [{ ...base, isBreak: true }]
      : [this.#guarded(base, plan.guard)];
    if (plan.exhausted) {
      const port: Port = { ...base, on: "exhausted", isRequired: true };
      exits.push(...this.#block(plan.exhausted.block, [port]));
    }
    if (hasErrorEdge) exits.push({ ...base, on: "error", isRequired: true, cost: 1 });
    return exits;
  }

  #map(plan: MapPlan, ports: readonly Port[]): Port[] {
    const isHead = this.#draft.nodes.length === this.#headAt;
    const isSmall = costOf(ports) <= ITEM_COST_MAX && !isHead;
    const node = this.#add(
      { type: "map", config: mapConfig(plan, isSmall) },
      ports,
      plan.task.join,
    );
    const { body, cost } = this.#body(plan, this.#place(ports, plan.task.join));
    node.config["do"] = body;
    const made = { ...this.#behind(node, ports, false), cost };
    const upstream = new Set([...made.upstream].filter((id) => id !== node.id));
    const wrap = this.#add(mapWrap(node), [{ ...made, upstream }], ALL);
    const success: Port = { ...this.#behind(wrap, [{ ...made, upstream }], true), cost };
    if (plan.fails !== "too many") return [success];
    const failed: Port = { ...made, on: "error", isRequired: true, cost: 1 };
    return [success, ...this.#block(plan.handler, [failed])];
  }

  /** A graph of its own; its nodes may read those outside that are upstream of the map. */
  #body(plan: MapPlan, around: Around): { body: JsonObject; cost: number } {
    const kept = [this.#draft, this.#headAt, this.#canFailRun, this.#outside] as const;
    this.#draft = this.#newDraft();
    [this.#headAt, this.#canFailRun, this.#outside] = [-1, false, around];
    this.#mapDepth++;
    const first = plan.fails === "no" ? [] : [this.#failing(plan)];
    const main =
      plan.body === null ? [this.#task(plan.task, first)] : this.#block(plan.body, first);
    const second = first.length === 0 && plan.beside ? this.#block(plan.beside, []) : [];
    const ends = [...main, ...second];
    this.#close(ends);
    const all = ELEMENTS_MAX * Math.max(1, costOf(ends));
    const ids = this.#draft.nodes.map(({ id }) => id);
    const isCut = plan.hasOutput || all > COST_MAX;
    const graph = this.#draft.graph(isCut ? bodyOutput(ids, plan.k) : undefined);
    const [only, ...others] = this.#draft.nodes;
    const isSingle = only !== undefined && others.length === 0 && !isCut && plan.k % 2 === 0;
    this.#mapDepth--;
    [this.#draft, this.#headAt, this.#canFailRun, this.#outside] = kept;
    return { body: isSingle ? only : graph, cost: isCut ? ELEMENTS_MAX : all };
  }

  #failing(plan: MapPlan): Port {
    return this.#behind(this.#add(failingEntry(plan), [], ALL), [], true);
  }

  /** What a latch puts out is its head's input: it must not grow from round to round. */
  #latchTask(plan: TaskPlan, place: TaskPlace, inside: readonly Port[]): TaskNode {
    const isCompound = plan.shape === "list" || plan.shape === "aggregate";
    const task = taskNode({ ...plan, shape: isCompound ? "params" : plan.shape }, place);
    const mayGrow = task.passesOn && (inside.length === 0 || costOf(inside) >= LOOP_INPUT_COST);
    return mayGrow ? taskNode({ ...plan, shape: "counter" }, place) : task;
  }

  /** Draw a task; the port of its success. */
  #task(plan: TaskPlan, ports: readonly Port[]): Port {
    if (plan.shape === "list") return this.#list(plan, ports);
    const isHead = this.#draft.nodes.length === this.#headAt;
    if (plan.shape === "aggregate" && arityOf(ports) > 1 && !isHead)
      return this.#aggregate(plan, ports);
    const place = this.#place(ports, plan.join);
    let task = taskNode(plan, place);
    if (task.passesOn && costOf(ports) > COST_MAX)
      task = taskNode({ ...plan, shape: "params" }, place);
    const node = this.#add({ type: task.type, config: task.config }, ports, plan.join);
    if (task.retry) node["retry"] = task.retry;
    const mayBePure = this.#options.pure === true && task.type === "function";
    if (mayBePure && plan.pick % 2 === 0) node["pure"] = true;
    return this.#behind(node, ports, task.passesOn);
  }

  /** A list is made, filtered, and put into an object again. */
  #list(plan: TaskPlan, ports: readonly Port[]): Port {
    const make = {
      type: "transform",
      config: { expression: { rows: "${input.list}", k: plan.k } },
    };
    const made = this.#behind(this.#add(make, ports, plan.join), ports, false);
    const config = {
      items: "${data.rows}",
      filter_expression: `value > ${plan.k % 4} || index == 0`,
    };
    const filtered = this.#add({ type: "filter", config }, [made], ALL);
    const sort = plan.k % 2 === 0 ? "sort" : "unique";
    const unread = { ...made, from: filtered.id };
    const order = { type: "transform", config: { transformation: sort } };
    const ordered = this.#add(order, [unread], ALL);
    return this.#wrap({ ...made, from: ordered.id });
  }

  /** Values of a join made into one, and put into an object again. */
  #aggregate(plan: TaskPlan, ports: readonly Port[]): Port {
    const configs: JsonObject[] = [
      ...(["collect", "merge", "union"] as const).map((strategy) => ({ strategy })),
      ...(["sum", "count", "max"] as const).map((operation) => ({ operation, field: "count" })),
      { operation: "group_by", field: "tag" },
    ];
    const cost = costOf(ports);
    // Only what gives a number, when values have become large.
    const config = configs[cost > COST_MAX ? 3 + (plan.k % 3) : plan.k] ?? {};
    const node = this.#add({ type: "aggregate", config }, ports, plan.join);
    const { upstream, racing } = this.#place(ports, plan.join);
    return this.#wrap({ from: node.id, on: "success", condition: null, upstream, racing, cost });
  }

  #wrap(port: Port): Port {
    const wrap = { type: "transform", config: { expression: { all: "${data}" } } };
    return this.#behind(this.#add(wrap, [port], ALL), [port], true);
  }

  #add(
    node: { type: string; config: JsonObject },
    ports: readonly Port[],
    join: JoinPlan,
  ): DraftNode {
    return this.#draft.add(node, ports, join);
  }

  /** The port of a node's success; the node's output is an object. */
  #behind(node: DraftNode, ports: readonly Port[], passesOn: boolean): Port {
    const place = this.#place(ports, node["join"] === undefined ? ALL : ANY);
    const upstream = new Set([...place.upstream, node.id]);
    const cost = passesOn ? costOf(ports) : 1;
    const { racing } = place;
    return { from: node.id, on: "success", condition: null, upstream, racing, cost };
  }

  /** What is there for a node behind these ports. */
  #place(ports: readonly Port[], join: JoinPlan): TaskPlace {
    const upstream = new Set([this.#outside, ...ports].flatMap((source) => [...source.upstream]));
    const waits = join.kind === "all" || arityOf(ports) < 2;
    const isSettledBy = (id: string) => (source: Around) =>
      source.upstream.has(id) && !source.racing.has(id);
    const isSettled = (id: string): boolean =>
      isSettledBy(id)(this.#outside) ||
      (waits ? ports.some(isSettledBy(id)) : ports.every(isSettledBy(id)));
    const racing = new Set([...upstream].filter((id) => !isSettled(id)));
    return { upstream, racing, inLoop: this.#loopDepth > 0, inMap: this.#mapDepth > 0 };
  }

  #guarded(port: Port, cond: CondPlan | null): Port {
    if (!cond) return port;
    const others = new Set([...settledOf(port)].filter((id) => id !== port.from));
    return { ...port, condition: conditionOf(cond, others, this.#loopDepth > 0) };
  }
}

/** Those whose end nobody has to wait for any more, so that a condition about them is no race. */
function settledOf({ upstream, racing }: Around): ReadonlySet<string> {
  return new Set([...upstream].filter((id) => !racing.has(id)));
}

/** In-edges that these ports make: of ports that are the same only one becomes an edge. */
function arityOf(ports: readonly Port[]): number {
  return new Set(ports.map(({ from, on, condition }) => `${from} ${on} ${condition}`)).size;
}

function costOf(ports: readonly Port[]): number {
  return ports.reduce((sum, port) => sum + port.cost, 0);
}

/** True means another round; only if something is there for it does it stay true for ever. */
function loopCondition(plan: LoopPlan, canExhaust: boolean, source: string | undefined): string {
  const rounds = 1 + (plan.k % plan.rounds);
  const ends = `iteration < ${rounds}`;
  if (plan.cond === "never") return "false";
  if (plan.cond === "ctx" && source !== undefined) return `${ends} && has(${ctxOf(source)}.output)`;
  if (!canExhaust || plan.cond === "iteration") return ends;
  if (plan.cond === "count") return `!has(output.count) || output.count < ${plan.k}`;
  return "true";
}
