/**
 * One graph in progress: a run, or one element of a map.
 *
 * A token whose work is done is brought here. Every out-edge of its node gets a value, a value is
 * carried to the join of its target, and a join that is decided makes a token or passes its own
 * value on. The graph has ended when no token of it is left. Which token is next, and what it does,
 * is not decided here (interpreter.ts).
 */
import type { Vars } from "../../condition/index.ts";
import { isFedByRun } from "../ir.ts";
import type { Ir, IrNode, Json } from "../ir.ts";
import { contextSeen, inputFromEdges, loopsAround, nodeAt } from "./data.ts";
import { decideFailure, decideSuccess } from "./edges.ts";
import { Frame } from "./frame.ts";
import { decideJoin } from "./join.ts";
import { Record } from "./record.ts";
import { backOff, isRetried } from "./retry.ts";
import { runOutput } from "./run-output.ts";
import type { StartPlan } from "./start-at.ts";
import type {
  EdgeValue,
  HandlerError,
  HandlerResult,
  ReadyToken,
  ReferenceError,
  TraceStep,
} from "./types.ts";

export interface Token extends ReadyToken {
  graph: GraphRun;
  index: number;
  frame: Frame;
  data: Json;
  /** Graphs that run inside it: elements, a child run. */
  inside: GraphRun[];
  /** Of a map whose elements are done with: what they have come to, failed ones last. */
  collected?: [HandlerResult, Json | undefined];
}

/** A value on its way to a node: over an edge, to the join that lives in `frame`. */
interface Delivery {
  edge: number;
  frame: Frame;
  value: EdgeValue;
}

export type Outcome = { output: Json } | { error: ReferenceError };

/** What the graphs of one run share. */
export interface RunPlace {
  id: string;
  trace: TraceStep[];
  /** Elements that were begun, by their homes. */
  elements: Map<string, GraphRun>;
}

export interface GraphPlace {
  run: RunPlace;
  /** What every expression of the graph sees: `input`, `run`, and in an element more. */
  vars: Vars;
  home: string;
  within: Frame | null;
  /** Takes a new token, or one for its next attempt. */
  ready(token: Token): void;
  /** Called once, when nothing is left to do. */
  ended(outcome: Outcome): void;
}

export class GraphRun {
  readonly ir: Ir;
  readonly place: GraphPlace;
  readonly top: Frame;
  readonly record: Record;
  /** Tokens that are not concluded yet. */
  live = 0;
  #deliveries: Delivery[] = [];
  /** Joins that have fired and cancel their losers when this step is over. */
  #won: { losers: readonly number[]; frame: Frame }[] = [];
  /** The first unhandled failure under fail-fast. */
  #fatal: ReferenceError | undefined;
  #isOver = false;

  constructor(ir: Ir, place: GraphPlace) {
    this.ir = ir;
    this.place = place;
    this.top = Frame.top(place.within);
    this.record = new Record(ir, place.home, place.run.trace);
  }

  /** Make the entries ready, with `data` as their input. */
  begin(data: Json): void {
    this.ir.nodes.forEach((node, index) => {
      if (node.is_entry) this.#activate(index, this.top, data);
    });
  }

  /** Begin in the middle: what does not run before it counts as dead, or as given. */
  beginAt({ starts, given, edges }: StartPlan, data: Json): void {
    for (const [index, output] of given) {
      const node = nodeAt(this.ir, index);
      const frame = enteredTo(this.ir, this.top, loopsAround(this.ir, node));
      frame.ended.set(index, { status: "completed", value: output });
      this.record.given(index, output);
    }
    for (const [index, input] of starts) {
      const node = nodeAt(this.ir, index);
      const frame = joinPlace(this.ir, this.top, node);
      const join = frame.joinOf(index, node.in.length);
      join.arrivals = node.in.map((edge) => edges.get(edge) ?? null);
      join.isDecided = true;
      const own = (): Json =>
        isFedByRun(this.ir, node) ? data : inputFromEdges(this.ir, node, frame, join.arrivals);
      this.#activate(index, frame, input === undefined ? own() : input);
    }
    for (const [edge, value] of edges) {
      const target = this.ir.edges[edge]?.to ?? -1;
      if (starts.has(target)) continue;
      const frame = joinPlace(this.ir, this.top, nodeAt(this.ir, target));
      this.#deliveries.push({ edge, frame, value });
    }
    this.#spread();
  }

  /** What the expressions of a node see. */
  varsFor(frame: Frame, refs: readonly number[]): Vars {
    const { vars } = this.place;
    const ctx = { ...vars.ctx, ...contextSeen(this.ir, frame, refs) };
    return frame.loop === null ? { ...vars, ctx } : { ...vars, ctx, iteration: frame.round };
  }

  /** A token has done its work. `errors` is of a map that goes on with failed elements. */
  conclude(token: Token, result: HandlerResult, errors?: Json): void {
    const node = nodeAt(this.ir, token.index);
    this.endInside(token);
    if ("output" in result) {
      this.live--;
      this.#succeed(token, node, asStored(result.output), errors);
      return this.#spread();
    }
    const { error } = result;
    if (isRetried(node, error, token.attempt)) {
      this.record.retried(token.index, token.scope, token.attempt, error);
      const restMs = backOff(node, token.attempt);
      return this.place.ready({ ...token, attempt: token.attempt + 1, restMs });
    }
    this.live--;
    this.#fail(token, node, error);
    this.#spread();
  }

  /** A token is not to run: what only it would have led to is skipped, too. */
  skip(token: Token): void {
    const node = nodeAt(this.ir, token.index);
    this.endInside(token);
    this.live--;
    this.record.skipped(token.index, token.scope);
    this.#leave(
      token,
      node,
      node.out.map(() => "dead"),
    );
    this.#spread();
  }

  /** What runs inside a token is void from now on. */
  endInside(token: Token): void {
    for (const inner of token.inside.splice(0)) inner.top.end();
  }

  /** Tell whoever began this graph, if nothing is left to do. */
  settle(): void {
    if (this.#isOver || !this.top.isAlive()) return;
    if (!this.#fatal && this.live > 0) return;
    this.finish(this.#outcome());
  }

  /** End with this outcome, whatever is in progress. */
  finish(outcome: Outcome): void {
    this.#isOver = true;
    this.top.end();
    this.place.ended(outcome);
  }

  #outcome(): Outcome {
    if (this.#fatal) return { error: this.#fatal };
    this.record.assertDecided(this.top);
    const error = this.record.failuresError();
    return error ? { error } : runOutput(this.ir, this.top, this.place.vars, this.record.statusOf);
  }

  /** Make a token for a node that is entered from outside; a head begins its loops. */
  #activate(index: number, frame: Frame, data: Json): void {
    const { head_of, join } = nodeAt(this.ir, index);
    const inner = head_of.reduce((place, loop) => place.enter(this.ir, loop), frame);
    this.#makeReady(index, inner, data);
    if (join.losers) this.#won.push({ losers: join.losers, frame });
  }

  #makeReady(index: number, frame: Frame, data: Json, restMs = 0): void {
    const { scope } = frame;
    frame.activate(index);
    this.record.activated(index, scope);
    this.live++;
    this.place.ready({
      ...{ node: nodeAt(this.ir, index).id, scope, home: this.place.home, attempt: 1, restMs },
      ...{ graph: this, index, frame, data, inside: [] },
    });
  }

  #succeed(token: Token, node: IrNode, output: Json, errors?: Json): void {
    const { frame, index, attempt } = token;
    const vars = { ...this.varsFor(frame, node.edge_refs), output };
    const next = decideSuccess(this.ir, node, frame.round, vars);
    if (next.kind === "fail") return this.#fail(token, node, next.error);
    const more = errors === undefined ? {} : { errors };
    frame.ended.set(index, { status: "completed", value: output, ...more });
    if (next.kind === "leave") {
      this.record.completed(index, frame.scope, attempt, output, next.edges);
      return this.#leave(token, node, next.edges);
    }
    this.record.completed(index, frame.scope, attempt, output, []);
    this.#goRound(frame, output);
  }

  /** Another round: everything of the old one is void, its latch's output is the head's input. */
  #goRound(old: Frame, output: Json): void {
    const loop = old.loop ?? -1;
    const head = this.ir.loops[loop]?.head ?? -1;
    const own = nodeAt(this.ir, head).head_of;
    const begun = own.slice(own.indexOf(loop));
    const outside = old.parent ?? this.top;
    const inner = begun.reduce((place, each) => place.enter(this.ir, each), outside);
    this.record.wentRound(head, inner.scope);
    this.#makeReady(head, inner, output, this.ir.loops[loop]?.delay_ms ?? 0);
  }

  #fail(token: Token, node: IrNode, error: HandlerError): void {
    const { attempt: attempts, frame, index } = token;
    const first = errorValue(error, node, attempts);
    const vars = { ...this.varsFor(frame, node.edge_refs), output: first };
    const decision = decideFailure(this.ir, node, error.code, vars);
    const last = decision.error ?? error;
    const { code, message, details } = last;
    const shown: ReferenceError = { code, message, node: node.id, scope: frame.scope, attempts };
    if (details) shown.details = details;
    frame.ended.set(index, { status: "failed", value: errorValue(last, node, attempts) });
    if (decision.edges) {
      this.record.failed(index, frame.scope, attempts, shown, decision.edges, true);
      return this.#leave(token, node, decision.edges);
    }
    const edges = node.out.map((): EdgeValue => "failed");
    if (this.ir.settings.failure === "continue") {
      this.record.failed(index, frame.scope, attempts, shown, edges, false);
      return this.#leave(token, node, edges);
    }
    this.record.failed(index, frame.scope, attempts, shown, [], false);
    this.#fatal = shown;
  }

  /** Send values on the out-edges; a latch ends its loop by that. */
  #leave(token: Token, node: IrNode, edges: readonly EdgeValue[]): void {
    if (node.latch_of !== null) {
      token.frame.end();
      this.record.loopEnded(token.index, token.scope);
    }
    this.#send(node, token.frame, (place) => edges[place] ?? "dead");
  }

  #send(node: IrNode, from: Frame, valueAt: (place: number) => EdgeValue): void {
    node.out.forEach((edge, place) => {
      const target = nodeAt(this.ir, this.ir.edges[edge]?.to ?? -1);
      this.#deliveries.push({
        edge,
        frame: from.around(joinLoop(this.ir, target)),
        value: valueAt(place),
      });
    });
  }

  /** Carry values until all have come to a join that waits, or have made a token. */
  #spread(): void {
    for (let at = this.#deliveries.shift(); at; at = this.#deliveries.shift()) this.#arrive(at);
    for (const { losers, frame } of this.#won.splice(0)) {
      for (const loser of losers) this.#cancel(loser, frame);
    }
  }

  /** `frame` is where the join is: a loop among its branches ends there as a whole. */
  #cancel(index: number, frame: Frame): void {
    const node = nodeAt(this.ir, index);
    if (joinLoop(this.ir, node) === frame.loop) {
      frame.joinOf(index, node.in.length).isDecided = true;
    }
    if (node.loop === frame.loop) frame.cancel(index);
    if (node.latch_of !== null) frame.rounds.get(node.latch_of)?.end();
    this.record.cancelled(index);
  }

  #arrive({ edge, frame, value }: Delivery): void {
    const index = this.ir.edges[edge]?.to ?? -1;
    const node = nodeAt(this.ir, index);
    const join = frame.joinOf(index, node.in.length);
    const place = node.in.indexOf(edge);
    if (join.arrivals[place] !== null) {
      throw new Error(`edge ${edge} brought a second value to "${node.id}" in "${frame.scope}"`);
    }
    join.arrivals[place] = value;
    if (join.isDecided) return;
    const decision = decideJoin(node.join, join.arrivals);
    if (decision.kind === "wait") return;
    join.isDecided = true;
    if (node.in.length > 1) this.record.joined(index, frame.scope, join.arrivals, decision);
    if (decision.kind === "fire") {
      this.#activate(index, frame, inputFromEdges(this.ir, node, frame, join.arrivals));
    } else {
      this.#skip(index, node, frame, decision.value);
    }
  }

  /** A skipped head takes its whole loop with it; a skipped latch ends its loop. */
  #skip(index: number, node: IrNode, frame: Frame, value: "dead" | "failed"): void {
    const [outer] = node.head_of;
    const loop = outer === undefined ? undefined : this.ir.loops[outer];
    if (loop) {
      for (const inside of loop.body) this.record.skipped(inside, frame.scope);
      return this.#send(nodeAt(this.ir, loop.latch), frame, () => value);
    }
    this.record.skipped(index, frame.scope);
    if (node.latch_of !== null) {
      frame.end();
      this.record.loopEnded(index, frame.scope);
    }
    this.#send(node, frame, () => value);
  }
}

/** The loop in whose frame a node's join lives: a head's join is outside of its loops. */
function joinLoop(ir: Ir, node: IrNode): number | null {
  const [outer] = node.head_of;
  return outer === undefined ? node.loop : (ir.loops[outer]?.parent ?? null);
}

/** The frame of a node's join in the first rounds of the loops around it, entered if need be. */
function joinPlace(ir: Ir, top: Frame, node: IrNode): Frame {
  const inside = loopsAround(ir, node).filter((loop) => !node.head_of.includes(loop));
  return enteredTo(ir, top, inside);
}

/** The frame inside of these loops, outermost first, entered if need be. */
function enteredTo(ir: Ir, top: Frame, loops: readonly number[]): Frame {
  return loops.reduce((at, loop) => at.rounds.get(loop) ?? at.enter(ir, loop), top);
}

/** What goes along error and timeout edges. */
function errorValue(error: HandlerError, node: IrNode, attempts: number): Json {
  const { code, message, details } = error;
  return { error: { code, message, node: node.id, attempts, ...(details && { details }) } };
}

/** As it comes back from where outputs are kept: JSON, shared with nobody. */
function asStored(output: Json): Json {
  return JSON.parse(JSON.stringify(output)) as Json;
}
