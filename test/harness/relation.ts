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
  type HandlerContext,
  type HandlerResult,
  type InterpretResult,
} from "../../compiler/reference/index.ts";
import {
  blobOfValue,
  type JournalRecord,
  type RunView,
  type Transition,
  type WaitAnswer,
} from "../../sdk/internal.ts";
import { oracleHandlers } from "../generate/builtins.ts";

/** One attempt of a token that has ended. */
interface End {
  home: string;
  scope: string;
  node: string;
  transition: Transition;
  /** What its wait was ended by, if it waited. */
  answer: WaitAnswer | null;
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

const ENDS = new Set(["node.completed", "node.failed", "node.retrying"]);

/** What the journal tells of a run's attempts. */
class Told {
  /** In the order of their ends; maps where their elements begin. */
  readonly order: { node: string; scope: string; home: string }[] = [];
  readonly #ends = new Map<string, End[]>();
  /** Whether the interpreter knows everything that happened. */
  isComparable = true;
  isCancelled = false;

  constructor(ir: Ir, runId: string, records: readonly JournalRecord[]) {
    const answers = new Map<string, Transition>();
    const begun = new Set<string>();
    const between = new Set<string>();
    const own = records.flatMap(({ transitions }) => transitions.filter(({ r }) => r === runId));
    for (const t of own) {
      const { n = -1, s: scope = "", m: home = "" } = t;
      const node = nodeAt(ir, home, n);
      const key = `${home}|${scope}|${n}`;
      const place = { node: node?.id ?? "", scope, home };
      followEnds(between, t);
      if (t.e === "node.activated" && t.v !== undefined) {
        this.isComparable = false; // tried again by hand
      } else if (t.e === "node.resumed" && t.v !== undefined) {
        answers.set(key, t);
        this.#seeOrder(t.v as WaitAnswer, node?.type ?? "");
      } else if (t.e === "map.started" && !begun.has(`${key}|${t.a}`)) {
        begun.add(`${key}|${t.a}`);
        this.order.push(place);
      } else if (ENDS.has(t.e)) {
        const list = this.#ends.get(`${home}|${scope}|${place.node}`) ?? [];
        list.push({ ...place, transition: t, answer: answerOf(answers.get(key), t) });
        this.#ends.set(`${home}|${scope}|${place.node}`, list);
        answers.delete(key);
        if (!begun.has(`${key}|${t.a}`)) {
          this.order.push(place);
        }
      } else if (t.e === "run.cancelled") {
        this.isCancelled = true;
        this.isComparable &&= between.size === 0;
      }
    }
  }

  /** Skips, retries by hand and maps that are settled by hand are not the interpreter's. */
  #seeOrder(answer: WaitAnswer, type: string): void {
    const isKnown = answer.kind !== "manual" || ["complete", "fail"].includes(answer.action);
    const isMap = answer.kind === "manual" && type === "map";
    this.isComparable &&= isKnown && !isMap;
  }

  /** The next end of this token; undefined if it never ended. */
  next(node: string, { home, scope }: HandlerContext): End | undefined {
    return this.#ends.get(`${home}|${scope}|${node}`)?.shift();
  }
}

/** Who was at work when somebody settled his node by hand may have been first: his is the one before. */
function answerOf(resumed: Transition | undefined, end: Transition): WaitAnswer | null {
  const isMeant = resumed !== undefined && (end.a ?? 1) >= (resumed.a ?? 1);
  return isMeant ? (resumed.v as WaitAnswer) : null;
}

/**
 * Elements and maps that have ended and whose end a worker has yet to carry on: to the interpreter
 * that is one step. A run that is cancelled there has no place in it.
 */
function followEnds(between: Set<string>, { e, m = "", s = "", n = -1, i }: Transition): void {
  const map = [m, s, String(n)].filter((part) => part !== "").join("/");
  if (e === "element.finishing") {
    between.add(m);
  } else if (e === "map.element") {
    between.delete(`${map}#${i}`);
  } else if (e === "map.gather") {
    between.add(map);
  } else if (ENDS.has(e)) {
    between.delete(map);
  }
}

/** What the run must have come to; null if somebody did what the interpreter does not know. */
export function related(
  ir: Ir,
  runId: string,
  input: Json,
  records: readonly JournalRecord[],
  around: Around,
): InterpretResult | null {
  const told = new Told(ir, runId, records);
  if (!told.isComparable) {
    return null;
  }
  const oracle = oracleHandlers();
  return interpret(ir, input, {
    runId,
    order: recordedOrder(told.order),
    ...(told.isCancelled ? { cancelAfter: told.order.length } : {}),
    handlers: {
      standsFor: ({ type }) => type === "wait" || type === "human" || type === "subworkflow",
      evaluate: (node, context) => {
        const end = told.next(node.id, context);
        const answer = end?.answer ?? null;
        if (answer !== null) {
          return resultOf(answer, end as End, around);
        }
        const attempt = end?.transition.a ?? context.attempt;
        return oracle.evaluate(node, { ...context, attempt });
      },
    },
  });
}

function resultOf(answer: WaitAnswer, { transition }: End, around: Around): HandlerResult {
  switch (answer.kind) {
    case "timeout":
      return { error: { code: "TIMEOUT", message: "", timeout: true } };
    case "signal":
    case "callback":
      return { output: answer.data };
    case "approval": {
      const said = answer.decisions.map(({ actor, data }) => ({ by: actor, data }));
      const [only] = said.length === 1 ? said : [];
      const lists = { by: said.map(({ by }) => by), data: said.map(({ data }) => data) };
      return { output: { approved: answer.approved, ...(only ?? lists) } };
    }
    case "manual":
      return answer.action === "complete"
        ? { output: answer.output ?? null }
        : { error: { code: "FAILED_BY_HAND", message: "", retryable: false } };
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
