/** What the types of states have in common: their nodes, their work, and what comes after it. */
import { asObject, own } from "../../document.ts";
import type { JsonObject } from "../../document.ts";
import { joinPointer } from "../../source-map.ts";
import { reportAt } from "../front-end.ts";
import type { EdgeMore, Handle } from "./builder.ts";
import { outputOf } from "./cel.ts";
import { ERROR_OUTPUT, readCatch, readRetry } from "./failures.ts";
import type { Catcher } from "./failures.ts";
import type { Root } from "./paths.ts";
import { END } from "./scope.ts";
import type { Place } from "./scope.ts";

/** A node of the state, with its description if it is the one named like the state. */
export function addNode(
  { scope, state, pointer, id }: Place,
  name: string,
  build: (input: string) => JsonObject,
): Handle {
  const comment = own(state, "Comment");
  const isMain = name === id;
  return scope.builder.node(isMain ? id : scope.ids.take(name), pointer, (input) => {
    const node = build(input);
    if (isMain && typeof comment === "string") {
      scope.context.draft.set(node, "description", comment, joinPointer(pointer, "Comment"));
    }
    scope.context.draft.key(node, "type", joinPointer(pointer, "Type"));
    return node;
  });
}

/** On to `Next`, or the end. */
export function goOn({ state, pointer, ways }: Place, from: Handle, more: EdgeMore = {}): void {
  const next = own(state, "Next");
  if (typeof next === "string") ways.goTo(from, next, joinPointer(pointer, "Next"), more);
  else ways.goTo(from, END, joinPointer(pointer, "End"), more);
}

/** A state's work, and where its input can be read after that. */
export interface Started {
  first: Handle;
  main: Handle;
  /** The state's own input behind the work. */
  raw: string;
}

/**
 * The node of the work, behind one that keeps the state's input if that is read later.
 * `build` gets what the input is called where the work stands.
 */
export function startWork(
  place: Place,
  keeps: boolean,
  build: (raw: string, input: string) => JsonObject,
): Started {
  const { scope, id } = place;
  if (!keeps) {
    const main = addNode(place, id, (input) => build(input, input));
    return { first: main, main, raw: "data" };
  }
  const first = scope.builder.pass(scope.ids.take(`${id}_in`), place.pointer);
  const main = addNode(place, id, (input) => build("data", input));
  scope.builder.edge(first, main, place.pointer);
  return { first, main, raw: outputOf(first.id) };
}

/** The rest of a state that works: its result into the document, on to the next, and failures. */
export function endWork(place: Place, { main, raw }: Started, result: Root): void {
  endSuccess(place, main, raw, result, {});
  const catchers = readCatch(place.state, place.pointer, place.scope.context);
  for (const [i, catcher] of catchers.entries()) {
    catchFailure(place, catcher, i, { from: main, raw, on: "error" });
  }
}

/** The result into the document, and on to the next. */
export function endSuccess(
  place: Place,
  from: Handle,
  raw: string,
  result: Root,
  more: EdgeMore,
): void {
  const { flow, scope, id, pointer } = place;
  const output = flow.output(raw, result);
  if (output === "data") return goOn(place, from, more);
  const config = { expression: output };
  const last = addNode(place, `${id}_out`, () => ({ type: "transform", config }));
  scope.builder.edge(from, last, pointer, more);
  goOn(place, last);
}

/** The way of an error that a catcher takes: its document, and on to the catcher's state. */
export function catchFailure(
  place: Place,
  { pointer, next, resultPath, condition }: Catcher,
  index: number,
  { from, raw, on }: { from: Handle; raw: string; on?: "error" },
): void {
  const { flow, scope, id, ways } = place;
  const at = joinPointer(pointer, "ResultPath");
  const { cel } = flow.put(resultPath, at, raw, { cel: ERROR_OUTPUT });
  const name = `${id}_catch${index === 0 ? "" : index + 1}`;
  const caught = addNode(place, name, () => ({ type: "transform", config: { expression: cel } }));
  scope.builder.edge(from, caught, pointer, {
    ...(on === undefined ? {} : { on }),
    ...(condition === undefined ? {} : { condition }),
  });
  ways.goTo(caught, next, joinPointer(pointer, "Next"));
}

/** Whether something after the work reads the state's own input. */
export function keepsInput({ state, flow }: Place): boolean {
  if (flow.keepsInput()) return true;
  const list = own(state, "Catch");
  const paths = (Array.isArray(list) ? list : []).map((entry) =>
    own(asObject(entry) ?? {}, "ResultPath"),
  );
  return paths.some((path) => path !== undefined && path !== "$");
}

/** `retry` and `timeout_ms` of the node that works. */
export function policies(place: Place): JsonObject {
  const { state, pointer, scope } = place;
  const { context } = scope;
  const more: JsonObject = {};
  const retry = readRetry(state, pointer, context);
  if (retry) context.draft.set(more, "retry", retry, joinPointer(pointer, "Retry"));
  const timeout = own(state, "TimeoutSeconds");
  if (timeout !== undefined) {
    const at = joinPointer(pointer, "TimeoutSeconds");
    if (typeof timeout === "number" && timeout > 0) {
      context.draft.set(more, "timeout_ms", Math.round(timeout * 1000), at);
    } else {
      reportAt(context, "GV1013", at, "`TimeoutSeconds` must be a number of seconds above 0");
    }
  }
  return more;
}
