/**
 * Single pieces of work for generated workflows: node type and config per shape.
 *
 * All outputs are objects and all that expressions read is asked for with `has`, so nothing fails
 * that is not meant to.
 */
import type { Json } from "../../compiler/ir.ts";
import { conditionOf, ctxOf, pickFrom } from "./draft.ts";
import type { JsonObject } from "./draft.ts";
import type { TaskPlan } from "./plan.ts";

export interface TaskPlace {
  /** Nodes that can be read, and of these those that may still be in progress. */
  upstream: ReadonlySet<string>;
  racing: ReadonlySet<string>;
  inLoop: boolean;
  /** In the body of a map: `item` (an object) and `index` are there. */
  inMap: boolean;
}

export interface TaskNode {
  type: string;
  config: JsonObject;
  retry?: JsonObject;
  /** The output is as large as the input; else it is small. */
  passesOn: boolean;
}

const INPUT_COUNT = "has(data.count) ? data.count : 0";

/** The node of a shape; `list` and `aggregate` have nodes of their own, see render.ts. */
export function taskNode(task: TaskPlan, place: TaskPlace): TaskNode {
  const { k } = task;
  const small = (type: string, config: JsonObject): TaskNode => ({ type, config, passesOn: false });
  const passing = (type: string, config: JsonObject): TaskNode => ({
    type,
    config,
    passesOn: true,
  });
  switch (task.shape) {
    case "counter":
      return small("function", call("builtin.counter", { step: 1 + (k % 3), start: k }));
    case "echo":
      return passing("function", call("builtin.echo"));
    case "add":
      return small("function", call("builtin.add", { a: "${input.n}", b: k }));
    case "values":
      return small("function", call("builtin.add", { values: [k, "${size(data)}"] }));
    case "parallel":
      return passing("parallel", {});
    case "cel":
      return small("transform", { expression: `{"count": (${INPUT_COUNT}) + ${k}}` });
    case "template":
      return small("transform", {
        expression: { count: `\${${INPUT_COUNT}}`, ...reads(task, place) },
      });
    case "identity":
      return passing("transform", { transformation: "identity" });
    case "normalize":
      return passing("transform", { transformation: "normalize" });
    case "override":
      return small("parallel", { input: { count: `\${${INPUT_COUNT}}`, k } });
    case "delay":
      return passing("delay", { delay_ms: k % 2 });
    case "sleep":
      return passing("function", call("builtin.sleep", { ms: k % 3 }));
    case "retry":
      return retrying(task);
    case "fail":
      // Nothing handles it, and under fail-fast nothing comes after it: seldom. In the body of a
      // map never: which element fails first would be a race.
      if (k > 1 || place.inMap) break;
      return small("function", call("builtin.fail", failure(task, place)));
    default:
      break;
  }
  return small("function", call("builtin.echo", reads(task, place)));
}

/** `builtin.fail` for a try: `when` decides whether at all. */
export function failure(task: TaskPlan, place: TaskPlace, isCertain = false): JsonObject {
  const { k, pick } = task;
  const about = place.inLoop && k % 2 === 0 ? "round" : "n";
  const when = conditionOf(
    { about, k, pick, negate: pick % 2 === 0 },
    place.upstream,
    place.inLoop,
  );
  return {
    ...{ code: `E${k}`, message: `as told, ${k}`, value: { count: k } },
    ...(isCertain ? {} : { when: `\${${when}}` }),
  };
}

/** Fails on its first attempts and then does not. */
function retrying({ k }: TaskPlan): TaskNode {
  const attempts = 1 + (k % 2);
  const params: JsonObject = { code: `R${k}`, message: "again", attempts, value: { count: k } };
  return {
    ...{ type: "function", config: call("builtin.fail", params), passesOn: false },
    retry: retry(attempts + 1 + (k % 3 === 0 ? 1 : 0)),
  };
}

export function retry(maxAttempts: number): JsonObject {
  return { max_attempts: maxAttempts, backoff_ms: 1, max_backoff_ms: 1, jitter: 0 };
}

export function call(name: string, params?: Json): JsonObject {
  return { function_name: name, ...(params === undefined ? {} : { params }) };
}

/** Parameters that depend on the run, on other nodes and on the round. */
function reads({ k, pick }: TaskPlan, { upstream, inLoop, inMap }: TaskPlace): JsonObject {
  const source = pickFrom(upstream, pick);
  const node = source === undefined ? undefined : `${ctxOf(source)}.output`;
  const seen =
    node === undefined
      ? "${input.name}"
      : `\${has(${node}) && has(${node}.count) ? ${node}.count : has(${node}) ? -1 : -2}`;
  return {
    ...{ tag: `t${k}`, seen, fields: "${size(data)}" },
    ...(inLoop ? { round: "${iteration}" } : {}),
    ...(inMap ? { at: "${index}", of: "${size(item)}" } : {}),
    ...(k > 3 ? { text: "${input.name}/${input.n}" } : {}),
  };
}
