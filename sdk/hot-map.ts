/**
 * The hot state of a map whose elements run: a part of sdk/hot-state.ts, as scripts/expand_map.lua
 * and scripts/include/complete_element.lua are of the scripts. Which element starts next is not in
 * the journal: each that ends starts the next index.
 */
import type { Ir, Json } from "../compiler/ir.ts";
import type { HotState } from "./hot-state.ts";
import type { MapFailure, Transition } from "./journal.ts";
import { terminalsOf } from "./unit.ts";

export class HotMap {
  /** Scope of the map's token. */
  readonly scope: string;
  readonly body: Ir;
  readonly count: number;
  readonly window: number;
  readonly tolerated: number;
  /** JSON text. */
  readonly vars: string;
  /** JSON texts. */
  readonly items: string[] = [];
  readonly results = new Map<number, string>();
  readonly errors = new Map<number, string>();
  /** Elements in flight, by index. */
  readonly elements = new Map<number, HotState>();
  /** The first index that has not begun. */
  next = 0;
  /** Why it failed; null: it has not. */
  failure: MapFailure | null = null;
  readonly #start: (item: string) => HotState;

  /** From `map.expanded` with the first items; `start` makes an element with its entry tokens. */
  constructor(t: Transition, body: Ir, start: (item: string) => HotState) {
    this.scope = t.s ?? "";
    this.body = body;
    this.count = t.c ?? 0;
    this.window = t.win ?? 0;
    this.tolerated = t.tol ?? 0;
    this.vars = JSON.stringify(t.vars ?? {});
    this.#start = start;
  }

  get done(): number {
    return this.results.size + this.errors.size;
  }

  /** All its items are there. */
  get isComplete(): boolean {
    return this.items.length >= this.count;
  }

  add(t: Transition): void {
    const from = t.from ?? 0;
    (t.items ?? []).forEach((item: Json, i) => (this.items[from + i] = JSON.stringify(item)));
  }

  /** Starts the elements before `to`. */
  start(to: number): void {
    while (this.next < Math.min(to, this.count)) {
      this.elements.set(this.next, this.#start(this.items[this.next] as string));
      this.next += 1;
    }
  }

  /** An element has ended. */
  end(t: Transition): void {
    const index = t.i ?? -1;
    const element = this.elements.get(index);
    this.elements.delete(index);
    if (t.v === "failed") {
      this.errors.set(index, JSON.stringify(t.err ?? null));
    } else if (t.o !== undefined) {
      this.results.set(index, JSON.stringify(t.o));
    } else {
      this.results.set(index, element === undefined ? "null" : elementOutput(element));
    }
    if (this.errors.size <= this.tolerated) {
      this.start(this.next + 1);
    }
  }

  /** Its results are collected, or it has failed: what still ran is void. */
  gather(failure: MapFailure | null): void {
    this.failure = failure;
    this.elements.clear();
  }

  /** The fields of the map's hash; the caller adds what it knows of queues and entries. */
  fields(): { [field: string]: string } {
    const fields: { [field: string]: string } = {
      got: String(this.items.length),
      n: String(this.count),
      next: String(this.next),
      done: String(this.done),
      failed: String(this.errors.size),
      tolerated: String(this.tolerated),
      window: String(this.window),
      vars: this.vars,
    };
    this.items.forEach((item, i) => (fields[`x${i}`] = item));
    this.results.forEach((result, i) => (fields[`r${i}`] = result));
    this.errors.forEach((error, i) => (fields[`e${i}`] = error));
    return fields;
  }
}

/** As element_output in scripts/include/complete_element.lua. */
function elementOutput(element: HotState): string {
  const outputs = terminalsOf(element.ir).flatMap((node) => {
    const token = element.tokens.get(node);
    const isLast = token?.scope === "" || element.rounds.get(node) === `e${token?.scope ?? ""}`;
    const id = element.ir.nodes[node]?.id ?? "";
    return token?.state === "c" && isLast ? [`${JSON.stringify(id)}:${token.rest}`] : [];
  });
  const [only] = outputs;
  if (outputs.length < 2) {
    return only === undefined ? "null" : only.slice(only.indexOf(":") + 1);
  }
  return `{${outputs.join(",")}}`;
}
