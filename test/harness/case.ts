/**
 * One case of a property test: its seed, and the workflows that it is played with. A case that fails
 * is made smaller by cuts, and seed and cuts together name a case exactly: what is drawn from the seed
 * stays as it is, the plan of each workflow is cut before it is rendered.
 */
import type { WorkflowPlan } from "../generate/plan.ts";
import { renderWorkflow } from "../generate/render.ts";
import { smallerPlans } from "../generate/smaller.ts";
import { planOf, type GenerateOptions, type JsonObject } from "../generate/workflow.ts";

/** Per workflow, in the order of asking: the smaller plans taken, one after the other. */
type Cuts = readonly (readonly number[])[];

/** To be played once: its workflows come in order. */
export class Case {
  readonly seed: number;
  /** The workflows that it was played with, with all that the test has changed in them. */
  readonly documents: JsonObject[] = [];
  readonly #cuts: Cuts;
  /** Of these workflows; null: it has none. */
  readonly #plans: (WorkflowPlan | null)[] = [];

  /** What the cuts come to, if that is known. */
  readonly #known: readonly (WorkflowPlan | null)[];

  /** `cuts` as in `replay`. */
  constructor(seed: number, cuts = "", known: readonly (WorkflowPlan | null)[] = []) {
    this.seed = seed;
    this.#known = known;
    this.#cuts = cuts.split("/").map((one) => one.split(".").filter(Boolean).map(Number));
  }

  /** The next workflow: another for another seed, the same for the same. */
  workflow(options: GenerateOptions = {}, seed = this.seed): JsonObject {
    const place = this.documents.length;
    const plan = this.#known[place] ?? cutPlan(planOf(seed, options), this.#cuts[place] ?? []);
    const document = renderWorkflow(plan, options);
    this.#plans.push(plan);
    this.documents.push(document);
    return document;
  }

  /** A workflow that is not drawn, and stays as it is. */
  fixed(document: JsonObject): JsonObject {
    this.#plans.push(null);
    this.documents.push(document);
    return document;
  }

  /** The same, to be played once more. */
  twin(): Case {
    return new Case(this.seed, textOf(this.#cuts), this.#known);
  }

  /** All cases that are one cut smaller than this one; it must have been played. */
  smaller(): Case[] {
    return this.#plans.flatMap((plan, place) => {
      const plans = plan === null ? [] : smallerPlans(plan);
      return plans.map(
        (less, cut) => new Case(this.seed, this.#with(place, cut), this.#plans.with(place, less)),
      );
    });
  }

  #with(place: number, cut: number): string {
    const all = this.#plans.map((_, at) => this.#cuts[at] ?? []);
    return textOf(all.with(place, [...(all[place] ?? []), cut]));
  }

  /** The variables that play it again. */
  get replay(): string {
    const cuts = textOf(this.#cuts);
    return `GAVOTTE_SEED=${this.seed}${cuts === "" ? "" : ` GAVOTTE_CUTS=${cuts}`}`;
  }
}

function textOf(cuts: Cuts): string {
  const text = cuts.map((one) => one.join(".")).join("/");
  return text.replace(/\/+$/, "");
}

function cutPlan(plan: WorkflowPlan, cuts: readonly number[]): WorkflowPlan {
  return cuts.reduce((whole, cut) => {
    const less = smallerPlans(whole)[cut];
    if (less === undefined) {
      throw new Error(`GAVOTTE_CUTS: this workflow has no cut ${cut}; name the test, too (-t)`);
    }
    return less;
  }, plan);
}
