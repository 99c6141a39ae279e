/**
 * The flat form: `{name, steps: [{id, type, config}]}`, one step after the other.
 *
 * Each step leads to the next one, so `{{prev.output}}` is the step's own input; where the config
 * replaces that input it becomes a reference to the step before by its id.
 */
import { asObject, own } from "../document.ts";
import type { JsonObject } from "../document.ts";
import type { Json } from "../ir.ts";
import { resolveType, TYPE_NAMES } from "../kinds/types.ts";
import { joinPointer } from "../source-map.ts";
import { copyKeys, mapStrings, readDuration, readList, reportAt, reportLoss } from "./front-end.ts";
import type { FrontContext, FrontEnd } from "./front-end.ts";
import { DIALECT_TYPES, meaningOf } from "./types.ts";

const PREVIOUS = /\{\{\s*prev(?=\.output(?![A-Za-z0-9_-]))/g;

export const readSteps: FrontEnd = (root, context) => {
  const document = copyKeys(root, ["steps", "edges", "triggers", "inputs"]);
  reportTriggers(root, context);
  moveInputs(root, document, context);
  reportEdges(root, "a step leads to the next one", context);
  const steps = readList(root, "steps", context);
  const ids = steps.map(({ item }) => own(item, "id") ?? own(item, "name"));
  const nodes = steps.map(({ item, pointer }, i) =>
    readStep(item, pointer, i === 0 ? undefined : ids[i - 1], context),
  );
  const edges = ids.slice(1).flatMap((to, i): Json[] => {
    const from = ids[i];
    // Two of one name are reported as such, and not as an edge to itself as well.
    if (typeof from !== "string" || typeof to !== "string" || from === to) return [];
    return [context.draft.at({ from, to }, steps[i + 1]?.pointer ?? "")];
  });
  context.draft.at(document, "");
  context.draft.set(document, "nodes", nodes, "/steps");
  context.draft.set(document, "edges", edges, "/steps");
  return document;
};

/** Edges in a file whose form has no place for them: they are not left out in silence. */
export function reportEdges(root: JsonObject, why: string, context: FrontContext): void {
  if (own(root, "edges") === undefined) return;
  const message = `\`edges\` have no place in this form: ${why}`;
  const hint = "leave them out, or write a native file with `nodes` and `edges`";
  context.reporter.report({ code: "GV1011", pointer: "/edges", atKey: true, message, hint });
}

/** What starts a run is no part of a workflow here. */
export function reportTriggers(root: JsonObject, context: FrontContext): void {
  if (own(root, "triggers") === undefined) return;
  const message = "`triggers` have no equal in a workflow: they are left out";
  reportLoss(context, "/triggers", message, "start runs from outside, e.g. with `gavotte submit`");
}

/** A JSON Schema under `inputs` is the `input_schema`; anything else is left out. */
function moveInputs(root: JsonObject, document: JsonObject, context: FrontContext): void {
  const inputs = own(root, "inputs");
  if (inputs === undefined) return;
  const isSchema = asObject(inputs) && own(asObject(inputs) ?? {}, "type") === "object";
  if (isSchema && own(document, "input_schema") === undefined) {
    context.draft.set(document, "input_schema", inputs, "/inputs");
  } else {
    const message = "`inputs` has no equal unless it is a JSON Schema: it is left out";
    reportLoss(context, "/inputs", message, "describe the input by an `input_schema`");
  }
}

function readStep(
  step: JsonObject,
  pointer: string,
  before: Json | undefined,
  context: FrontContext,
): JsonObject {
  const { draft } = context;
  const node = draft.at(copyKeys(step, ["timeout", "retries", "name"]), pointer);
  const name = own(step, "name");
  if (own(step, "id") === undefined && name !== undefined) {
    draft.set(node, "id", name, `${pointer}/name`);
  } else if (name !== undefined && own(step, "description") === undefined) {
    draft.set(node, "description", name, `${pointer}/name`);
  }
  readCommon(step, node, pointer, context);
  applyType(step, node, pointer, context);
  const config = own(node, "config");
  if (config === undefined) return node;
  const isReplaced = own(asObject(config) ?? {}, "input") !== undefined;
  node["config"] = mapStrings(config, `${pointer}/config`, (text, at) => {
    if (text.search(PREVIOUS) < 0) return text;
    if (before === undefined) {
      const message = "`prev` is read in the first step: no step was before it";
      reportAt(context, "GV5003", at, message, "read the run's input with {{inputs.…}}");
    }
    const isOverride = at === `${pointer}/config/input`;
    const isKept = !isReplaced || isOverride || typeof before !== "string";
    return isKept ? text : text.replace(PREVIOUS, `{{${before}`);
  });
  return node;
}

/** `timeout: 60s` and `retries: 3`, which the flat form and the states form share. */
export function readCommon(
  from: JsonObject,
  node: JsonObject,
  pointer: string,
  context: FrontContext,
): void {
  const { draft } = context;
  const timeout = own(from, "timeout");
  if (timeout !== undefined) {
    const ms = readDuration(timeout, `${pointer}/timeout`, "timeout", context);
    if (ms !== undefined) draft.set(node, "timeout_ms", ms, `${pointer}/timeout`);
  }
  const retries = own(from, "retries");
  if (retries === undefined) return;
  const at = `${pointer}/retries`;
  const policy = asObject(retries);
  if (policy) {
    draft.set(node, "retry", policy, at);
  } else if (typeof retries === "number" && Number.isInteger(retries) && retries >= 0) {
    const retry = draft.at({ max_attempts: retries + 1 }, at);
    draft.key(retry, "max_attempts", at);
    draft.set(node, "retry", retry, at);
  } else {
    const message = "`retries` must be a number from 0 (attempts after the first) or a policy";
    reportAt(context, "GV1013", at, message);
  }
}

/** The native type, and the function that a type stands for. */
export function applyType(
  from: JsonObject,
  node: JsonObject,
  pointer: string,
  context: FrontContext,
): void {
  readBody(node, pointer, context);
  const given = own(from, "type");
  const meaning = meaningOf(given);
  if (!meaning) return reportType(given, pointer, context);
  context.draft.set(node, "type", meaning.type, `${pointer}/type`);
  if (meaning.function_name === undefined) return;
  const config = asObject(own(node, "config")) ?? {};
  if (own(config, "function_name") !== undefined) return;
  const named = context.draft.at(
    { function_name: meaning.function_name, ...config },
    `${pointer}/config`,
  );
  context.draft.key(named, "function_name", `${pointer}/type`);
  node["config"] = named;
}

/** A type that neither a native file nor a dialect knows. */
function reportType(type: Json | undefined, pointer: string, context: FrontContext): void {
  if (typeof type !== "string" || resolveType(type) !== undefined) return;
  const known = [...TYPE_NAMES, ...Object.keys(DIALECT_TYPES)];
  context.reporter.report({
    code: "GV4001",
    pointer: `${pointer}/type`,
    message: `unknown node type \`${type}\``,
    hint: `there is: ${known.join(", ")}`,
    meant: { name: type, known },
  });
}

/** The types inside `do` of a map: one node, or nodes and edges. */
function readBody(node: JsonObject, pointer: string, context: FrontContext): void {
  const config = asObject(own(node, "config"));
  const body = asObject(own(config ?? {}, "do"));
  if (!config || !body) return;
  const at = `${pointer}/config/do`;
  const change = (inner: JsonObject, place: string): JsonObject => {
    const copy = context.draft.at({ ...inner }, place);
    applyType(inner, copy, place, context);
    return copy;
  };
  const list = own(body, "nodes");
  const changed = Array.isArray(list)
    ? {
        ...body,
        nodes: list.map((entry, i) => {
          const inner = asObject(entry);
          return inner ? change(inner, joinPointer(at, "nodes", i)) : entry;
        }),
      }
    : change(body, at);
  const copy = context.draft.like({ ...config }, config);
  context.draft.set(copy, "do", context.draft.at(changed, at), at);
  node["config"] = copy;
}
