/**
 * Executing a workflow in every possible way: all outputs that its conditions tell apart, failures,
 * timeouts, and all orders of its tokens. For graphs of a few nodes; the reference interpreter says
 * what each execution does.
 */
import type { Ir, IrNode, Json } from "../ir.ts";
import { interpret } from "../reference/index.ts";
import type { HandlerResult, InterpretResult } from "../reference/index.ts";

/** What was seen in any of the executions. */
export interface Observed {
  runs: Set<string>;
  skipped: Set<string>;
  /** `from>place`. */
  live: Set<string>;
  /** Nodes that ran in an execution in which nothing had failed before. */
  runsUnharmed: Set<string>;
  /** `a b`: both ran in one execution; in the order of the alphabet. */
  together: Set<string>;
  /** Nodes that got live values over two in-edges and more in one execution. */
  meets: Set<string>;
  /** Number of terminal nodes' statuses and the run's, as a text. */
  ends: Set<string>;
  errors: Set<string>;
  tokensMax: number;
  executions: number;
  isComplete: boolean;
}

export interface ExhaustiveOptions {
  executionsMax: number;
  /** Every order of the tokens too, not only the first-come order. */
  orders: boolean;
}

/** Values of the fields that the test's conditions read. */
const FIELDS: { [field: string]: Json[] } = {
  a: [true, false],
  b: [true, false],
  k: [-1, 0, 0.5, 1, 2],
};

export function executeAll(ir: Ir, { executionsMax, orders }: ExhaustiveOptions): Observed {
  const seen: Observed = {
    ...{ runs: new Set(), skipped: new Set(), live: new Set(), runsUnharmed: new Set() },
    ...{ together: new Set(), meets: new Set(), ends: new Set(), errors: new Set() },
    ...{ tokensMax: 0, executions: 0, isComplete: true },
  };
  const choices = new Choices();
  const options = new Map(ir.nodes.map((node) => [node.id, resultsOf(ir, node)]));
  do {
    if (seen.executions >= executionsMax) return { ...seen, isComplete: false };
    seen.executions++;
    try {
      const result = interpret(
        ir,
        {},
        {
          maxSteps: 200,
          order: (ready) => (orders ? choices.choose(ready.length) : 0),
          handlers: {
            evaluate: (node) => {
              const list = options.get(node.id) ?? [];
              return list[choices.choose(list.length)] ?? { output: {} };
            },
          },
        },
      );
      observe(ir, result, seen);
    } catch (error) {
      seen.errors.add(error instanceof Error ? error.message : String(error));
    }
  } while (choices.next());
  return seen;
}

/** Everything that a node can come to, as far as its edges tell it apart. */
function resultsOf(ir: Ir, node: IrNode): HandlerResult[] {
  const own = node.out.map((edge) => ir.edges[edge]);
  const loop = node.latch_of === null ? undefined : ir.loops[node.latch_of];
  const text = [...own.map((edge) => edge?.condition ?? ""), loop?.condition ?? ""].join(" ");
  let outputs: { [field: string]: Json }[] = [{}];
  for (const [field, values] of Object.entries(FIELDS)) {
    if (!text.includes(`output.${field}`)) continue;
    outputs = outputs.flatMap((output) => values.map((value) => ({ ...output, [field]: value })));
  }
  const error = { code: "BROKEN", message: "", retryable: false };
  const failures: HandlerResult[] = [{ error }];
  if (own.some((edge) => edge?.on === "timeout"))
    failures.push({ error: { ...error, code: "TIMEOUT" } });
  return [...outputs.map((output) => ({ output })), ...failures];
}

function observe(ir: Ir, { trace, status }: InterpretResult, seen: Observed): void {
  const arrived = new Map<number, number>();
  const outOf = new Map(ir.nodes.map((one) => [one.id, one.out]));
  const ran = new Set<string>();
  let hasFailed = false;
  let inFlight = 0;
  for (const { event, node = "", edges = [] } of trace) {
    if (event === "node.activated") {
      ran.add(node);
      inFlight++;
      if (!hasFailed) seen.runsUnharmed.add(node);
    }
    if (event === "node.completed" || event === "node.failed" || event === "node.voided")
      inFlight--;
    if (event === "node.skipped") seen.skipped.add(node);
    if (event === "node.failed") hasFailed = true;
    edges.forEach(({ value }, place) => {
      if (value !== "live") return;
      seen.live.add(`${node}>${place}`);
      const to = ir.edges[outOf.get(node)?.[place] ?? -1]?.to ?? -1;
      arrived.set(to, (arrived.get(to) ?? 0) + 1);
    });
    seen.tokensMax = Math.max(seen.tokensMax, inFlight);
  }
  for (const [to, count] of arrived) {
    const id = ir.nodes[to]?.id;
    if (count > 1 && id !== undefined) seen.meets.add(id);
  }
  for (const a of ran) {
    seen.runs.add(a);
    for (const b of ran) if (a < b) seen.together.add(`${a} ${b}`);
  }
  seen.ends.add(status);
}

/** A walk through all sequences of choices: each run repeats the last one up to where it differs. */
class Choices {
  #made: { of: number; at: number }[] = [];
  #used = 0;

  choose(of: number): number {
    const known = this.#made[this.#used++];
    if (known) return known.at;
    this.#made.push({ of, at: 0 });
    return 0;
  }

  /** Whether there is another sequence. */
  next(): boolean {
    this.#made = this.#made.slice(0, this.#used);
    this.#used = 0;
    for (let last = this.#made.at(-1); last; last = this.#made.at(-1)) {
      if (last.at + 1 < last.of) {
        last.at++;
        return true;
      }
      this.#made.pop();
    }
    return false;
  }
}
