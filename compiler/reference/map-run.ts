/**
 * A map in progress: a window of elements, each a graph of its own, and a list of results.
 *
 * The element that ends makes room for the next one. One failed element more than the map tolerates
 * ends it, and what is in progress then is void.
 */
import type { Ir, IrNode, Json } from "../ir.ts";
import type { Outcome } from "./graph-run.ts";
import type { HandlerResult } from "./types.ts";

/** More elements are never in progress at one time. */
const WINDOW_MAX = 500;

export interface MapHooks {
  /** Begin an element; `ended` has to be told when it has ended. */
  begin(body: Ir, index: number, item: Json, ended: (outcome: Outcome) => void): void;
  /** The map itself has ended. */
  ended(result: HandlerResult, errors?: Json): void;
}

export class MapRun {
  readonly #body: Ir;
  readonly #items: readonly Json[];
  readonly #tolerated: number;
  readonly #window: number;
  readonly #hooks: MapHooks;
  readonly #results: Json[];
  readonly #errors: { index: number; [key: string]: Json }[] = [];
  #next = 0;
  #done = 0;
  #isOver = false;

  constructor(node: IrNode, items: readonly Json[], hooks: MapHooks) {
    if (!node.body) throw new Error(`the IR is broken: the map "${node.id}" has no body`);
    this.#body = node.body;
    this.#items = items;
    this.#tolerated = numberOr(node.config["tolerated_failures"], 0);
    this.#window = Math.min(numberOr(node.config["max_concurrency"], WINDOW_MAX), WINDOW_MAX);
    this.#hooks = hooks;
    this.#results = items.map(() => null);
  }

  begin(): void {
    if (this.#items.length === 0) return this.#complete();
    while (this.#next < Math.min(this.#window, this.#items.length)) this.#beginNext();
  }

  #beginNext(): void {
    const index = this.#next++;
    const item = this.#items[index] ?? null;
    this.#hooks.begin(this.#body, index, item, (outcome) => this.#ended(index, outcome));
  }

  #ended(index: number, outcome: Outcome): void {
    if (this.#isOver) return;
    this.#done++;
    if ("output" in outcome) this.#results[index] = outcome.output;
    else {
      const { code, message, node } = outcome.error;
      if (this.#errors.length === this.#tolerated) {
        this.#isOver = true;
        const error = { code, message: `element ${index}: ${message}`, retryable: false };
        return this.#hooks.ended({ error });
      }
      this.#errors.push({ index, code, message, node: node ?? null });
    }
    if (this.#done === this.#items.length) return this.#complete();
    if (this.#next < this.#items.length) this.#beginNext();
  }

  #complete(): void {
    this.#isOver = true;
    const errors = this.#errors.toSorted((a, b) => a.index - b.index);
    this.#hooks.ended({ output: this.#results }, this.#tolerated > 0 ? errors : undefined);
  }
}

function numberOr(value: Json | undefined, missing: number): number {
  return typeof value === "number" ? value : missing;
}
