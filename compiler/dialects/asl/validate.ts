/** What is wrong with a machine and its states before anything is made of them. */
import { asObject, own } from "../../document.ts";
import type { JsonObject } from "../../document.ts";
import { joinPointer } from "../../source-map.ts";
import { reportAt } from "../front-end.ts";
import type { FrontContext } from "../front-end.ts";
import { STATE_FIELDS } from "./fields.ts";
import type { Field, StateType } from "./fields.ts";
import type { MachineScope, StateSource } from "./scope.ts";
import { readTargets } from "./targets.ts";

/** The states that can be made something of, by name; everything else is reported. */
export function checkMachine(
  source: JsonObject,
  pointer: string,
  scope: MachineScope,
): Map<string, StateSource> {
  const { context } = scope;
  const states = new Map<string, StateSource>();
  for (const [name, entry] of Object.entries(asObject(own(source, "States")) ?? {})) {
    const at = joinPointer(pointer, "States", name);
    const state = asObject(entry);
    const type = state && readType(state, at, context);
    if (!state || !type) continue;
    checkFields(state, STATE_FIELDS[type], at, `a ${type} state`, context);
    checkNext(state, type, at, context);
    states.set(name, { name, id: "", type, state, pointer: at });
  }
  // Names that differ only in what ids cannot have are told apart in an order of their own.
  for (const name of [...states.keys()].toSorted()) {
    const found = states.get(name);
    if (found) found.id = scope.ids.take(name);
  }
  checkTargets(source, pointer, states, scope);
  return states;
}

function readType(
  state: JsonObject,
  pointer: string,
  context: FrontContext,
): StateType | undefined {
  const type = own(state, "Type");
  const known = Object.keys(STATE_FIELDS) as StateType[];
  const found = known.find((name) => name === type);
  if (found) return found;
  if (typeof type !== "string") {
    reportAt(context, "GV1012", pointer, "`Type` is missing");
    return undefined;
  }
  const message = `unknown type of state \`${type}\``;
  const meant = { name: type, known };
  context.reporter.report({
    code: "GV4001",
    pointer: joinPointer(pointer, "Type"),
    message,
    meant,
  });
  return undefined;
}

/** Fields that are unknown, refused or without an equal. */
export function checkFields(
  object: JsonObject,
  fields: Readonly<Record<string, Field>>,
  pointer: string,
  what: string,
  context: FrontContext,
): void {
  for (const key of Object.keys(object)) {
    const at = joinPointer(pointer, key);
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (!field) {
      const message = `unknown field \`${key}\` of ${what}`;
      const meant = { name: key, known: Object.keys(fields) };
      context.reporter.report({ code: "GV1011", pointer: at, atKey: true, message, meant });
    } else if (key === "QueryLanguage") {
      if (own(object, key) === "JSONPath") continue;
      const message = `\`QueryLanguage\` ${JSON.stringify(own(object, key))} is not supported`;
      reportAt(context, "GV5001", at, message, "write it with JSONPath");
    } else if (field.support !== "yes") {
      const isLost = field.support === "lost";
      const verb = isLost ? "has no equal here: it is left out" : "is not supported";
      context.reporter.report({
        ...{ code: isLost ? "GV5002" : "GV5001", pointer: at, atKey: true },
        ...{ message: `\`${key}\` of ${what} ${verb}`, hint: field.how },
      });
    }
  }
}

function checkNext(
  state: JsonObject,
  type: StateType,
  pointer: string,
  context: FrontContext,
): void {
  if (type === "Choice" || type === "Succeed" || type === "Fail") return;
  const hasNext = typeof own(state, "Next") === "string";
  const isEnd = own(state, "End") === true;
  if (hasNext !== isEnd) return;
  const message = hasNext
    ? "a state has either `Next` or `End`, not both"
    : "`Next` is missing: say which state is next, or `End`: true";
  reportAt(context, hasNext ? "GV1016" : "GV1012", pointer, message);
}

function checkTargets(
  source: JsonObject,
  pointer: string,
  states: ReadonlyMap<string, StateSource>,
  scope: MachineScope,
): void {
  const { context } = scope;
  const names = new Set(Object.keys(asObject(own(source, "States")) ?? {}));
  const start = own(source, "StartAt");
  const report = (target: string, at: string): void => {
    const message = `there is no state \`${target}\``;
    if (pointer !== "" && scope.outer.has(target)) {
      const inside = `\`${target}\` is outside this machine: nothing leads out of it`;
      return reportAt(context, "GV2001", at, inside, 'end here with "End": true');
    }
    const meant = { name: target, known: names };
    context.reporter.report({ code: "GV2001", pointer: at, message, meant });
  };
  if (typeof start !== "string") {
    return reportAt(context, "GV1012", pointer, "`StartAt` is missing: it names the first state");
  }
  if (!names.has(start)) return report(start, joinPointer(pointer, "StartAt"));
  const reached = new Set([start]);
  const open = [start];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const found = states.get(name);
    for (const { target } of found ? readTargets(found.state, found.pointer) : []) {
      if (reached.has(target)) continue;
      reached.add(target);
      open.push(target);
    }
  }
  for (const { name, state, pointer: at } of states.values()) {
    for (const { target, pointer: place } of readTargets(state, at)) {
      if (!names.has(target)) report(target, place);
    }
    if (reached.has(name)) continue;
    const message = `\`${name}\` cannot be reached: no state leads to it from \`${start}\``;
    reportAt(context, "GV2005", at, message);
  }
}
