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
  blobRefOf,
  checkBlob,
  elementPlace,
  HotState,
  inputOf,
  needsOf,
  parseBlobText,
  parseUnit,
  Recent,
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
  /** JSON text of what the function is given: its parameters, or, if the node names none, the output. */
  given: string;
  hasParams: boolean;
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

/** Steps that one compensation may have, and bytes that they may be given together. */
export const STEPS_MAX = 10_000;
export const GIVEN_BYTES_MAX = 64 * 1024 * 1024;
/** Of large values that one step reads: as much as a worker reads for the node. */
const READ_BYTES_MAX = 64 * 1024 * 1024;
/** Of large values that are kept for the steps to come. */
const KEPT_BYTES = 32 * 1024 * 1024;

export interface LeftToUndo {
  /** In the order of completion; they are to be undone in the opposite one. */
  steps: CompensationStep[];
  /** How many there are, of which no more are worked out than one compensation may have. */
  count: number;
  /** What those worked out are given. */
  bytes: number;
}

/** What a run has left to undo, from all its transitions. */
export async function leftToUndo(
  ir: Ir,
  run: CompensatedRun,
  transitions: readonly Transition[],
  readBlob: ReadBlob,
): Promise<LeftToUndo> {
  const replay = new Replay(ir, run, readBlob);
  for (const t of transitions) {
    await replay.apply(t);
  }
  return replay.left;
}

class Replay {
  readonly #id: string;
  readonly #readBlob: ReadBlob;
  readonly #state: HotState;
  readonly #outer = new WeakMap<HotMap, Vars>();
  readonly #templates = new WeakMap<IrNode, Templates>();
  /** Large values by their hash. */
  readonly #large = new Recent<Json>(KEPT_BYTES);
  readonly left: LeftToUndo = { steps: [], count: 0, bytes: 0 };
  #input: string;
  #attempt = 1;

  constructor(root: Ir, { id, input }: CompensatedRun, readBlob: ReadBlob) {
    this.#state = new HotState(root);
    this.#id = id;
    this.#input = input;
    this.#readBlob = readBlob;
  }

  async apply(t: Transition): Promise<void> {
    if (t.e === "run.redriven") {
      this.#attempt = t.at ?? this.#attempt;
      this.#input = t.rd?.in === undefined ? this.#input : JSON.stringify(t.rd.in);
    }
    const state = t.e === "node.completed" ? this.#stateAt(t.m ?? "") : undefined;
    const node = state?.ir.nodes[t.n ?? -1];
    if (state !== undefined && node?.compensate !== undefined) {
      this.left.count += 1;
      if (this.left.count <= STEPS_MAX && this.left.bytes <= GIVEN_BYTES_MAX) {
        const step = await this.#step(state, node as Undoable, t);
        this.left.steps.push(step);
        this.left.bytes += Buffer.byteLength(step.given);
      }
    }
    this.#state.apply(t, 0); // when it was matters to timers only, and none is looked at
  }

  #stateAt(home: string): HotState | undefined {
    return home === "" ? this.#state : this.#state.element(home);
  }

  async #step(state: HotState, node: Undoable, t: Transition): Promise<CompensationStep> {
    const { function_name: functionName, queue, params } = node.compensate;
    const about = { node: node.id, scope: t.s ?? "", home: t.m ?? "", functionName, queue };
    const step = { ...about, given: "null", hasParams: params !== undefined };
    const output = JSON.stringify(t.o ?? null);
    let part = "the output";
    try {
      if (params === undefined) {
        return { ...step, given: await this.#whole(output) };
      }
      part = "compensate.params";
      const templates = this.#templatesOf(node, params);
      const data = await this.#dataOf(state, t, templates);
      part = "the output";
      const seen = templates.readsOutput ? { output: data.value(output) } : {};
      part = "compensate.params";
      const vars = { ...this.#varsOf(state, data, t, templates), ...seen };
      return { ...step, given: JSON.stringify(templates.params.evaluate(vars)) };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { ...step, problem: `${part} of node "${node.id}": ${reason}` };
    }
  }

  /** The text that an output's text stands for; more than all may be given is not read. */
  async #whole(output: string): Promise<string> {
    const ref = parseBlobText(output);
    if (ref === null) {
      return output;
    }
    if (this.left.bytes + ref.bytes > GIVEN_BYTES_MAX) {
      this.left.bytes += ref.bytes;
      return "null";
    }
    return checkBlob(ref, await this.#readBlob(ref));
  }

  #templatesOf(node: IrNode, params: Json): Templates {
    let templates = this.#templates.get(node);
    if (templates === undefined) {
      const compiled = compileTemplate(params);
      const reads = (name: string): boolean =>
        compiled.references.some(({ path }) => path[0] === name);
      const given = reads("data") ? node.config["input"] : undefined;
      templates = {
        ...{ params: compiled, readsData: reads("data"), readsOutput: reads("output") },
        given: given === undefined ? null : compileTemplate(given),
      };
      this.#templates.set(node, templates);
    }
    return templates;
  }

  /** What the node's worker had read of the run, as far as it is needed; with the large outputs. */
  async #dataOf(state: HotState, t: Transition, templates: Templates): Promise<RunData> {
    const { context, own } = needsOf(state.ir, t.n ?? -1);
    const names = ["it", ...context, ...(templates.readsData ? own : [])];
    const fields = new Map(names.map((name) => [name, stateField(state, name)]));
    if (fields.has("in")) {
      fields.set("in", this.#input);
    }
    fields.set(ATTEMPT_FIELD, String(this.#attempt));
    const data = new RunData(state.ir, fields, await this.#outside(t.m ?? ""));
    await this.#resolve(data, templates.readsOutput ? JSON.stringify(t.o ?? null) : null);
    return data;
  }

  /** Hands it what its fields, and this text, refer to. */
  async #resolve(data: RunData, output: string | null): Promise<void> {
    const refs = new Map(data.blobRefs(output).map((ref) => [ref.sha256, ref]));
    const bytes = [...refs.values()].reduce((sum, ref) => sum + ref.bytes, 0);
    if (bytes > READ_BYTES_MAX) {
      const most = `at most ${READ_BYTES_MAX} are read`;
      throw new Error(`what it reads has ${bytes} bytes together; ${most}`);
    }
    const values = new Map<string, Json>();
    const unread = new Map<string, string | null>();
    for (const [sha256, ref] of refs) {
      let value = this.#large.get(sha256);
      if (value === undefined) {
        const text = await this.#readBlob(ref);
        if (text === null || blobRefOf(text).sha256 !== sha256) {
          unread.set(sha256, text); // who asks for it is told
          continue;
        }
        value = JSON.parse(text) as Json;
        this.#large.set(sha256, value, ref.bytes);
      }
      values.set(sha256, value);
    }
    data.resolve(unread, values);
  }

  /** Throws what the node's config would throw. */
  #varsOf(state: HotState, data: RunData, t: Transition, { readsData, given }: Templates): Vars {
    const [index, scope] = [t.n ?? -1, t.s ?? ""];
    const node = state.ir.nodes[index] as IrNode;
    const arrivals = state.tokens.get(index)?.rest ?? "";
    const reader: Reader = {
      token: { runId: this.#id, node: index, scope, arrivals, kind: "run", payload: null },
      profile: { root: this.#state.ir },
      data,
    };
    const vars = varsOf(reader, index, node, readsData ? inputOf(reader, node) : null);
    return given === null ? vars : { ...vars, data: given.evaluate(vars) };
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

/** What a node names to undo it, taken apart once. */
interface Templates {
  params: Template;
  readsData: boolean;
  readsOutput: boolean;
  /** Of the node's `config.input`, if `params` read what the node was given; null: it has none. */
  given: Template | null;
}
