/**
 * States with machines inside them.
 *
 * A Parallel is a fan-out to its branches and a join. If its failure can be retried or caught, it
 * must fail as one: then it is the body of a map over one element. A Map is a map.
 */
import { asObject, own } from "../../document.ts";
import type { JsonObject } from "../../document.ts";
import type { Json } from "../../ir.ts";
import { joinPointer } from "../../source-map.ts";
import { reportAt } from "../front-end.ts";
import type { FrontContext } from "../front-end.ts";
import { GraphBuilder } from "./builder.ts";
import type { Handle } from "./builder.ts";
import { quote } from "./cel.ts";
import { readRetry } from "./failures.ts";
import { INNER_FIELDS } from "./fields.ts";
import { emitRetried } from "./retried.ts";
import { toTemplate } from "./payload.ts";
import type { MachineScope, Place } from "./scope.ts";
import { checkFields } from "./validate.ts";
import { endWork, keepsInput, startWork } from "./work.ts";

/** Emit a Parallel; gives its first node. */
export function emitParallel(place: Place): Handle {
  const { state, scope, flow, id, pointer } = place;
  const retry = readRetry(state, pointer, scope.context);
  const isOne = retry !== undefined || own(state, "Catch") !== undefined;
  if (!isOne) {
    const started = startWork(place, keepsInput(place), (raw) => {
      const input = flow.payload(raw, "Parameters");
      const own_ = input === undefined ? {} : { config: { input } };
      return { type: "parallel", ...own_ };
    });
    const join = emitBranches(place, scope, started.main, `${id}_join`);
    endWork(place, { ...started, main: join }, { cel: "data" });
    return started.first;
  }
  const builder = new GraphBuilder(scope.context.draft);
  const inside = { ...scope, builder };
  const fork = builder.node(scope.ids.take(`${id}_fork`), pointer, () => ({ type: "parallel" }));
  emitBranches(place, inside, fork, `${id}_join`);
  const body = builder.finish();
  const result = { cel: "data[0]" };
  const build = (raw: string): JsonObject => {
    const input = flow.payload(raw, "Parameters");
    const config = { items: "[data]", do: body, ...(input === undefined ? {} : { input }) };
    return { type: "map", config: config as JsonObject };
  };
  if (retry) return emitRetried(place, retry, result, build);
  const started = startWork(place, keepsInput(place), build);
  endWork(place, started, result);
  return started.first;
}

/** The branches behind `fork`, and the join that makes a list of their outputs. */
function emitBranches(place: Place, scope: MachineScope, fork: Handle, name: string): Handle {
  const { state, pointer, id } = place;
  const list = own(state, "Branches");
  const branches = Array.isArray(list) ? list : [];
  if (branches.length === 0) {
    reportAt(scope.context, "GV1012", pointer, "`Branches` is missing: a list of state machines");
  }
  const ends = branches.flatMap((branch, i): Handle[] => {
    const at = joinPointer(pointer, "Branches", i);
    const inner = innerMachine(branch, at, scope.context);
    if (!inner) return [];
    checkFields(inner, INNER_FIELDS, at, "a branch", scope.context);
    const exits = scope.emitInner(inner, at, scope, fork);
    return joinExits(exits, `${id}_end${i + 1}`, at, scope);
  });
  const join = scope.builder.node(scope.ids.take(name), pointer, () => ({
    type: "transform",
    config: {
      expression:
        ends.length === 1
          ? "[data]"
          : `[${ends.map((end) => `data[${quote(end.id)}]`).join(", ")}]`,
    },
  }));
  for (const end of ends) scope.builder.edge(end, join, pointer);
  return join;
}

/** One node at which a branch ends, whichever of its ends was reached. */
function joinExits(
  exits: readonly Handle[],
  name: string,
  pointer: string,
  { builder, ids, context }: MachineScope,
): Handle[] {
  const [only] = exits;
  if (only && exits.length === 1) return [only];
  if (!only) {
    // Where a part of the branch is wrong that has been told, and this only follows from it.
    const isTold = context.reporter.diagnostics.some(
      (told) => told.severity === "error" && `${told.pointer}/`.startsWith(`${pointer}/`),
    );
    if (!isTold) reportAt(context, "GV5001", pointer, "this branch cannot end but by failing");
    return [];
  }
  const end = builder.pass(ids.take(name), pointer);
  for (const exit of exits) builder.edge(exit, end, pointer);
  return [end];
}

/** Emit a Map; gives its first node. */
export function emitMap(place: Place): Handle {
  const { state, flow, scope, pointer } = place;
  const retry = readRetry(state, pointer, scope.context);
  const selector = own(state, "ItemSelector") !== undefined ? "ItemSelector" : "Parameters";
  const hasSelector = own(state, selector) !== undefined;
  let itemRoot = "";
  const build = (raw: string): JsonObject => {
    const input = flow.input(raw);
    if (retry) itemRoot = input;
    const items = flow.field("ItemsPath", "data");
    const config: JsonObject = {
      ...(items === "data" ? {} : { items }),
      do: emitBody(place, hasSelector ? selector : undefined, itemRoot),
      ...limits(place),
      ...(input === "data" ? {} : { input: `\${${input}}` }),
    };
    return { type: "map", config };
  };
  if (retry) return emitRetried(place, retry, { cel: "data" }, build);
  const started = startWork(place, hasSelector || keepsInput(place), build);
  itemRoot = flow.input(started.raw);
  endWork(place, started, { cel: "data" });
  return started.first;
}

function limits({ state, pointer, scope }: Place): JsonObject {
  const config: JsonObject = {};
  const pairs = [
    ["MaxConcurrency", "max_concurrency"],
    ["ToleratedFailureCount", "tolerated_failures"],
  ] as const;
  for (const [key, ours] of pairs) {
    const value = own(state, key);
    if (value === undefined || (key === "MaxConcurrency" && value === 0)) continue;
    const at = joinPointer(pointer, key);
    if (typeof value === "number" && Number.isInteger(value) && value >= 0) {
      scope.context.draft.set(config, ours, value, at);
    } else {
      reportAt(scope.context, "GV1013", at, `\`${key}\` must be an integer from 0`);
    }
  }
  return config;
}

function emitBody(place: Place, selector: string | undefined, root: string): Json {
  const { state, scope, pointer, id, flow, complain } = place;
  const { draft } = scope.context;
  const key = own(state, "ItemProcessor") !== undefined ? "ItemProcessor" : "Iterator";
  if (key === "ItemProcessor" && own(state, "Iterator") !== undefined) {
    const message = "`Iterator` is the older name of `ItemProcessor`: keep one of the two";
    const report = { pointer: joinPointer(pointer, "Iterator"), atKey: true, message };
    scope.context.reporter.report({ code: "GV1016", ...report });
  }
  const at = joinPointer(pointer, key);
  const inner = innerMachine(own(state, key), at, scope.context);
  if (!inner) return { type: "noop" };
  checkFields(inner, innerFields(inner), at, "an item processor", scope.context);
  const builder = new GraphBuilder(draft);
  const inside = { ...scope, builder, isInMap: true };
  let before: Handle | null = null;
  if (selector !== undefined) {
    const given = own(state, selector) ?? null;
    const item = { root: { cel: root }, place: { ...flow.place, isInMap: true } };
    const place_ = joinPointer(pointer, selector);
    before = builder.node(scope.ids.take(`${id}_item`), place_, () => ({
      type: "transform",
      config: { expression: toTemplate(given, item, place_, complain) },
    }));
  }
  scope.emitInner(inner, at, inside, before);
  return draft.at(builder.finish(), at);
}

/** An inline processor is what a map is here: nothing is lost. */
function innerFields(inner: JsonObject): typeof INNER_FIELDS {
  const config = own(inner, "ProcessorConfig");
  const mode = own((config ?? {}) as JsonObject, "Mode");
  if (mode !== undefined && mode !== "INLINE") return INNER_FIELDS;
  return { ...INNER_FIELDS, ProcessorConfig: { support: "yes", how: "" } };
}

/** The object under `key`, as a machine; reported if it is none. */
function innerMachine(
  value: unknown,
  pointer: string,
  context: FrontContext,
): JsonObject | undefined {
  const inner = asObject(value as JsonObject | undefined);
  if (inner && asObject(own(inner, "States"))) return inner;
  reportAt(context, "GV1013", pointer, "a state machine is expected, with StartAt and States");
  return undefined;
}
