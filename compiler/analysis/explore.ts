/**
 * The token game, abstractly: which nodes can run, be skipped, and which values edges can carry.
 *
 * Nodes are visited in topological order. What has happened so far is the set of possible values of
 * the edges that have been sent and not yet received. Edges that depend on each other are kept in
 * one group with the combinations that are possible; groups are merged where a node takes edges of
 * several, and a join keeps of its arrivals only how many are live and whether one has failed. So
 * the work follows the number of combinations on a cut through the graph, not the number of runs.
 *
 * A loop is passed through once: a round differs from the last only in that the latch goes again.
 * Where combinations become too many, their dependence is forgotten (`isExact` is false then): more
 * is possible then than really is, so "never" stays true and "possible" becomes "not decided".
 *
 * For each fact the cheapest way to it is kept, in numbers of executed nodes.
 */
import type { Ir, IrNode } from "../ir.ts";
import { outcomesOf } from "./outcomes.ts";
import type { EdgeValue, Outcome, Outcomes } from "./outcomes.ts";

export interface ExploreOptions {
  /** Failures of nodes' own work are considered. Default true. */
  failures?: boolean;
  /** Combinations on a cut that are told apart. Default 5,000. */
  statesMax?: number;
  /** Combinations in all. Default 500,000. */
  stepsMax?: number;
  /** Combinations of values that are tried to decide the conditions of one node. */
  triesMax?: number;
  /** Two nodes of which is asked whether both can run in one run (in one round). */
  pair?: readonly [number, number];
}

/** How something came about: what happened at a node, and how its in-edges came about. */
export interface History {
  node: number;
  /** Null: it was skipped. */
  outcome: Outcome | null;
  before: readonly History[];
  /** Nodes executed, itself included. */
  cost: number;
}

export interface NodeFacts {
  /** How it can come to run, to be skipped dead, to be skipped because of a failure. */
  runs: History | null;
  skipped: History | null;
  failed: History | null;
  /** The most live arrivals that were found, not counted beyond what the join needs. */
  liveMax: number;
  /** Outcomes that are possible once it runs. */
  outcomes: Outcome[];
}

export interface Exploration {
  nodes: NodeFacts[];
  /** By edge: how it can come to each value. */
  edges: { [value in EdgeValue]: History | null }[];
  /** Everything that was found possible is possible, for some data and some ends of nodes. */
  isExact: boolean;
  /** Combinations that were looked at. */
  states: number;
  /** Whether both nodes of the pair can run; false without a pair. */
  isTogether: boolean;
}

const STATES_MAX = 5_000;
const STEPS_MAX = 500_000;

/** What can happen in runs of a graph (in elements, for the body of a map). */
export function explore(ir: Ir, options: ExploreOptions = {}): Exploration {
  return new Explorer(ir, options).run();
}

/** Values of the group's edges, a letter each, and how they came about. */
interface State {
  values: string;
  history: History;
}

interface Group {
  edges: number[];
  states: State[];
}

/** What a node has of its in-edges, and the values of edges that are not its own. */
interface Arrival {
  live: number;
  hasFailed: boolean;
  /** Some in-edge never gets a value. */
  isCutOff: boolean;
  rest: string;
  histories: readonly History[];
  cost: number;
}

const LETTER: Readonly<Record<EdgeValue, string>> = { live: "l", dead: "d", failed: "f" };
/** Of an edge that never gets a value, because the run ends before. */
const NOTHING = "x";

class Explorer {
  readonly #ir: Ir;
  readonly #mayFail: boolean;
  /** Each has an edge that nobody receives, live if the node has run. */
  readonly #pair: readonly number[];
  readonly #statesMax: number;
  readonly #triesMax: number | undefined;
  #left: number;
  #isExact = true;
  readonly #groupOf = new Map<number, Group>();
  readonly #result: Exploration;

  constructor(ir: Ir, options: ExploreOptions) {
    this.#ir = ir;
    this.#mayFail = options.failures ?? true;
    this.#pair = options.pair ?? [];
    this.#statesMax = options.statesMax ?? STATES_MAX;
    this.#triesMax = options.triesMax;
    this.#left = options.stepsMax ?? STEPS_MAX;
    this.#result = {
      nodes: ir.nodes.map(() => ({
        ...{ runs: null, skipped: null, failed: null, liveMax: 0, outcomes: [] },
      })),
      edges: ir.edges.map(() => ({ live: null, dead: null, failed: null })),
      isExact: true,
      states: 0,
      isTogether: false,
    };
  }

  run(): Exploration {
    for (const [index, node] of this.#ir.nodes.entries()) this.#visit(index, node);
    return { ...this.#result, isExact: this.#isExact, isTogether: this.#isTogether() };
  }

  #isTogether(): boolean {
    const marks = this.#pair.map(markOf);
    const groups = new Set(marks.flatMap((mark) => this.#groupOf.get(mark) ?? []));
    return (
      groups.size > 0 &&
      [...groups].every(({ edges, states }) => {
        const places = marks.map((mark) => edges.indexOf(mark)).filter((place) => place >= 0);
        return states.some(({ values }) => places.every((place) => values[place] === LETTER.live));
      })
    );
  }

  #visit(index: number, node: IrNode): void {
    const own = new Set(node.in);
    let groups = [...new Set(node.in.flatMap((edge) => this.#groupOf.get(edge) ?? []))];
    let arrivals = this.#merge(node, groups, own);
    if (!arrivals) {
      this.#isExact = false;
      // The edges that go elsewhere keep what they may carry, each by itself.
      for (const group of groups) this.#forget(group);
      groups = node.in.flatMap((edge) => this.#groupOf.get(edge) ?? []);
      arrivals = this.#merge(node, groups, own, true) ?? [];
    }
    const rest = groups.flatMap(({ edges }) => edges.filter((edge) => !own.has(edge)));
    const outcomes = outcomesOf(this.#ir, node, this.#mayFail, this.#triesMax);
    this.#isExact &&= outcomes.isExact;
    const facts = this.#result.nodes[index];
    if (facts) facts.outcomes = outcomes.list;
    const states = new Map<string, State>();
    for (const arrival of arrivals) {
      for (const state of this.#pass(index, node, arrival, outcomes)) keepCheapest(states, state);
    }
    this.#left -= states.size;
    this.#result.states += states.size;
    const marks = this.#pair.includes(index) ? [markOf(index)] : [];
    const edges = [...rest, ...marks, ...node.out];
    if (outcomes.isFree) this.#forget({ edges, states: [...states.values()] });
    else this.#put(edges, rest.length, [...states.values()]);
  }

  /** Every combination of arrivals; undefined if they are too many. */
  #merge(
    node: IrNode,
    groups: readonly Group[],
    own: ReadonlySet<number>,
    isForced = false,
  ): Arrival[] | undefined {
    const cap = node.join.kind === "all" ? 1 : Math.max(1, node.join.need);
    const none = { live: 0, hasFailed: false, isCutOff: false };
    let merged: Arrival[] = [{ ...none, rest: "", histories: [], cost: 0 }];
    for (const { edges, states } of groups) {
      const isTooMuch = merged.length * states.length > 20 * this.#statesMax || this.#left < 0;
      if (isTooMuch && !isForced) return undefined;
      const next = new Map<string, Arrival>();
      for (const before of merged) {
        for (const state of states) {
          const arrival = addArrivals(before, state, edges, own, cap);
          const { live, hasFailed, isCutOff, rest } = arrival;
          const key = `${live} ${hasFailed} ${isCutOff} ${rest}`;
          const known = next.get(key);
          if (!known || known.cost > arrival.cost) next.set(key, arrival);
        }
      }
      merged = [...next.values()];
      if (merged.length > this.#statesMax && !isForced) return undefined;
    }
    return merged;
  }

  /** Take the edges of a group as independent of each other. */
  #forget(group: Group): void {
    group.edges.forEach((edge, place) => {
      const states = new Map<string, State>();
      for (const { values, history } of group.states) {
        keepCheapest(states, { values: values[place] ?? "", history });
      }
      this.#groupOf.set(edge, { edges: [edge], states: [...states.values()] });
    });
  }

  /** What follows from one combination of arrivals. */
  #pass(index: number, node: IrNode, arrival: Arrival, { list }: Outcomes): State[] {
    const { live, hasFailed, isCutOff, rest } = arrival;
    const facts = this.#result.nodes[index];
    if (!facts) return [];
    facts.liveMax = Math.max(facts.liveMax, live);
    const { kind, need } = node.join;
    const isAll = kind === "all";
    const isEnough = isAll ? live > 0 && !hasFailed && !isCutOff : live >= need;
    const fires = node.in.length === 0 || isEnough;
    const isMarked = this.#pair.includes(index);
    const ran = rest + (isMarked ? LETTER.live : "");
    const idle = rest + (isMarked ? LETTER.dead : "");
    const history = (outcome: Outcome | null): History => ({
      node: index,
      outcome,
      before: arrival.histories,
      cost: arrival.cost + (outcome ? 1 : 0),
    });
    // The run ends while it waits.
    if (!fires && isCutOff) return [{ values: idle + nothing(node), history: history(null) }];
    if (!fires) {
      const value = hasFailed ? "failed" : "dead";
      const past = history(null);
      const fact = hasFailed ? "failed" : "skipped";
      facts[fact] = cheaper(facts[fact], past);
      return [
        this.#send(
          node,
          idle,
          node.out.map(() => value),
          past,
        ),
      ];
    }
    return list.flatMap((outcome): State[] => {
      const past = history(outcome);
      facts.runs = cheaper(facts.runs, past);
      // The round after it, or the last of all, is one of the other outcomes.
      if (outcome.kind === "again") return [];
      if (outcome.kind === "stop") return [{ values: ran + nothing(node), history: past }];
      return [this.#send(node, ran, outcome.edges, past)];
    });
  }

  #send(node: IrNode, rest: string, values: readonly EdgeValue[], history: History): State {
    node.out.forEach((edge, place) => {
      const value = values[place] ?? "dead";
      const facts = this.#result.edges[edge];
      if (facts) facts[value] = cheaper(facts[value], history);
    });
    return { values: rest + values.map((value) => LETTER[value]).join(""), history };
  }

  /** Keep the states as groups that are as small as is easily seen. */
  #put(edges: readonly number[], split: number, states: readonly State[]): void {
    const parts = [
      { from: 0, to: split },
      { from: split, to: edges.length },
    ];
    const halves = parts.map(({ from, to }) => cut(edges, states, from, to));
    const size = halves.reduce((product, half) => product * Math.max(1, half.states.length), 1);
    const isProduct = size === states.length;
    for (const group of isProduct ? halves : [{ edges: [...edges], states: [...states] }]) {
      this.#putGroup(group);
    }
  }

  /** Edges that always carry the same are no part of what depends on each other. */
  #putGroup(group: Group): void {
    const { edges, states } = group;
    const [first] = states;
    const isFixed = edges.map((_, place) =>
      states.every(({ values }) => values[place] === first?.values[place]),
    );
    const varying = edges.filter((_, place) => !isFixed[place]);
    edges.forEach((edge, place) => {
      if (isFixed[place]) this.#groupOf.set(edge, cut(edges, states, place, place + 1));
    });
    if (varying.length === 0) return;
    const kept: Group = {
      edges: varying,
      states: states.map(({ values, history }) => ({
        values: [...values].filter((_, place) => !isFixed[place]).join(""),
        history,
      })),
    };
    for (const edge of varying) this.#groupOf.set(edge, kept);
  }
}

/** The edge of a node of the pair. */
function markOf(node: number): number {
  return -1 - node;
}

function nothing(node: IrNode): string {
  return NOTHING.repeat(node.out.length);
}

function addArrivals(
  before: Arrival,
  { values, history }: State,
  edges: readonly number[],
  own: ReadonlySet<number>,
  cap: number,
): Arrival {
  let { live, hasFailed, isCutOff, rest } = before;
  edges.forEach((edge, place) => {
    const value = values[place] ?? "";
    if (!own.has(edge)) rest += value;
    else if (value === LETTER.live) live = Math.min(cap, live + 1);
    else if (value === LETTER.failed) hasFailed = true;
    else if (value === NOTHING) isCutOff = true;
  });
  const histories = [...before.histories, history];
  return { live, hasFailed, isCutOff, rest, histories, cost: before.cost + history.cost };
}

/** The states as seen on some of the edges. */
function cut(edges: readonly number[], states: readonly State[], from: number, to: number): Group {
  const found = new Map<string, State>();
  for (const { values, history } of states) {
    keepCheapest(found, { values: values.slice(from, to), history });
  }
  return { edges: edges.slice(from, to), states: [...found.values()] };
}

function keepCheapest(states: Map<string, State>, state: State): void {
  const known = states.get(state.values);
  if (!known || known.history.cost > state.history.cost) states.set(state.values, state);
}

function cheaper(known: History | null, other: History): History {
  return known && known.cost <= other.cost ? known : other;
}

/** One thing that happens in an example. */
export interface ExampleStep {
  node: string;
  happens: "completes" | "fails" | "times out" | "goes again" | "ends the run" | "is skipped";
  /** Targets of its live edges. */
  takes: string[];
}

const WORDS = {
  success: "completes",
  error: "fails",
  timeout: "times out",
  again: "goes again",
  stop: "ends the run",
} as const;

/** A history in the order of the nodes. */
export function exampleOf(ir: Ir, history: History): ExampleStep[] {
  const steps = new Map<number, ExampleStep>();
  const open: History[] = [history];
  const seen = new Set<History>();
  for (let at = open.pop(); at; at = open.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    const node = ir.nodes[at.node];
    const { outcome } = at;
    const live = (node?.out ?? []).filter((_, place) => outcome?.edges[place] === "live");
    steps.set(at.node, {
      node: node?.id ?? "",
      happens: outcome ? WORDS[outcome.kind] : "is skipped",
      takes: live.map((edge) => ir.nodes[ir.edges[edge]?.to ?? -1]?.id ?? ""),
    });
    open.push(...at.before);
  }
  return [...steps].sort(([a], [b]) => a - b).map(([, step]) => step);
}
