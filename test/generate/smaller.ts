/**
 * Smaller plans of a plan: what shrinks a case that fails. fast-check's own shrinking knows which
 * numbers and lists a plan is made of; this knows blocks, so that it can take the inside of a loop,
 * of a branch or of a body in place of the whole.
 *
 * Each plan is one step away, and each step leaves fewer blocks or plainer ones, so that whoever goes
 * on stepping comes to an end. Any part of a plan can go (plan.ts), so the workflows stay valid.
 */
import { isDeepStrictEqual } from "node:util";
import type { Block, TaskPlan, WorkflowPlan } from "./plan.ts";

const TASK: TaskPlan = { shape: "echo", k: 0, pick: 0, join: { kind: "all", pick: 0 } };
const BLOCK: Block = { kind: "task", task: TASK, guard: null };

/** Where there may be nothing. A map's body is then one node, a loop's latch its own head. */
const MAY_BE_NULL = new Set([
  ...["tail", "output", "guard", "block", "merge", "fallback", "exhausted"],
  ...["handler", "body", "beside"],
]);
const TASKS = new Set(["task", "head", "merge", "latch"]);
/** The plainest value, by the name of its place. */
const PLAINEST: { [place: string]: unknown } = {
  ...{ k: 0, pick: 0, window: 0, rounds: 1, attempts: 1, drop: 1 },
  ...{ about: "n", negate: false, hasDefault: true, hasOutput: false, drawn: true },
};

/** And by the kind of the block that it is in. */
const PLAINEST_IN: { [kind: string]: { [place: string]: unknown } } = {
  branch: { form: "first" },
  loop: { form: "loop", cond: "iteration" },
  map: { fails: "no", items: "input" },
};

/** All plans that are one step smaller, the boldest step first; always the same for the same plan. */
export function smallerPlans(plan: WorkflowPlan): WorkflowPlan[] {
  const plans = [...smaller(plan, "")] as WorkflowPlan[];
  const sized = plans.map((one) => ({ one, size: JSON.stringify(one).length }));
  return sized.sort((a, b) => a.size - b.size).map(({ one }) => one);
}

/** What may stand in the place of `part`. */
function* smaller(part: unknown, place: string): Generator<unknown> {
  if (part !== null && MAY_BE_NULL.has(place)) yield null;
  if (isBlock(part)) yield* [...blocksOf(part), ...unless(part, BLOCK)];
  if (part !== null && TASKS.has(place)) yield* unless(part, TASK);
  yield* plain(part, place, PLAINEST);
  if (Array.isArray(part)) {
    const list: readonly unknown[] = part;
    for (const [at, one] of list.entries()) {
      if (list.length > 1) yield list.toSpliced(at, 1);
      for (const less of smaller(one, "")) yield list.with(at, less);
    }
  } else if (typeof part === "object" && part !== null) {
    for (const [name, one] of Object.entries(part)) {
      const plainest = isBlock(part) ? PLAINEST_IN[part.kind] : undefined;
      const less = [...smaller(one, name), ...plain(one, name, plainest)];
      yield* less.map((value) => ({ ...part, [name]: value }));
    }
  }
}

function plain(part: unknown, place: string, plainest: { [place: string]: unknown } = {}) {
  return place in plainest ? unless(part, plainest[place]) : [];
}

function unless(part: unknown, plain: unknown): unknown[] {
  return isDeepStrictEqual(part, plain) ? [] : [plain];
}

function isBlock(part: unknown): part is Block {
  return typeof part === "object" && part !== null && "kind" in part && !("pick" in part);
}

/** The blocks in a block, without those in these. */
function blocksOf(part: object): Block[] {
  return Object.values(part).flatMap((one: unknown) => {
    if (isBlock(one)) return [one];
    return typeof one === "object" && one !== null ? blocksOf(one) : [];
  });
}
