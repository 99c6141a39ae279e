/**
 * The older graph form: nodes with `dependencies` and `dependents` instead of edges, loops and
 * branches with `enabled`, conditions as `{type, expression}`, config by `config_ref`.
 *
 * An edge may be said at both of its ends, and as an edge; once is enough.
 */
import { asObject, own } from "../document.ts";
import type { JsonObject } from "../document.ts";
import type { Json } from "../ir.ts";
import { joinPointer } from "../source-map.ts";
import { valueAt } from "./draft.ts";
import { copyKeys, readList, reportAt } from "./front-end.ts";
import type { FrontContext, FrontEnd } from "./front-end.ts";
import { applyType, readCommon, reportTriggers } from "./steps.ts";

const HANDLED = ["dependencies", "dependents", "depends_on", "config_ref", "timeout", "retries"];
const LINKS = ["dependencies", "depends_on", "dependents"] as const;

export const readGraph: FrontEnd = (root, context) => {
  const document = copyKeys(root, ["triggers", "configs"]);
  reportTriggers(root, context);
  const used = new Set<string>();
  const list = readList(root, "nodes", context);
  const nodes = list.map(({ item, pointer }) => readNode(root, item, pointer, used, context));
  const drawn = own(root, "edges");
  const edges = [...(Array.isArray(drawn) ? drawn : [])];
  if (Array.isArray(drawn)) edges.forEach((_, i) => context.draft.key(edges, i, `/edges/${i}`));
  addLinks(list, edges, context);
  reportUnused(root, used, context);
  context.draft.at(document, "");
  context.draft.set(document, "nodes", nodes, "/nodes");
  if (drawn === undefined || Array.isArray(drawn)) {
    context.draft.set(document, "edges", edges, drawn === undefined ? "/nodes" : "/edges");
  }
  return document;
};

function addLinks(
  list: readonly { item: JsonObject; pointer: string }[],
  edges: Json[],
  context: FrontContext,
): void {
  const seen = new Set<string>();
  for (const edge of edges) {
    const { from, to } = asObject(edge) ?? {};
    seen.add(JSON.stringify([from, to]));
  }
  for (const { item, pointer } of list) {
    const id = own(item, "id");
    for (const key of LINKS) {
      for (const { other, at } of linksOf(item, key, pointer, context)) {
        if (typeof id !== "string") continue;
        const edge = key === "dependents" ? { from: id, to: other } : { from: other, to: id };
        const name = JSON.stringify([edge.from, edge.to]);
        if (seen.has(name)) continue;
        seen.add(name);
        context.draft.key(edge, key === "dependents" ? "to" : "from", at);
        edges.push(context.draft.at(edge, at));
      }
    }
  }
}

function linksOf(
  item: JsonObject,
  key: string,
  pointer: string,
  context: FrontContext,
): { other: string; at: string }[] {
  const value = own(item, key);
  if (value === undefined || value === null) return [];
  const base = joinPointer(pointer, key);
  if (!Array.isArray(value) || value.some((id) => typeof id !== "string")) {
    reportAt(context, "GV1013", base, `\`${key}\` must be a list of node ids`);
    return [];
  }
  return value.map((other, i) => ({ other: String(other), at: joinPointer(base, i) }));
}

function readNode(
  root: JsonObject,
  item: JsonObject,
  pointer: string,
  used: Set<string>,
  context: FrontContext,
): JsonObject {
  const node = context.draft.at(copyKeys(item, HANDLED), pointer);
  readCommon(item, node, pointer, context);
  readConfigRef(root, item, node, pointer, used, context);
  applyType(item, node, pointer, context);
  for (const key of ["loop", "branch"] as const) readSwitched(item, node, key, pointer, context);
  return node;
}

/** `config_ref`: the name of an entry of `configs`; keys of the node's own config come first. */
function readConfigRef(
  root: JsonObject,
  item: JsonObject,
  node: JsonObject,
  pointer: string,
  used: Set<string>,
  context: FrontContext,
): void {
  const ref = own(item, "config_ref");
  if (ref === undefined || ref === null) return;
  const at = `${pointer}/config_ref`;
  const place = typeof ref !== "string" ? "" : pointerOf(ref);
  const found = asObject(valueAt(root, place));
  if (place === "" || !found) {
    const known = Object.keys(asObject(own(root, "configs")) ?? {});
    const message = `config_ref ${JSON.stringify(ref)} names no object under \`configs\``;
    const meant = typeof ref === "string" ? { meant: { name: ref, known } } : {};
    return context.reporter.report({ code: "GV5003", pointer: at, message, ...meant });
  }
  used.add(place);
  const own_ = asObject(own(item, "config")) ?? {};
  const config: JsonObject = {};
  for (const [key, value] of Object.entries(found)) {
    context.draft.set(config, key, value, joinPointer(place, key));
  }
  for (const [key, value] of Object.entries(own_)) {
    context.draft.set(config, key, value, joinPointer(pointer, "config", key));
  }
  context.draft.set(node, "config", config, place);
}

function pointerOf(ref: string): string {
  if (ref.startsWith("#/")) return ref.slice(1);
  return joinPointer("", "configs", ref);
}

function reportUnused(root: JsonObject, used: ReadonlySet<string>, context: FrontContext): void {
  const configs = own(root, "configs");
  if (configs === undefined) return;
  for (const name of Object.keys(asObject(configs) ?? {})) {
    const pointer = joinPointer("", "configs", name);
    if (used.has(pointer)) continue;
    const message = `no node refers to the config \`${name}\`: it is left out`;
    context.reporter.report({ code: "GV5002", pointer, atKey: true, message });
  }
}

/** `loop` and `branch`: there only if not switched off, their conditions as plain text. */
function readSwitched(
  item: JsonObject,
  node: JsonObject,
  key: "loop" | "branch",
  pointer: string,
  context: FrontContext,
): void {
  const part = asObject(own(item, key));
  if (!part) return;
  const at = `${pointer}/${key}`;
  if (own(part, "enabled") === false) {
    delete node[key];
    return;
  }
  const plain = context.draft.at(copyKeys(part, ["enabled"]), at);
  readCondition(plain, at, context);
  const rules = own(plain, "rules");
  if (Array.isArray(rules)) {
    plain["rules"] = rules.map((entry, i) => {
      const rule = asObject(entry);
      if (!rule) return entry;
      const copy = context.draft.at({ ...rule }, `${at}/rules/${i}`);
      readCondition(copy, `${at}/rules/${i}`, context);
      return copy;
    });
  }
  node[key] = plain;
}

/** `{type: "cel", expression}` as the expression. */
function readCondition(part: JsonObject, pointer: string, context: FrontContext): void {
  const condition = asObject(own(part, "condition"));
  if (!condition) return;
  const at = `${pointer}/condition`;
  const type = own(condition, "type") ?? "cel";
  const expression = own(condition, "expression");
  if (type !== "cel" && type !== "jsonpath" && type !== "javascript") {
    const message = `a condition of type ${JSON.stringify(type)} is not supported`;
    reportAt(context, "GV5001", `${at}/type`, message, 'write it in CEL, with "type": "cel"');
  }
  if (typeof expression !== "string" && typeof expression !== "boolean") {
    const message = "`expression` of a condition must be a CEL expression";
    reportAt(context, "GV1013", expression === undefined ? at : `${at}/expression`, message);
    delete part["condition"];
    return;
  }
  context.draft.set(part, "condition", expression, `${at}/expression`);
}
