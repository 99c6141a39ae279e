/**
 * Graphs inside a token: the elements of a map, and child runs. The token waits while they run and
 * goes on with what they have come to.
 */
import type { Vars } from "../../condition/index.ts";
import type { Ir, IrNode, Json } from "../ir.ts";
import type { GraphPlace, GraphRun, Outcome, Token } from "./graph-run.ts";
import { MapRun } from "./map-run.ts";
import { badInput, fill } from "./prepare.ts";
import type { HandlerResult } from "./types.ts";

/** What the interpreter does for them. */
export interface Inside {
  /** A graph whose tokens the interpreter executes. */
  graph(ir: Ir, place: Omit<GraphPlace, "ready">): GraphRun;
  /** What a `subworkflow` node runs, by its `config.workflow`. */
  workflow(ref: string): Ir | undefined;
  /** The token waits from now on. */
  wait(token: Token, node: IrNode): void;
  /** The token's work is done; `errors` is of a map that goes on with failed elements. */
  conclude(token: Token, result: HandlerResult, errors?: Json): void;
  /** The same, of a map that has had elements. */
  collect(token: Token, result: HandlerResult, errors?: Json): void;
  /** It goes on after it has waited. */
  resume(token: Token, result: HandlerResult): void;
  /** Arm the time limit of a run. */
  limitRun(graph: GraphRun): void;
}

/** Begin the elements of a map; without any it ends at once. */
export function beginMap(token: Token, node: IrNode, vars: Vars, inside: Inside): void {
  const { graph, frame, index: map, scope } = token;
  const template = node.config["items"];
  const filled =
    template === undefined ? { value: vars.data ?? null } : fill(node, "items", template, vars);
  if ("problem" in filled) return inside.conclude(token, filled.problem);
  const items = filled.value;
  if (!Array.isArray(items)) {
    return inside.conclude(token, badInput(node, "config.items", "is not a list"));
  }
  graph.record.expanded(map, scope, items.length);
  const around = graph.varsFor(frame, node.outer_refs ?? []);
  inside.wait(token, node);
  new MapRun(node, items, {
    begin: (body, index, item, ended) => {
      const { run } = graph.place;
      const home = homeOf(token, index);
      const vars = { ...around, item, index };
      const element = inside.graph(body, { run, vars, home, within: frame, ended });
      run.elements.set(home, element);
      token.inside.push(element);
      element.begin(item);
    },
    ended: (result, errors) =>
      items.length === 0
        ? inside.conclude(token, result, errors)
        : inside.collect(token, result, errors),
  }).begin();
}

/** Begin a child run. Throws Error if there is no such workflow. */
export function beginChild(token: Token, node: IrNode, vars: Vars, inside: Inside): void {
  const { graph, frame } = token;
  const ref = String(node.config["workflow"]);
  const ir = inside.workflow(ref);
  if (!ir) throw new Error(`node "${node.id}": there is no workflow "${ref}"`);
  const id = `${graph.place.run.id}.${node.id}`;
  // Who does not wait for the other run has nothing to do with it any more.
  if (node.config["wait"] === false) return inside.conclude(token, { output: { run_id: id } });
  const input = vars.data ?? null;
  const child = inside.graph(ir, {
    ...{ run: { id, trace: [], elements: new Map() }, home: "", within: frame },
    vars: runVars(ir, id, input),
    ended: (outcome) => inside.resume(token, asResult(outcome, { run_id: id, workflow: ref })),
  });
  token.inside.push(child);
  graph.record.parked(token.index, token.scope);
  inside.wait(token, node);
  inside.limitRun(child);
  child.begin(input);
}

/** What every expression of a run sees. */
export function runVars(ir: Ir, id: string, input: Json): Vars {
  const run = { id, workflow: ir.name, version: ir.workflow_version, attempt: 1 };
  return { input, run };
}

/** The way down to an element: rounds of loops, then the map and the element's index. */
function homeOf({ home, scope, index: map }: Token, index: number): string {
  return [home, scope, `${map}#${index}`].filter((part) => part !== "").join("/");
}

/** The end of a child run is its parent node's; an error says whose it is, and leaves it the rest. */
function asResult(outcome: Outcome, child: { run_id: string; workflow: string }): HandlerResult {
  if ("output" in outcome) return outcome;
  const { code, message, node } = outcome.error;
  const details = { ...child, ...(node === undefined ? {} : { node }) };
  return { error: { code, message, details } };
}
