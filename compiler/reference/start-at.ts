/**
 * Beginning a run at nodes in the middle of its workflow: what that means, for the interpreter and for
 * the engine alike.
 *
 * What is not reached from there does not run: its edges are dead, its outputs are missing. That is
 * honest only where a run that came there by itself could miss them too. So whatever is read or
 * waited for must be reached, be given, or stand on another branch than a start; a start for which
 * this does not hold is refused, with the reasons. A node whose output is given has completed with
 * it: its edges to joins behind a start are decided by their conditions, and those to a start are
 * live, because that it begins is what was asked for.
 */
import { compileTemplate, type Vars } from "../../condition/index.ts";
import { isFedByRun } from "../ir.ts";
import type { Ir, IrEdge, IrNode, Json } from "../ir.ts";
import { contextOf, loopsAround, namedSources, nodeAt } from "./data.ts";
import { decideSuccess } from "./edges.ts";
import type { Start } from "./types.ts";

export interface StartPlan {
  /** Nodes that begin, and the input of those that get another than their in-edges bring. */
  starts: Map<number, Json | undefined>;
  /** Outputs that count as there, by node. */
  given: Map<number, Json>;
  /** Edges from what does not run to what may, with what they bring; ascending. */
  edges: Map<number, "live" | "dead">;
}

/** Why a run cannot begin there; `node` is the one that it is about, null: the run's output. */
export interface StartProblem {
  node: string | null;
  message: string;
}

/** How what is missing can be supplied, in the words of whoever asks; see `planStart`. */
export interface StartWords {
  output(node: string): string;
  input(node: string): string;
}

const PLAIN_WORDS: StartWords = {
  output: () => "give its output",
  input: () => "give its input",
};

/** As a submission and the CLI supply it. */
export const START_FLAGS: StartWords = {
  output: (node) => `give its output (--set ${node}=JSON; in a submission: outputs)`,
  input: (node) => `give the input of "${node}" (--node-input ${node}=JSON; inputs)`,
};

/** Ids of the nodes that a run which begins at these nodes does not come to. */
export function nodesNotRun(ir: Ir, nodes: readonly string[]): string[] {
  const starts = nodes.map((node) => ir.nodes.findIndex(({ id }) => id === node));
  const reached = reachedFrom(
    ir,
    starts.filter((start) => start >= 0),
  );
  return ir.nodes.flatMap(({ id, synthetic }, index) =>
    reached.has(index) || synthetic === true ? [] : [id],
  );
}

/** How a run begins there, or why it cannot. `vars` is what all expressions of the run see. */
export function planStart(
  ir: Ir,
  start: Start,
  vars: Vars,
  words: StartWords = PLAIN_WORDS,
): StartPlan | { problems: StartProblem[] } {
  return new Starting(ir, vars, words).plan(start);
}

class Starting {
  readonly #ir: Ir;
  readonly #vars: Vars;
  readonly #words: StartWords;
  readonly #problems: StartProblem[] = [];
  readonly #starts = new Map<number, Json | undefined>();
  readonly #given = new Map<number, Json>();
  #reached = new Set<number>();
  #branches: Set<number>[] = [];

  constructor(ir: Ir, vars: Vars, words: StartWords) {
    this.#ir = ir;
    this.#vars = vars;
    this.#words = words;
  }

  plan({ at, inputs = {}, outputs = {} }: Start): StartPlan | { problems: StartProblem[] } {
    for (const id of new Set(at)) {
      this.#named(id, (index) => this.#starts.set(index, undefined));
    }
    this.#reached = reachedFrom(this.#ir, [...this.#starts.keys()]);
    this.#branches = branchesBefore(this.#ir);
    this.#assertApart();
    for (const [id, input] of Object.entries(inputs)) {
      this.#named(id, (index) => {
        if (this.#starts.has(index)) this.#starts.set(index, input);
        else this.#say(id, `"${id}" does not begin: no input can be given to it`);
      });
    }
    for (const [id, output] of Object.entries(outputs)) {
      this.#named(id, (index) => {
        if (this.#reached.has(index)) this.#say(id, `"${id}" runs itself: it cannot be given`);
        else this.#given.set(index, output);
      });
    }
    this.#gather();
    this.#inputs();
    this.#readers();
    const edges = this.#edges();
    return this.#problems.length > 0
      ? { problems: unique(this.#problems) }
      : { starts: this.#starts, given: this.#given, edges };
  }

  #say(node: string | null, message: string): void {
    this.#problems.push({ node, message });
  }

  #named(id: string, found: (index: number) => void): void {
    const index = this.#ir.nodes.findIndex((node) => node.id === id && node.synthetic !== true);
    if (index < 0) this.#say(id, notHere(this.#ir, id));
    else found(index);
  }

  /** A start behind another one would begin twice. */
  #assertApart(): void {
    for (const start of this.#starts.keys()) {
      const others = [...this.#starts.keys()].filter((other) => other !== start);
      const before = others.find((other) => reachedFrom(this.#ir, [other]).has(start));
      if (before !== undefined) {
        const id = this.#id(start);
        this.#say(id, `"${id}" stands behind "${this.#id(before)}", where the run begins already`);
      }
    }
  }

  /** What the compiler put between nodes has the output that it would make of those given. */
  #gather(): void {
    this.#ir.nodes.forEach((node, index) => {
      const sources = node.in.map((edge) => this.#source(edge));
      if (node.synthetic !== true || this.#reached.has(index) || node.is_entry) return;
      if (!sources.every((source) => this.#given.has(source))) return;
      const [first] = sources;
      const one = (edge: number): [string, Json][] =>
        namedSources(this.#ir, edge, (from) => this.#given.get(this.#source(from)) ?? null);
      const value =
        sources.length === 1
          ? (this.#given.get(first ?? -1) ?? null)
          : Object.fromEntries(node.in.flatMap(one));
      this.#given.set(index, value);
    });
  }

  /** A start gets its input from what is given before it, if not by hand. */
  #inputs(): void {
    for (const [start, input] of this.#starts) {
      const node = nodeAt(this.#ir, start);
      if (input !== undefined || isFedByRun(this.#ir, node)) continue;
      const sources = node.in.map((edge) => this.#source(edge));
      const given = sources.filter((source) => this.#given.has(source));
      const isFull = node.join.need > 0 && given.length >= node.join.need;
      const missing = isFull
        ? []
        : sources.filter((source) => !this.#isThere(source, start) || given.length === 0);
      for (const source of new Set(missing.flatMap((one) => this.#authors(one)))) {
        const remedy = `${this.#words.output(source)}, or ${this.#words.input(node.id)}`;
        this.#say(
          node.id,
          `"${node.id}" gets the output of "${source}", which would not run; ${remedy}`,
        );
      }
    }
  }

  /** What is read, and waited for, by all that may run. */
  #readers(): void {
    for (const [reader, own] of this.#readersWithOwn()) {
      const { refs, edge_refs, outer_refs = [], id } = nodeAt(this.#ir, reader);
      for (const index of new Set([...refs, ...edge_refs, ...outer_refs])) {
        if (!own.has(index) && !this.#isThere(index, reader)) {
          this.#say(id, `"${id}" reads the output of "${this.#id(index)}", ${this.#remedy(index)}`);
        }
      }
    }
    for (const reader of this.#reached) {
      if (this.#starts.has(reader)) continue;
      for (const edge of nodeAt(this.#ir, reader).in) {
        const from = this.#source(edge);
        if (this.#isThere(from, reader)) continue;
        for (const author of this.#authors(from)) {
          const index = this.#ir.nodes.findIndex(({ id }) => id === author);
          const id = this.#id(reader);
          this.#say(id, `"${id}" waits for "${author}", ${this.#remedy(index)}`);
        }
      }
    }
    for (const index of this.#ir.output === undefined ? [] : readByOutput(this.#ir)) {
      const isThere = [...this.#starts.keys()].some((start) => this.#isThere(index, start));
      if (!isThere) {
        this.#say(null, `the run's output reads "${this.#id(index)}", ${this.#remedy(index)}`);
      }
    }
  }

  /**
   * Whatever may read something: what is reached, and in the loops around a start what runs from
   * their second rounds on; with the nodes that are there by then.
   */
  *#readersWithOwn(): Generator<[number, ReadonlySet<number>]> {
    for (const reader of this.#reached) yield [reader, this.#reached];
    for (const start of this.#starts.keys()) {
      const node = nodeAt(this.#ir, start);
      const [outermost] = loopsAround(this.#ir, node);
      const body = new Set(this.#ir.loops[outermost ?? -1]?.body);
      for (const reader of body) if (!this.#reached.has(reader)) yield [reader, body];
    }
  }

  #isThere(index: number, reader: number): boolean {
    return (
      this.#reached.has(index) ||
      this.#given.has(index) ||
      areApart(this.#ir, this.#branches, index, [...this.#starts.keys(), reader])
    );
  }

  #remedy(index: number): string {
    const id = this.#id(index);
    return `which would not run; ${this.#words.output(id)}, or start at it or before it (${id})`;
  }

  /** What edges from what does not run bring to what may, starts left out. */
  #edges(): StartPlan["edges"] {
    const values: StartPlan["edges"] = new Map();
    this.#ir.edges.forEach(({ from, to }, edge) => {
      if (!this.#reached.has(to) || this.#reached.has(from)) return;
      const output = this.#given.get(from);
      const isStart = this.#starts.has(to);
      const isLive = output !== undefined && (isStart || this.#holds(edge, output));
      values.set(edge, isLive ? "live" : "dead");
    });
    return values;
  }

  /** Whether an edge is taken after its source has come to this output. */
  #holds(edge: number, output: Json): boolean {
    const from = this.#source(edge);
    const { synthetic, in: before } = nodeAt(this.#ir, from);
    // What the compiler has made hands on what comes to it, if anything does.
    const comesTo = (one: number): boolean =>
      this.#holds(one, this.#given.get(this.#source(one)) ?? null);
    if (synthetic === true && before.length > 0 && !before.some(comesTo)) return false;
    const node: IrNode = { ...nodeAt(this.#ir, from), latch_of: null };
    const missing = node.edge_refs.filter((index) => !this.#given.has(index));
    for (const index of missing) {
      this.#say(
        node.id,
        `the edges of "${node.id}" read the output of "${this.#id(index)}", ${this.#remedy(index)}`,
      );
    }
    if (missing.length > 0) return false;
    const endOf = (index: number): { value: Json } => ({ value: this.#given.get(index) ?? null });
    const ctx = contextOf(this.#ir, node.edge_refs, endOf);
    const iteration = node.loop === null ? {} : { iteration: 1 };
    const vars = { ...this.#vars, ...iteration, ctx, output };
    const next = decideSuccess(this.#ir, node, 1, vars);
    if (next.kind === "fail") {
      const { code, message } = next.error;
      this.#say(node.id, `the output given for "${node.id}" decides no edges: ${code} ${message}`);
    }
    return next.kind === "leave" && next.edges[node.out.indexOf(edge)] === "live";
  }

  #source(edge: number): number {
    return this.#ir.edges[edge]?.from ?? -1;
  }

  #id(index: number): string {
    return nodeAt(this.#ir, index).id;
  }

  /** The nodes of the file that one of the compiler's stands for; those that are not there. */
  #authors(index: number): string[] {
    const node = nodeAt(this.#ir, index);
    if (node.synthetic !== true) return [node.id];
    const sources = node.in.map((edge) => this.#source(edge));
    return sources.filter((one) => !this.#given.has(one)).flatMap((one) => this.#authors(one));
  }
}

function unique(problems: readonly StartProblem[]): StartProblem[] {
  return [...new Map(problems.map((one) => [one.message, one])).values()];
}

function notHere(ir: Ir, id: string): string {
  const map = ir.nodes.find(({ body }) => body && hasNode(body, id));
  if (!map) return `there is no node "${id}"`;
  return `"${id}" is in the body of the map "${map.id}", and has no element; start at "${map.id}"`;
}

function hasNode(ir: Ir, id: string): boolean {
  return ir.nodes.some((node) => node.id === id || (node.body && hasNode(node.body, id)));
}

/** These nodes and all behind them, in this round. */
function reachedFrom(ir: Ir, starts: readonly number[]): Set<number> {
  const reached = new Set(starts);
  // Nodes are in topological order.
  for (let at = 0; at < ir.nodes.length; at++) {
    if (!reached.has(at)) continue;
    for (const edge of nodeAt(ir, at).out) reached.add(ir.edges[edge]?.to ?? -1);
  }
  return reached;
}

/** Nodes that the template of the run's output reads. */
function readByOutput(ir: Ir): number[] {
  const ids = new Map(ir.nodes.map(({ id }, index) => [id, index]));
  const found = new Set<number>();
  const { references } = compileTemplate(ir.output ?? null);
  for (const { path } of references) {
    const index = path[0] === "ctx" ? ids.get(String(path[1])) : undefined;
    if (index !== undefined) found.add(index);
  }
  return [...found];
}

/** For each node the edges that were surely taken when it runs. */
function branchesBefore(ir: Ir): Set<number>[] {
  const before: Set<number>[] = [];
  for (const node of ir.nodes) {
    const ways = node.in.map(
      (edge) => new Set([...(before[ir.edges[edge]?.from ?? -1] ?? []), edge]),
    );
    const [first = new Set<number>(), ...others] = ways;
    before.push(new Set([...first].filter((edge) => others.every((way) => way.has(edge)))));
  }
  return before;
}

/** Whether no run comes to both `index` and one of these. */
function areApart(
  ir: Ir,
  before: readonly ReadonlySet<number>[],
  index: number,
  others: readonly number[],
): boolean {
  const edgesOf = (node: number): IrEdge[] =>
    [...(before[node] ?? [])].flatMap((edge) => ir.edges[edge] ?? []);
  const mine = edgesOf(index);
  return others.some((other) =>
    edgesOf(other).some((b) => mine.some((a) => a !== b && excludeEachOther(ir, a, b))),
  );
}

function excludeEachOther(ir: Ir, a: IrEdge, b: IrEdge): boolean {
  if (a.from !== b.from || a.on === "always" || b.on === "always") return false;
  if (a.on !== b.on) return a.on === "success" || b.on === "success";
  return a.on === "success" && nodeAt(ir, a.from).routing === "first";
}
