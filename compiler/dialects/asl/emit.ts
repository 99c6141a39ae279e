/** Each type of state as native nodes. */
import { own } from "../../document.ts";
import type { JsonObject } from "../../document.ts";
import type { Json } from "../../ir.ts";
import { asObject } from "../../document.ts";
import { joinPointer } from "../../source-map.ts";
import { describeValue } from "../../schema-check.ts";
import { reportAt } from "../front-end.ts";
import { inputConfig } from "./builder.ts";
import type { Handle } from "./builder.ts";
import { literal, literalText, outputOf, template } from "./cel.ts";
import { choiceToCel } from "./choice.ts";
import { DataFlow } from "./data-flow.ts";
import { emitMap, emitParallel } from "./nested.ts";
import type { Complain } from "./payload.ts";
import { readResource } from "./resources.ts";
import { END } from "./scope.ts";
import type { MachineScope, Place, StateSource, Ways } from "./scope.ts";
import { addNode, endWork, goOn, keepsInput, policies, startWork } from "./work.ts";

/** Emit a state; gives the node that the state begins with. */
export function emitState(source: StateSource, scope: MachineScope, ways: Ways): Handle {
  const { context, isInMap } = scope;
  const complain: Complain = (pointer, message) =>
    reportAt(context, "GV5001", pointer, message, "docs/dialects.md shows what can be said");
  const context_ = { state: source.name, isInMap };
  const flow = new DataFlow(source.state, source.pointer, context_, complain);
  const place: Place = { ...source, scope, ways, flow, complain };
  switch (source.type) {
    case "Task":
      return emitTask(place);
    case "Pass":
      return emitPass(place);
    case "Choice":
      return emitChoice(place);
    case "Wait":
      return emitWait(place);
    case "Succeed":
      return emitSucceed(place);
    case "Fail":
      return emitFail(place);
    case "Parallel":
      return emitParallel(place);
    case "Map":
      return emitMap(place);
  }
}

function emitTask(place: Place): Handle {
  const { state, pointer, flow, scope, complain } = place;
  const work = readResource({ state, pointer, flow, context: scope.context, complain });
  const more = policies(place);
  const { draft } = scope.context;
  const started = startWork(place, keepsInput(place), (raw) => {
    const config = draft.at(work.config(raw), pointer);
    draft.key(config, "function_name", joinPointer(pointer, "Resource"));
    draft.key(config, "input", joinPointer(pointer, "Parameters"));
    const node: JsonObject = { type: work.type, config, ...more };
    for (const [key, from] of [
      ["retry", "Retry"],
      ["timeout_ms", "TimeoutSeconds"],
    ] as const) {
      if (key in more) draft.key(node, key, joinPointer(pointer, from));
    }
    return node;
  });
  endWork(place, started, work.result);
  return started.first;
}

function emitPass(place: Place): Handle {
  const { state, flow, id } = place;
  const node = addNode(place, id, (input) => {
    const result = own(state, "Result");
    const isPlain = !flow.keepsInput() && own(state, "OutputPath") === undefined;
    if (isPlain && result !== undefined) return transform(asExpression(result));
    if (isPlain && own(state, "Parameters") !== undefined) {
      return transform(flow.payload(input, "Parameters") ?? null);
    }
    const cel = result === undefined ? flow.payloadCel(input, "Parameters") : literal(result);
    const output = flow.output(input, { cel });
    return output === input ? { type: "pass", ...inputConfig(input) } : transform(output);
  });
  goOn(place, node);
  return node;
}

function transform(expression: Json): JsonObject {
  return { type: "transform", config: { expression } };
}

/** A value as a transform's expression: templates for what has parts, CEL for the rest. */
function asExpression(value: Json): Json {
  if (typeof value !== "object" || value === null) return literal(value);
  const plain = (part: Json): Json => {
    if (typeof part === "string") return literalText(part);
    if (Array.isArray(part)) return part.map(plain);
    const object = asObject(part);
    if (!object) return part;
    return Object.fromEntries(Object.entries(object).map(([key, item]) => [key, plain(item)]));
  };
  return plain(value);
}

function emitChoice(place: Place): Handle {
  const { state, pointer, flow, scope, id, ways } = place;
  const { context } = scope;
  const hasOutputPath = own(state, "OutputPath") !== undefined;
  // The rules see the input as it is before OutputPath.
  const kept = hasOutputPath ? scope.ids.take(`${id}_in`) : undefined;
  const before =
    kept === undefined
      ? undefined
      : scope.builder.node(kept, pointer, (input) => ({
          type: "pass",
          ...inputConfig(flow.input(input)),
        }));
  const node = addNode(place, id, (input) => ({
    type: "conditional",
    ...inputConfig(before ? flow.outputPath("data") : flow.input(input)),
  }));
  if (before) scope.builder.edge(before, node, pointer);
  const root = { cel: kept === undefined ? "output" : outputOf(kept) };
  const choices = own(state, "Choices");
  if (!Array.isArray(choices) || choices.length === 0) {
    reportAt(context, "GV1012", pointer, "`Choices` is missing: a list of at least one rule");
  }
  for (const [i, entry] of (Array.isArray(choices) ? choices : []).entries()) {
    const at = joinPointer(pointer, "Choices", i);
    const rule = asObject(entry) ?? {};
    const next = own(rule, "Next");
    const condition = choiceToCel(rule, { root, place: flow.place }, at, place.complain);
    const comment = own(rule, "Comment");
    const description = typeof comment === "string" ? { description: comment } : {};
    if (typeof next === "string") ways.goTo(node, next, at, { condition, ...description });
    else reportAt(context, "GV1012", at, "`Next` is missing: a rule leads to a state");
  }
  const fallback = own(state, "Default");
  if (typeof fallback === "string") ways.goTo(node, fallback, joinPointer(pointer, "Default"));
  return before ?? node;
}

const WAITS = ["Seconds", "SecondsPath", "Timestamp", "TimestampPath"] as const;

function emitWait(place: Place): Handle {
  const { state, pointer, flow, scope, id } = place;
  const given = WAITS.filter((key) => own(state, key) !== undefined);
  const [key] = given;
  if (key === undefined || given.length > 1) {
    reportAt(scope.context, "GV1013", pointer, `a Wait has one of ${WAITS.join(", ")}`);
  }
  const node = addNode(place, id, (input) => {
    // The time is read of the node's own input, which InputPath has made.
    const more = inputConfig(flow.input(input)).config;
    return { type: "delay", config: { ...waitConfig(place, key), ...more } };
  });
  const output = flow.outputPath("data");
  let last = node;
  if (output !== "data") {
    last = addNode(place, `${id}_out`, () => transform(output));
    scope.builder.edge(node, last, pointer);
  }
  goOn(place, last);
  return node;
}

function waitConfig(place: Place, key: (typeof WAITS)[number] | undefined): JsonObject {
  const { state, flow, scope, pointer } = place;
  const value = key === undefined ? 0 : (own(state, key) ?? null);
  if (key === undefined) return { delay_ms: 0 };
  if (key === "SecondsPath") return { delay_ms: template(`${flow.field(key, "data")} * 1000`) };
  if (key === "TimestampPath") return { until: template(flow.field(key, "data")) };
  const isRight = key === "Seconds" ? typeof value === "number" : typeof value === "string";
  if (!isRight) {
    const message = `\`${key}\` is ${describeValue(value)}`;
    reportAt(scope.context, "GV1013", joinPointer(pointer, key), message);
  }
  const ours = key === "Seconds" ? "delay_ms" : "until";
  const config: JsonObject = {};
  const time = typeof value === "number" ? value * 1000 : value;
  scope.context.draft.set(config, ours, time, joinPointer(pointer, key));
  return config;
}

function emitSucceed(place: Place): Handle {
  const { flow, id, ways, pointer } = place;
  const node = addNode(place, id, (input) => ({
    type: "end",
    ...inputConfig(flow.outputPath(flow.input(input))),
  }));
  ways.goTo(node, END, pointer);
  return node;
}

function emitFail(place: Place): Handle {
  const { state, flow, id } = place;
  const text = (key: string): Json | undefined => {
    if (own(state, `${key}Path`) !== undefined) return template(flow.field(`${key}Path`, "data"));
    const value = own(state, key);
    return typeof value === "string" ? literalText(value) : undefined;
  };
  return addNode(place, id, (input) => {
    const [code, message] = [text("Error"), text("Cause")];
    const params = {
      ...(code === undefined ? {} : { code }),
      ...(message === undefined ? {} : { message }),
    };
    const config = { function_name: "builtin.fail", params, ...inputConfig(input).config };
    return { type: "function", config };
  });
}
