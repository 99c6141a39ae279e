/**
 * Tokens that wait for somebody, and what comes for them.
 *
 * A signal goes to the oldest token of its run that waits for its name; with none there it is kept
 * and the next such token takes it, first come, first served. A decision goes to the oldest open
 * approval of its node and is lost if there is none.
 */
import type { IrNode, Json } from "../ir.ts";
import type { Calendar } from "./agenda.ts";
import type { Token } from "./graph-run.ts";
import type { Decision, HandlerResult, InterpretOptions, Signal } from "./types.ts";

interface Parked {
  token: Token;
  node: IrNode;
  decisions: Decision[];
}

/** A token that goes on. */
interface Answered {
  token: Token;
  result: HandlerResult;
}

export class Parking {
  readonly #runId: string;
  readonly #calendar: Calendar;
  /** Decisions that come some time after somebody asks for them. */
  #prompt: Decision[] = [];
  #resume: (token: Token, result: HandlerResult) => void = () => {};
  #parked: Parked[] = [];
  /** Values by run and name. */
  readonly #kept = new Map<string, Json[]>();

  /** `runId`: the run to which answers go that name none. */
  constructor(runId: string, calendar: Calendar) {
    this.#runId = runId;
    this.#calendar = calendar;
  }

  /** Let signals and decisions come at their times; a signal from the beginning is kept. */
  invite(
    { signals = [], decisions = [] }: Pick<InterpretOptions, "signals" | "decisions">,
    resume: (token: Token, result: HandlerResult) => void,
  ): void {
    this.#resume = resume;
    for (const signal of signals) {
      if (signal.at === undefined || signal.at <= 0) this.#signal(signal);
      else this.#enter(signal.at, () => this.#signal(signal));
    }
    this.#prompt = decisions.filter(({ after }) => after !== undefined);
    for (const decision of decisions) {
      if (decision.after !== undefined) continue;
      this.#enter(decision.at ?? 0, () => this.#decide(decision));
    }
  }

  #enter(at: number, answer: () => Answered | undefined): void {
    this.#calendar.enter({
      ...{ at, isLimit: false, isDue: () => true },
      happen: () => {
        const found = answer();
        if (found) this.#resume(found.token, found.result);
      },
    });
  }

  /** Park a token; the result that it has at once if a signal for it has been kept. */
  park(token: Token, node: IrNode): HandlerResult | undefined {
    const key = keyOf(token.graph.place.run.id, String(node.config["signal"]));
    const kept = node.type === "wait" ? this.#kept.get(key) : undefined;
    const value = kept?.shift();
    if (value !== undefined) return { output: value };
    this.#parked.push({ token, node, decisions: [] });
    if (node.type === "human") this.#ask(token.graph.place.run.id, node);
    return undefined;
  }

  /** Who answers when asked, does; each of them once. */
  #ask(run: string, node: IrNode): void {
    const fits = (d: Decision): boolean => d.node === node.id && (d.run ?? this.#runId) === run;
    const asked = this.#prompt.filter(fits).slice(0, neededOf(node));
    this.#prompt = this.#prompt.filter((decision) => !asked.includes(decision));
    for (const decision of asked) {
      this.#enter(this.#calendar.now + (decision.after ?? 0), () => this.#decide(decision));
    }
  }

  /** The token does not wait any more. */
  remove(token: Token): void {
    this.#parked = this.#parked.filter((parked) => parked.token !== token);
  }

  #signal({ name, value, run = this.#runId }: Signal): Answered | undefined {
    const found = this.#oldest(run, (n) => n.type === "wait" && n.config["signal"] === name);
    if (found) return { token: found.token, result: { output: value } };
    const key = keyOf(run, name);
    this.#kept.set(key, [...(this.#kept.get(key) ?? []), value]);
    return undefined;
  }

  /** Undefined if more decisions are needed, or nobody asks. */
  #decide(decision: Decision): Answered | undefined {
    const { node, run = this.#runId, by, approved } = decision;
    const found = this.#oldest(run, ({ type, id }) => type === "human" && id === node);
    if (!found || found.decisions.some((other) => other.by === by)) return undefined;
    found.decisions.push(decision);
    if (approved && found.decisions.length < neededOf(found.node)) return undefined;
    return { token: found.token, result: { output: outcome(found.decisions) } };
  }

  #oldest(run: string, fits: (node: IrNode) => boolean): Parked | undefined {
    return this.#parked.find(({ token, node }) => token.graph.place.run.id === run && fits(node));
  }
}

function keyOf(run: string, name: string): string {
  return JSON.stringify([run, name]);
}

/** How many have to agree. */
function neededOf(node: IrNode): number {
  const required = node.config["required"];
  return typeof required === "number" ? required : 1;
}

/** One person's words as they are, those of several as lists. */
function outcome(decisions: readonly Decision[]): Json {
  const approved = decisions.every((decision) => decision.approved);
  const by = decisions.map((decision) => decision.by);
  const data = decisions.map((decision) => decision.data ?? null);
  const isOne = decisions.length === 1;
  return { approved, by: isOne ? (by[0] ?? null) : by, data: isOne ? (data[0] ?? null) : data };
}
