/**
 * What undoes a run: the compensations of all nodes that completed, every activation of every round
 * and element, with their parameters as they stood when the node had completed. Pure.
 *
 * The run's journal is replayed as far as expressions may see it: `output`, the node's own `data`,
 * `ctx` of the nodes before it, `input`, `run`, `iteration`, and in a map `item` and `index`.
 */
import { compileTemplate, type Vars } from "../condition/index.ts";
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import {
  irAt,
  parseRecord,
  readEditedInput,
  roundOf,
  scopeJoin,
  type Transition,
} from "../sdk/internal.ts";

export interface CompensationStep {
  node: string;
  scope: string;
  /** Of the element of a map that the node was in, "" in none. */
  home: string;
  functionName: string;
  queue: string;
  output: Json;
  /** Undefined: the node names none, the function's input is the output. */
  params?: Json;
  /** Why the parameters cannot be had: the step is to fail with this. */
  problem?: string;
}

export interface CompensatedRun {
  id: string;
  workflow: string;
  version: string;
  input: Json;
}

/** The steps in the order of completion; they are to be undone in the opposite one. */
export function compensationSteps(
  ir: Ir,
  run: CompensatedRun,
  transitions: readonly Transition[],
): CompensationStep[] {
  const replay = new Replay(ir, run);
  return transitions.flatMap((t) => replay.apply(t) ?? []);
}

interface Element {
  items: Json[];
  vars: { [name: string]: Json };
}

class Replay {
  readonly #root: Ir;
  readonly #run: CompensatedRun;
  /** Values that nodes ended with, by home and node; of the last time. */
  readonly #ended = new Map<string, Json>();
  readonly #completed = new Set<string>();
  readonly #arrivals = new Map<string, string>();
  /** Inputs that came over no edge: of rounds, and those given by hand. */
  readonly #inputs = new Map<string, Json>();
  readonly #maps = new Map<string, Element>();

  constructor(root: Ir, run: CompensatedRun) {
    this.#root = root;
    this.#run = run;
  }

  apply(t: Transition): CompensationStep | null {
    if (t.st !== undefined) {
      this.#begun(t.st);
    }
    const home = t.m ?? "";
    const ir = irAt(this.#root, home);
    const node = ir?.nodes[t.n ?? -1];
    if (ir === undefined || node === undefined) {
      return null;
    }
    const key = `${home}|${t.n}`;
    switch (t.e) {
      case "node.completed":
        this.#ended.set(key, t.o ?? null);
        this.#completed.add(key);
        return node.compensate === undefined ? null : this.#step(ir, node, home, t);
      case "node.failed":
        this.#ended.set(key, (t.err ?? null) as Json);
        this.#completed.delete(key);
        break;
      case "join.decided":
        this.#arrivals.set(key, t.in ?? "");
        break;
      case "loop.round":
        this.#inputs.set(`${key}|${t.s ?? ""}`, this.#latchOutput(home, t.s ?? ""));
        break;
      case "map.expanded":
        this.#expanded(home, t);
        break;
      default:
    }
    return null;
  }

  /** A run that began in the middle: outputs and inputs that were given to it. */
  #begun(fields: NonNullable<Transition["st"]>): void {
    const records = Object.entries(fields).flatMap(([field, text]) => {
      const record = field.startsWith("n") ? parseRecord(text) : null;
      return record === null ? [] : [{ node: field.slice(1), record }];
    });
    for (const { node, record } of records) {
      if (record.state === "c") {
        this.#ended.set(`|${node}`, JSON.parse(record.rest) as Json);
        this.#completed.add(`|${node}`);
        continue;
      }
      this.#arrivals.set(`|${node}`, record.rest);
      const input = readEditedInput(fields[`o${node}`], record.scope);
      if (input !== null) {
        this.#inputs.set(`|${node}|${record.scope}`, JSON.parse(input) as Json);
      }
    }
  }

  /** The output that the new round begins with: its latch's, of the round before. */
  #latchOutput(home: string, scope: string): Json {
    const rounds = scope.split("/").reverse();
    const latch = (rounds.find((round) => !round.endsWith(":1")) ?? rounds[0] ?? "").split(":")[0];
    return this.#ended.get(`${home}|${latch}`) ?? null;
  }

  #expanded(home: string, t: Transition): void {
    const path = scopeJoin(t.s ?? "", String(t.n ?? -1));
    const key = home === "" ? path : `${home}/${path}`;
    const isFirst = (t.from ?? 0) === 0;
    const vars = (t.vars ?? {}) as { [name: string]: Json };
    const map = isFirst ? { items: [], vars } : (this.#maps.get(key) ?? { items: [], vars });
    (t.items ?? []).forEach((item, i) => (map.items[(t.from ?? 0) + i] = item));
    this.#maps.set(key, map);
  }

  #step(ir: Ir, node: IrNode, home: string, t: Transition): CompensationStep {
    const {
      function_name: functionName,
      queue,
      params,
    } = node.compensate as NonNullable<IrNode["compensate"]>;
    const scope = t.s ?? "";
    const output = t.o ?? null;
    const step = { node: node.id, scope, home, functionName, queue, output };
    if (params === undefined) {
      return step;
    }
    try {
      const vars = { ...this.#vars(ir, node, home, t), output };
      return { ...step, params: compileTemplate(params).evaluate(vars) };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { ...step, problem: `compensate.params of node "${node.id}": ${reason}` };
    }
  }

  #vars(ir: Ir, node: IrNode, home: string, t: Transition): Vars {
    const outside = this.#outside(home);
    const { id, workflow, version, input } = this.#run;
    const ctx = Object.create(null) as NonNullable<Vars["ctx"]>;
    Object.assign(ctx, outside["ctx"] ?? {});
    ir.nodes.forEach((other, index) => {
      const key = `${home}|${index}`;
      if (this.#completed.has(key)) {
        ctx[other.id] = { output: this.#ended.get(key) ?? null };
      }
    });
    const iteration = roundOf(t.s ?? "");
    const vars: Vars = {
      ...(outside as Vars),
      ...{ ctx, input, run: { id, workflow, version, attempt: 1 } },
      ...(iteration === undefined ? {} : { iteration }),
    };
    const data = this.#data(ir, node, home, t);
    const given = node.config["input"];
    return {
      ...vars,
      data: given === undefined ? data : compileTemplate(given).evaluate({ ...vars, data }),
    };
  }

  /** Names of the place where the map stands, and the element's own. */
  #outside(home: string): { [name: string]: Json } {
    const hash = home.lastIndexOf("#");
    const map = hash < 0 ? undefined : this.#maps.get(home.slice(0, hash));
    if (map === undefined) {
      return {};
    }
    const index = Number(home.slice(hash + 1));
    return { ...map.vars, item: map.items[index] ?? null, index };
  }

  #data(ir: Ir, node: IrNode, home: string, t: Transition): Json {
    const other = this.#inputs.get(`${home}|${t.n}|${t.s ?? ""}`);
    if (other !== undefined) {
      return other;
    }
    if (node.is_entry) {
      return home === "" ? this.#run.input : (this.#outside(home)["item"] ?? null);
    }
    const from = (edge: number): number => ir.edges[edge]?.from ?? -1;
    const value = (edge: number): Json => this.#ended.get(`${home}|${from(edge)}`) ?? null;
    if (node.in.length === 1) {
      return value(node.in[0] as number);
    }
    const arrivals = this.#arrivals.get(`${home}|${t.n}`) ?? "";
    const live = node.in.filter((_, i) => arrivals[i] === "L");
    return Object.fromEntries(live.map((edge) => [ir.nodes[from(edge)]?.id ?? "", value(edge)]));
  }
}
