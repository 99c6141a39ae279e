/**
 * The oracle as a relation (20 §9.8, 21 B11): given the order in which the journal says that attempts
 * ended, and what came from outside - answers, decisions by hand, ends of children -, the reference
 * interpreter must come to exactly the rest.
 */
import { nodeAt } from "../../sdk/unit.ts";
import type { Ir, Json } from "../../compiler/ir.ts";
import {
  interpret,
  recordedOrder,
  type ByHand,
  type HandlerResult,
  type InterpretResult,
  type ReadyToken,
} from "../../compiler/reference/index.ts";
import {
  blobOfValue,
  type JournalRecord,
  type ManualAnswer,
  type RunView,
  type Transition,
  type WaitAnswer,
} from "../../sdk/internal.ts";
import { oracleHandlers } from "../generate/builtins.ts";

/** One turn of a token: an attempt that has ended, a map that begins, an order by hand. */
interface Turn {
  home: string;
  scope: string;
  node: string;
  transition: Transition;
  /** What its wait was ended by, if it waited. */
  answer: WaitAnswer | null;
  isByHand: boolean;
}

/** What is known of the other runs of a tree. */
export interface Around {
  /** By run id, with every blob in its place. */
  views: ReadonlyMap<string, RunView>;
  /** Puts blobs in their places. */
  whole(value: Json): Json;
}

/** Values of outputs with the texts of their blobs instead of references. */
export function wholeWith(texts: { [sha256: string]: string }): (value: Json) => Json {
  const whole = (value: Json): Json => {
    const ref = blobOfValue(value);
    if (ref !== null) {
      return JSON.parse(texts[ref.sha256] ?? "null") as Json;
    } else if (Array.isArray(value)) {
      return value.map(whole);
    } else if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, whole(part)]));
    }
    return value;
  };
  return whole;
}

const CIRCUIT_OPEN = "CIRCUIT_OPEN";
const ENDS = new Set(["node.completed", "node.failed", "node.retrying", "node.skipped"]);

/**
 * What ended the waits of tokens, and what was ordered by hand, until they end. The last that the
 * attempt knew of counts, and a retry takes back what was ordered before. Whoever was at work on an
 * attempt before may still come first: with its own end, or with the order that it had.
 */
class Orders {
  readonly #given = new Map<string, Transition[]>();

  add(key: string, transition: Transition): void {
    this.#given.set(key, [...(this.#given.get(key) ?? []), transition]);
  }

  has(key: string): boolean {
    return this.#given.has(key);
  }

  /** What ended the wait of this attempt; the token has ended. */
  take(key: string, attempt: number): WaitAnswer | null {
    const known = (this.#given.get(key) ?? []).filter(({ a }) => (a ?? 1) <= attempt);
    this.#given.delete(key);
    const last = known.at(-1);
    return last?.e === "node.resumed" ? (last.v as WaitAnswer) : null;
  }
}

/** What the journal tells of a run's tokens. */
class Told {
  /** In the order in which they came. */
  readonly turns: Turn[] = [];
  readonly #left = new Map<string, Turn[]>();
  isCancelled = false;

  constructor(ir: Ir, runId: string, records: readonly JournalRecord[]) {
    const orders = new Orders();
    const own = records.flatMap(({ transitions }) => transitions.filter(({ r }) => r === runId));
    for (const t of own) {
      const { n = -1, s: scope = "", m: home = "", v } = t;
      const key = `${home}|${scope}|${n}`;
      const place = { node: nodeAt(ir, home, n)?.id ?? "", scope, home };
      if (t.e === "node.resumed" && v !== undefined) {
        orders.add(key, t);
      } else if (t.e === "map.started") {
        this.#take({ ...place, transition: t, answer: null, isByHand: false });
      } else if (t.e === "node.activated" && v !== undefined) {
        orders.add(key, t);
        if (t.was?.startsWith("a") === true) {
          this.#take({ ...place, transition: t, answer: v as WaitAnswer, isByHand: true });
        }
      } else if (ENDS.has(t.e) && (t.e !== "node.skipped" || orders.has(key))) {
        const answer = orders.take(key, t.a ?? 1);
        const isByHand = answer?.kind === "manual";
        this.#take({ ...place, transition: t, answer, isByHand });
      } else if (t.e === "run.cancelled") {
        this.isCancelled = true;
      }
    }
  }

  #take(turn: Turn): void {
    this.turns.push(turn);
    const key = keyOf(turn);
    this.#left.set(key, [...(this.#left.get(key) ?? []), turn]);
  }

  /** The token's next turn; undefined if it never came to one. */
  next(token: ReadyToken): Turn | undefined {
    return this.#left.get(keyOf(token))?.shift();
  }
}

function keyOf({ node, home, scope }: Pick<Turn, "node" | "home" | "scope">): string {
  return `${home}|${scope}|${node}`;
}

/** What the run must have come to. */
export function related(
  ir: Ir,
  runId: string,
  input: Json,
  records: readonly JournalRecord[],
  around: Around,
): InterpretResult {
  const told = new Told(ir, runId, records);
  const oracle = oracleHandlers();
  let turn: Turn | undefined;
  return interpret(ir, input, {
    runId,
    order: recordedOrder(told.turns),
    collects: true,
    ...(told.isCancelled ? { cancelAfter: told.turns.length } : {}),
    byHand: (token) => {
      turn = told.next(token);
      const order = turn?.isByHand === true ? (turn.answer as ManualAnswer) : null;
      return order === null ? undefined : orderOf(order, around);
    },
    handlers: {
      standsFor: ({ type }) => type === "wait" || type === "human" || type === "subworkflow",
      evaluate: (node, context) => {
        const answer = turn?.answer ?? null;
        if (answer !== null && answer.kind !== "manual") {
          return resultOf(answer, turn as Turn, around);
        }
        if (node.circuit_breaker?.on_open === "fail" && isRefused(turn?.transition)) {
          return { error: { code: CIRCUIT_OPEN, message: "" } };
        }
        const attempt = turn?.transition.a ?? context.attempt;
        return oracle.evaluate(node, { ...context, attempt });
      },
    },
  });
}

/** Whether this attempt failed because it might not begin: when that is, CircuitModel says. */
export function isRefused(transition: Transition | undefined): boolean {
  return transition?.err?.error.code === CIRCUIT_OPEN;
}

function orderOf({ action, output = null, error }: ManualAnswer, { whole }: Around): ByHand {
  return action === "skip" || action === "retry"
    ? action
    : action === "complete"
      ? { output: whole(output) }
      : { error: { code: error?.code ?? "FAILED_BY_HAND", message: "", retryable: false } };
}

function resultOf(
  answer: Exclude<WaitAnswer, ManualAnswer>,
  { transition }: Turn,
  around: Around,
): HandlerResult {
  switch (answer.kind) {
    case "timeout":
      return { error: { code: "TIMEOUT", message: "" } };
    case "signal":
    case "callback":
      return { output: around.whole(answer.data) };
    case "approval": {
      const said = answer.decisions.map(({ actor, data }) => ({
        by: actor,
        data: around.whole(data),
      }));
      const [only] = said.length === 1 ? said : [];
      const lists = { by: said.map(({ by }) => by), data: said.map(({ data }) => data) };
      return { output: { approved: answer.approved, ...(only ?? lists) } };
    }
    case "child": {
      const child = around.views.get(answer.run);
      if (child?.status === "COMPLETED") {
        return { output: around.whole(child.output) };
      }
      const { code, message } = transition.err?.error ?? { code: "", message: "" };
      const retryable = transition.e === "node.retrying";
      return { error: { code, message, retryable } };
    }
  }
}
