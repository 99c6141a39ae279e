/**
 * Config of one node: checked against its kind, then brought to one form.
 *
 *   function, loop with a function   {function_name, params?, input?}: other keys are the params
 *   conditional                      `mode` and `on_no_match` become fields of the node
 *   loop                             keys of the loop leave the config
 *   map                              `do` becomes the node's body
 *   all                              older spellings of templates rewritten
 */
import { rewriteLegacy, scanTemplate } from "../condition/index.ts";
import type { Reporter } from "./diagnostics.ts";
import { asObject, own } from "./document.ts";
import type { JsonObject, NodeConfig } from "./document.ts";
import { EXPRESSION_FORM } from "./ir.ts";
import type { Json, NodeType } from "./ir.ts";
import { kindOf } from "./kinds/index.ts";
import type { Kind } from "./kinds/kind.ts";
import { LOOP_PROPERTIES } from "./kinds/loop-properties.ts";
import { checkSchema } from "./schema-check.ts";
import type { SchemaProblem } from "./schema-check.ts";
import { findUserSchemaProblem } from "./user-schema.ts";
import { configKeyHint, isNodeKey } from "./slips.ts";
import { joinPointer } from "./source-map.ts";
import { findMeant } from "./suggest.ts";

export interface ConfigOwner {
  id: string;
  type: NodeType | null;
  /** Of the node. */
  pointer: string;
  /** Conditional, or with a branch: reads `on_no_match`. */
  isSteering: boolean;
}

/** Check and normalise a config as the author wrote it. */
export function readConfig(config: JsonObject, owner: ConfigOwner, reporter: Reporter): NodeConfig {
  const base = `${owner.pointer}/config`;
  if (owner.type === null) return { value: config, locate: (pointer) => base + pointer };
  const kind = kindOf(owner.type);
  if (!kind.isSupported) {
    reporter.report({
      code: "GV4002",
      pointer: `${owner.pointer}/type`,
      message: `node type \`${kind.type}\` is not supported yet by this version`,
    });
    return { value: config, locate: (pointer) => base + pointer };
  }
  reportConfig(config, owner, kind, reporter);
  const { value, isMoved } = normalise(config, owner, kind);
  return {
    value,
    locate: (pointer) => base + (isMoved ? pointer.replace(/^\/params(?=\/)/, "") : pointer),
  };
}

function reportConfig(
  config: JsonObject,
  owner: ConfigOwner,
  kind: Kind,
  reporter: Reporter,
): void {
  const base = `${owner.pointer}/config`;
  const misfits = checkSchema(kind.schema, config);
  for (const { key, message } of misfits.length === 0 ? (kind.check?.(config) ?? []) : []) {
    const pointer = joinPointer(base, key);
    const whole = `${kind.type} \`${owner.id}\`: ${message}`;
    reporter.report({ code: "GV4003", pointer, message: whole });
  }
  for (const problem of misfits) {
    reporter.report({
      code: "GV4003",
      pointer: base + problem.pointer,
      message: `${kind.type} \`${owner.id}\`: ${problem.message.replace("the value", "config")}`,
      ...(problem.meant && { meant: problem.meant }),
      ...(problem.hint !== undefined && { hint: problem.hint }),
      ...remedyOf(problem, config),
    });
  }
  for (const key of kind.schemas ?? []) reportUserSchema(config, key, owner, reporter);
  const isParams = takesParams(config, kind) && own(config, "params") === undefined;
  const known = Object.keys(kind.schema.properties);
  for (const key of Object.keys(config)) {
    if (known.includes(key) || (owner.isSteering && key === "on_no_match")) continue;
    const place = { pointer: joinPointer(base, key), atKey: true };
    if (!isParams) {
      const message = `unknown key \`${key}\` in the config of ${kind.type} \`${owner.id}\``;
      const hint = configKeyHint(key);
      reporter.report({ code: "GV4004", ...place, message, meant: { name: key, known }, hint });
    } else if (isNodeKey(key)) {
      const message = `\`${key}\` in the config of \`${owner.id}\` is a parameter of its function`;
      reporter.report({ code: "GV4010", ...place, message });
    }
  }
}

/** For a key that is missing: one that was probably meant to be it, or the advice to add it. */
function remedyOf(
  { kind, missing, pointer }: SchemaProblem,
  config: JsonObject,
): { hint?: string } {
  if (kind !== "missing" || missing === undefined || pointer !== "") return {};
  const meant = Object.keys(config).find((key) => findMeant(key, [missing]) === missing);
  if (meant === undefined) return { hint: `add \`${missing}\` to \`config\`` };
  return { hint: `rename \`${meant}\` to \`${missing}\`` };
}

/** A JSON Schema in a config must be one: its data come when nobody can correct it any more. */
function reportUserSchema(
  config: JsonObject,
  key: string,
  owner: ConfigOwner,
  reporter: Reporter,
): void {
  const schema = own(config, key);
  if (typeof schema !== "boolean" && !asObject(schema)) return;
  const problem = findUserSchemaProblem(schema as Json);
  if (!problem) return;
  reporter.report({
    code: "GV4003",
    pointer: `${owner.pointer}/config/${key}${problem.pointer}`,
    message: `${owner.type} \`${owner.id}\`: \`${key}\` ${problem.message}`,
  });
}

/** Whether the config names a function, so that keys of its own are parameters. */
function takesParams(config: JsonObject, kind: Kind): boolean {
  const isCall = kind.type === "loop" && own(config, "function_name") !== undefined;
  return kind.type === "function" || isCall;
}

/** A template that may be nothing but one expression. */
const SINGLE = /^\s*\$\{([^]*)\}\s*$/;

function normalise(
  config: JsonObject,
  owner: ConfigOwner,
  kind: Kind,
): { value: JsonObject; isMoved: boolean } {
  const reserved = new Set(owner.isSteering ? ["mode", "on_no_match"] : []);
  if (kind.type !== "conditional") reserved.delete("mode");
  if (kind.type === "loop") for (const key of Object.keys(LOOP_PROPERTIES)) reserved.add(key);
  if (kind.type === "map") reserved.add("do");
  const kept = Object.entries(config).filter(([key]) => !reserved.has(key));
  const isMoved = takesParams(config, kind) && own(config, "params") === undefined;
  const value: JsonObject = {};
  const params: JsonObject = {};
  for (const [key, part] of kept) {
    const isOwn = key === "function_name" || key === "input";
    const isExpression = kind.expressions.includes(key) && typeof part === "string";
    const isLiteral = kind.literals?.includes(key) === true;
    const filled = isLiteral ? part : rewriteTemplates(part);
    const isTemplate = isExpression && kind.type === "transform" && isTextWithParts(filled);
    const rewritten = isExpression && !isTemplate ? readExpression(part) : filled;
    // Said only where the text alone does not: the worker never has to guess.
    const isAmbiguous = kind.type === "transform" && isExpression && includesMark(rewritten);
    if (isAmbiguous) value[EXPRESSION_FORM] = isTemplate ? "template" : "cel";
    setKey(isMoved && !isOwn ? params : value, key, rewritten);
  }
  if (isMoved && Object.keys(params).length > 0) value["params"] = params;
  return { value, isMoved };
}

/**
 * Whether a string is text with `${…}` in it, and not one expression: those are templates. A `${` that
 * is never closed is none, it stands in a string of CEL.
 */
function isTextWithParts(text: Json): boolean {
  if (typeof text !== "string" || !includesMark(text) || isSingle(text)) return false;
  return scanTemplate(text).every(({ kind }) => kind !== "unclosed");
}

function includesMark(text: Json): boolean {
  return typeof text === "string" && text.includes("${");
}

function isSingle(text: string): boolean {
  const inner = SINGLE.exec(text)?.[1];
  return inner !== undefined && !inner.includes("${");
}

/** Bare CEL; a template that is nothing but one expression means the same. */
function readExpression(text: string): string {
  const rewritten = rewriteLegacy(text, "template");
  const inner = SINGLE.exec(rewritten)?.[1] ?? "";
  return rewriteLegacy(isSingle(rewritten) ? inner.trim() : text, "condition");
}

/** Older spellings in the strings of a template, replaced. */
export function rewriteTemplates(value: Json): Json {
  if (typeof value === "string") {
    // Most strings are plain; only these three marks begin an older spelling.
    return /\{\{|\$nodes|\$\{/.test(value) ? rewriteLegacy(value, "template") : value;
  }
  if (Array.isArray(value)) return value.map(rewriteTemplates);
  const object = asObject(value);
  if (!object) return value;
  const result: JsonObject = {};
  for (const [key, part] of Object.entries(object)) setKey(result, key, rewriteTemplates(part));
  return result;
}

/** Set an own key whatever its name, `__proto__` too. */
function setKey(object: JsonObject, key: string, value: Json): void {
  Object.defineProperty(object, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}
