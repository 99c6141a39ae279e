/**
 * What has been read of a run, made into what expressions and handlers see: `input`, `ctx`, a
 * node's own input.
 *
 * A record in the run may be of an earlier round of a loop (nothing is removed when a round ends).
 * Which round counts for a reader: its own, for loops around both; the last one, for loops that it
 * stands outside of (21, semantics 11).
 */
import type { Vars } from "../condition/index.ts";
import { isFedByRun } from "../compiler/ir.ts";
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import { blobOfValue, checkBlob, parseBlobText, type BlobRef } from "./blobs.ts";
import { parseRecord } from "./entry.ts";
import { readEditedInput } from "./hot-restore.ts";
import { earlier, knownAfter, type Known, type StepResult } from "./known-fields.ts";
import { ATTEMPT_FIELD } from "./needs.ts";
import { loopChain, roundOf, scopePrefix } from "./scope.ts";
import { mapGiven, type WaitAnswer } from "./waits.ts";

export type Fields = ReadonlyMap<string, string | null>;

/** What an element of a map sees of the place where the map stands. */
export interface Outside {
  /** `ctx`, `input`, `iteration` as they were when the map began. */
  vars: Vars;
  index: number;
}

const NOTHING: Fields = new Map();
const NO_REFS: readonly BlobRef[] = [];
/** `ctx` of most nodes. Without a prototype, as ids of nodes may be any names. */
const NO_CONTEXT = Object.freeze(Object.create(null) as NonNullable<Vars["ctx"]>);
/** In every text that holds a reference to a blob, and in few others. */
const BLOB_MARK = '{"$gv:blob":';

/** What stands in a field of the run hash where it may be a reference to a large value. */
export function outputIn(field: string, value: string): string {
  if (/^n\d/.test(field)) {
    return parseRecord(value)?.rest ?? "";
  }
  // The errors of a map, and an input given by hand, stand behind their scope.
  return /^[eo]\d/.test(field) ? value.slice(value.indexOf("|") + 1) : value;
}

/** Large values that these fields of a run hash refer to. */
export function blobRefsIn(fields: Iterable<readonly [string, string | null]>): BlobRef[] {
  const found: BlobRef[] = [];
  for (const [field, value] of fields) {
    if (value?.includes(BLOB_MARK) === true) {
      const ref = parseBlobText(outputIn(field, value));
      found.push(...(ref === null ? [] : [ref]));
    }
  }
  return found;
}

/** What ended a token's wait, from its JSON text, with every value whole. Throws BlobError. */
export function answerOf(text: string, data: RunData): WaitAnswer {
  return mapGiven(JSON.parse(text) as WaitAnswer, (given) => data.whole(given));
}

export class RunData {
  readonly #ir: Ir;
  #fields: Fields;
  #known: Known | null = null;
  /** Outputs of nodes that ended in this very step, by index; made with the first of them. */
  #local: Map<number, Json> | null = null;
  #errors: Map<number, Json> | null = null;
  /** Set in an element of a map. */
  readonly outside: Outside | null;
  #input: Json | undefined;
  /** Large values that the fields refer to, by hash. */
  #blobs: ReadonlyMap<string, string | null> = NOTHING;
  /** Those that somebody has checked and parsed before. */
  #values: ReadonlyMap<string, Json> | null = null;
  #refused: Error | null = null;
  #item: Json | undefined;

  constructor(ir: Ir, fields: Fields = NOTHING, outside: Outside | null = null) {
    this.#ir = ir;
    this.#fields = fields;
    this.outside = outside;
  }

  /**
   * For the next token of a chain in the same unit, which has read nothing of its own. `results`: what
   * this one left, if a step to come may ask for it.
   */
  next(results: readonly StepResult[] | null): RunData {
    if (this.outside === null) {
      const next = new RunData(this.#ir);
      next.#known = results === null ? null : knownAfter(this.#known, this.#fields, results);
      return next;
    }
    const item = new Map([["it", this.#fields.get("it") ?? null]]);
    const next = new RunData(this.#ir, item, this.outside);
    next.#blobs = this.#blobs;
    next.#values = this.#values;
    next.#refused = this.#refused;
    return next;
  }

  /**
   * Whether all of these fields are known from the steps before in its chain, and cannot be others by
   * now: then they need not be read. The script that settles a step of a chain lets it go on only in
   * the same life of its run, in which input and attempt stay, and so do outputs outside of rounds.
   */
  knows(fields: readonly string[]): boolean {
    if (fields.length === 0) {
      return true;
    }
    const found = new Map<string, string | null>();
    for (const field of fields) {
      const value = earlier(this.#known, field);
      if (value === undefined || value?.includes(BLOB_MARK) === true) {
        return false;
      }
      found.set(field, value);
    }
    this.#fields = found;
    return true;
  }

  /** Which attempt of the run it is, if that was asked for: a redrive begins another one. */
  attempt(): number {
    return Number(this.#fields.get(ATTEMPT_FIELD) ?? 1);
  }

  /** Large values that the fields, or this text, refer to. */
  blobRefs(text: string | null): readonly BlobRef[] {
    const refs = text === null ? null : parseBlobText(text);
    if (refs === null && this.#fields.size === 0) {
      return NO_REFS;
    }
    const found = blobRefsIn(this.#fields);
    return refs === null ? found : [refs, ...found];
  }

  /** What has been read for blobRefs(), by hash, as texts or as values; null: not there. */
  resolve(
    blobs: ReadonlyMap<string, string | null>,
    values: ReadonlyMap<string, Json> | null = null,
  ): void {
    this.#blobs = blobs;
    this.#values = values;
  }

  /** Large values are not read, because of this error: whoever asks for one gets it. */
  refuse(error: Error): void {
    this.#refused = error;
  }

  /** An output's text as a value. Throws BlobError for one that is gone or damaged. */
  value(text: string): Json {
    const ref = parseBlobText(text);
    if (ref !== null && this.#refused !== null) {
      throw this.#refused;
    }
    const known = ref === null ? undefined : this.#values?.get(ref.sha256);
    if (known !== undefined) {
      return known;
    }
    return JSON.parse(ref === null ? text : checkBlob(ref, this.#blobs.get(ref.sha256))) as Json;
  }

  /** A value that was given, whole. Throws BlobError. */
  whole(given: Json): Json {
    return blobOfValue(given) === null ? given : this.value(JSON.stringify(given));
  }

  /** The run's input. */
  input(): Json {
    if (this.outside !== null) {
      return this.outside.vars.input ?? null;
    }
    this.#input ??= this.value(this.#fields.get("in") ?? "null");
    return this.#input;
  }

  /** In a map: the element. */
  item(): Json {
    this.#item ??= this.value(this.#fields.get("it") ?? "null");
    return this.#item;
  }

  /** Keeps what a node that has just ended leaves, for the nodes evaluated after it. */
  keep(node: number, output: Json, errors?: Json): void {
    this.#local ??= new Map<number, Json>();
    this.#local.set(node, output);
    if (errors !== undefined) {
      this.#errors ??= new Map<number, Json>();
      this.#errors.set(node, errors);
    }
  }

  /** `ctx` for a reader in `scope`: the referenced nodes that have completed there. */
  context(reader: number, scope: string, refs: readonly number[]): NonNullable<Vars["ctx"]> {
    if (refs.length === 0 && this.outside === null) {
      return NO_CONTEXT;
    }
    const ctx: NonNullable<Vars["ctx"]> = Object.create(null) as NonNullable<Vars["ctx"]>;
    if (this.outside !== null) {
      Object.assign(ctx, this.outside.vars.ctx);
    }
    for (const ref of refs) {
      const node = this.#ir.nodes[ref] as IrNode;
      const local = this.#local?.get(ref);
      const output = local === undefined ? this.#output(ref, reader, scope) : local;
      if (output !== undefined) {
        const errors = node.type === "map" ? this.#errorsOf(ref, node, reader, scope) : undefined;
        ctx[node.id] = errors === undefined ? { output } : { output, errors };
      }
    }
    return ctx;
  }

  /** The tolerated failures of a map that tolerates any. */
  #errorsOf(node: number, map: IrNode, reader: number, scope: string): Json | undefined {
    const local = this.#errors?.get(node);
    if (local !== undefined || !Number(map.config["tolerated_failures"])) {
      return local;
    }
    const kept = this.#fields.get(`e${node}`) ?? "";
    const bar = kept.indexOf("|");
    const isSeen = bar >= 0 && kept.slice(0, bar) === this.#scopeSeen(node, reader, scope);
    return isSeen ? this.value(kept.slice(bar + 1)) : [];
  }

  /** Output of `node` as seen from `reader`; undefined if it has none there. */
  #output(node: number, reader: number, scope: string): Json | undefined {
    const record = parseRecord(this.#fields.get(`n${node}`));
    if (record?.state !== "c" || record.scope !== this.#scopeSeen(node, reader, scope)) {
      return undefined;
    }
    return this.value(record.rest);
  }

  #scopeSeen(node: number, reader: number, scope: string): string | null {
    const own = new Set(loopChain(this.#ir, reader));
    const chain = loopChain(this.#ir, node);
    const shared = chain.filter((loop) => own.has(loop)).length;
    let seen = scopePrefix(scope, shared);
    for (const loop of chain.slice(shared)) {
      const latch = this.#ir.loops[loop]?.latch ?? -1;
      const round = this.#fields.get(`l${latch}`)?.replace(/^e/, "") ?? "";
      if (round === "" || scopePrefix(round, seen === "" ? 0 : seen.split("/").length) !== seen) {
        return null;
      }
      seen = round;
    }
    return seen;
  }

  /** Input that was given by hand to a node's token; undefined: none was. */
  editedInput(node: number, scope: string): Json | undefined {
    const text = readEditedInput(this.#fields.get(`o${node}`), scope);
    return text === null ? undefined : this.value(text);
  }

  /** Input of a node whose token does not carry it. `arrivals` is the join's, "" without one. */
  ownInput(node: IrNode, scope: string, arrivals: string): Json {
    const latch = this.#latchBefore(node, scope);
    if (latch !== null) {
      return this.value(this.#fields.get(`i${latch}`) ?? "null");
    }
    if (isFedByRun(this.#ir, node)) {
      return this.outside === null ? this.input() : this.item();
    }
    if (node.in.length === 1) {
      return this.#ended(this.#from(node.in[0] as number));
    }
    const pairs: [string, Json][] = [];
    node.in.forEach((edge, position) => {
      if (arrivals[position] === "L") {
        const from = this.#from(edge);
        pairs.push(...this.#named(this.#ir.nodes[from] as IrNode, this.#ended(from)));
      }
    });
    return Object.fromEntries(pairs);
  }

  /** A predecessor's part of a join's input; what a fan-in tree has gathered is taken apart again. */
  #named(from: IrNode, value: Json): [string, Json][] {
    if (from.synthetic === true && from.in.length > 1) {
      return Object.entries(value as { [key: string]: Json });
    }
    if (from.synthetic === true) {
      return this.#named(this.#ir.nodes[this.#from(from.in[0] as number)] as IrNode, value);
    }
    return [[from.id, value]];
  }

  /** The latch whose round before led to this one, if the node heads a loop in a later round. */
  #latchBefore(node: IrNode, scope: string): number | null {
    if (node.head_of.length === 0) {
      return null;
    }
    // Of loops that share a head the innermost that is past its first round has gone round last.
    const elements = scope.split("/").slice(-node.head_of.length);
    for (let i = elements.length - 1; i >= 0; i--) {
      if ((roundOf(elements[i] as string) ?? 1) > 1) {
        return this.#ir.loops[node.head_of[i] as number]?.latch ?? null;
      }
    }
    return null;
  }

  #from(edge: number): number {
    return this.#ir.edges[edge]?.from ?? -1;
  }

  #ended(node: number): Json {
    const record = parseRecord(this.#fields.get(`n${node}`));
    if (record === null || (record.state !== "c" && record.state !== "f")) {
      const id = this.#ir.nodes[node]?.id ?? String(node);
      throw new Error(`the output of node "${id}" is missing in Redis`);
    }
    return this.value(record.rest);
  }
}
