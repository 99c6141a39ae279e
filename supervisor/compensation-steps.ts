/**
 * What undoes a run: the compensations of all nodes that completed, every activation of every round
 * and element, with their parameters as they stood when the node had completed.
 *
 * The run's journal is folded into its hot state (sdk/hot-state.ts). Before the transition that
 * completes a node is applied, that is the run as the node's worker read it: so its parameters see
 * what its config saw, by the same code (sdk/node-vars.ts), and `output`.
 */
import { compileTemplate, type Template, type Vars } from "../condition/index.ts";
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import {
  ATTEMPT_FIELD,
  checkBlob,
  elementPlace,
  HotState,
  inputOf,
  needsOf,
  parseBlobText,
  parseUnit,
  RunData,
  stateField,
  unitOf,
  varsOf,
  type BlobRef,
  type HotMap,
  type Outside,
  type Reader,
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
  /** JSON text; of the last attempt, or the one before if the transitions tell of its redrive. */
  input: string;
}

/** Text of a large output; null: it is nowhere. */
export type ReadBlob = (ref: BlobRef) => Promise<string | null>;

/** The steps in the order of completion; they are to be undone in the opposite one. */
export async function compensationSteps(
  ir: Ir,
  run: CompensatedRun,
  transitions: readonly Transition[],
  readBlob: ReadBlob,
): Promise<CompensationStep[]> {
  const replay = new Replay(ir, run, readBlob);
  const steps: CompensationStep[] = [];
  for (const t of transitions) {
    const step = await replay.apply(t);
    steps.push(...(step === null ? [] : [step]));
  }
  return steps;
}

class Replay {
  readonly #id: string;
  readonly #readBlob: ReadBlob;
  readonly #state: HotState;
  readonly #outer = new WeakMap<HotMap, Vars>();
  #input: string;
  #attempt = 1;

  constructor(root: Ir, { id, input }: CompensatedRun, readBlob: ReadBlob) {
    this.#state = new HotState(root);
    this.#id = id;
    this.#input = input;
    this.#readBlob = readBlob;
  }

  async apply(t: Transition): Promise<CompensationStep | null> {
    if (t.e === "run.redriven") {
      this.#attempt = t.at ?? this.#attempt;
      this.#input = t.rd?.in === undefined ? this.#input : JSON.stringify(t.rd.in);
    }
    const state = t.e === "node.completed" ? this.#stateAt(t.m ?? "") : undefined;
    const node = state?.ir.nodes[t.n ?? -1];
    const isUndone = state !== undefined && node?.compensate !== undefined;
    const step = isUndone ? await this.#step(state, node as Undoable, t) : null;
    this.#state.apply(t, 0); // when it was matters to timers only, and none is looked at
    return step;
  }

  #stateAt(home: string): HotState | undefined {
    return home === "" ? this.#state : this.#state.element(home);
  }

  async #step(state: HotState, node: Undoable, t: Transition): Promise<CompensationStep> {
    const { function_name: functionName, queue, params } = node.compensate;
    const output = t.o ?? null;
    const step = { node: node.id, scope: t.s ?? "", home: t.m ?? "", functionName, queue, output };
    const template = params === undefined ? null : compileTemplate(params);
    let part = "compensate.params";
    try {
      const data = await this.#dataOf(state, t, template);
      part = "the output";
      const whole = { ...step, output: data.value(JSON.stringify(output)) };
      if (template === null) {
        return whole;
      }
      part = "compensate.params";
      const vars = { ...this.#varsOf(state, data, t, readsData(template)), output: whole.output };
      return { ...whole, params: template.evaluate(vars) };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { ...step, problem: `${part} of node "${node.id}": ${reason}` };
    }
  }

  /** What the node's worker had read of the run, as far as it is needed; with the large outputs. */
  async #dataOf(state: HotState, t: Transition, template: Template | null): Promise<RunData> {
    const { context, own } = needsOf(state.ir, t.n ?? -1);
    const names = template === null ? [] : ["it", ...context, ...(readsData(template) ? own : [])];
    const fields = new Map(names.map((name) => [name, stateField(state, name)]));
    fields.set("in", this.#input).set(ATTEMPT_FIELD, String(this.#attempt));
    const outside = template === null ? null : await this.#outside(t.m ?? "");
    const data = new RunData(state.ir, fields, outside);
    const texts = new Map<string, string | null>();
    for (const ref of data.blobRefs(JSON.stringify(t.o ?? null))) {
      texts.set(ref.sha256, texts.get(ref.sha256) ?? (await this.#readBlob(ref)));
    }
    data.resolve(texts);
    return data;
  }

  /** Throws what the node's config would throw. */
  #varsOf(state: HotState, data: RunData, t: Transition, withData: boolean): Vars {
    const [index, scope] = [t.n ?? -1, t.s ?? ""];
    const node = state.ir.nodes[index] as IrNode;
    const arrivals = state.tokens.get(index)?.rest ?? "";
    const reader: Reader = {
      token: { runId: this.#id, node: index, scope, arrivals, kind: "run", payload: null },
      profile: { root: this.#state.ir },
      data,
    };
    const vars = varsOf(reader, index, node, withData ? inputOf(reader, node) : null);
    const given = withData ? node.config["input"] : undefined;
    return given === undefined ? vars : { ...vars, data: compileTemplate(given).evaluate(vars) };
  }

  /** Names of the place where the map stands; null outside of maps. */
  async #outside(home: string): Promise<Outside | null> {
    const place = elementPlace(unitOf(this.#id, home));
    const around = place && this.#stateAt(parseUnit(place.parent).home);
    const map = around?.maps.get(place?.node ?? -1);
    if (!place || map === undefined) {
      return null;
    }
    const ref = parseBlobText(map.vars);
    const vars =
      this.#outer.get(map) ??
      (JSON.parse(ref === null ? map.vars : checkBlob(ref, await this.#readBlob(ref))) as Vars);
    this.#outer.set(map, vars);
    return { vars, index: place.index };
  }
}

type Undoable = IrNode & Required<Pick<IrNode, "compensate">>;

function readsData({ references }: Template): boolean {
  return references.some(({ path }) => path[0] === "data");
}
