/**
 * YAML 1.2 (core schema) to JSON values with places.
 *
 * Only what JSON can say is let through: keys are scalars, numbers finite, no tags. Values are made
 * here and not by the library's own conversion, so that aliases are paid for: each one copies what
 * it stands for, and a file of some lines can stand for gigabytes ("billion laughs").
 */
import { isAlias, isMap, isScalar, isSeq, parseDocument } from "yaml";
import type { Document, Node, Scalar } from "yaml";
import { SyntaxProblem } from "./json-source.ts";
import type { DuplicateKey } from "./json-source.ts";
import { joinPointer } from "./source-map.ts";
import type { PlacedNode } from "./source-map.ts";
import type { Json } from "./ir.ts";

/** Values that aliases may add to a document. */
export const ALIAS_VALUES_MAX = 10_000;

export interface YamlProblem {
  code: "GV1003" | "GV1004" | "GV1007" | "GV1009" | "GV1010";
  message: string;
  offset: number;
  pointer: string;
  hint?: string;
}

export interface ReadYaml {
  value: Json;
  root: PlacedNode | undefined;
  duplicates: DuplicateKey[];
  problems: YamlProblem[];
}

/** Read a YAML text. Problems come back as a list; `value` is of use only if there are none. */
export function readYaml(text: string, depthMax: number): ReadYaml {
  let document: Document.Parsed;
  try {
    document = parseDocument(text, { prettyErrors: false, schema: "core", version: "1.2" });
  } catch (error) {
    // The library's parser is recursive: very deep nesting ends it before our own check.
    if (!(error instanceof RangeError)) throw error;
    throw new SyntaxProblem(`nested deeper than ${depthMax} levels`, 0, undefined, true);
  }
  const converter = new Converter(document, depthMax);
  const problems: YamlProblem[] = [...document.errors, ...document.warnings].map((e) => ({
    code: e.code === "DUPLICATE_KEY" ? "GV1004" : "GV1003",
    message: readableMessage(e.code, e.message),
    offset: e.pos[0],
    pointer: "",
  }));
  if (document.errors.length > 0) return { value: null, root: undefined, duplicates: [], problems };
  const value = document.contents ? converter.convert(document.contents, "", 0, false) : null;
  const root = document.contents ? placed(document.contents, document, text) : undefined;
  return { value, root, duplicates: [], problems: [...problems, ...converter.problems] };
}

function readableMessage(code: string, message: string): string {
  if (code === "MULTIPLE_DOCS") return "the file holds several YAML documents, one is expected";
  if (code === "DUPLICATE_KEY") return "a key occurs twice";
  if (code === "TAB_AS_INDENT") return "tabs cannot indent YAML";
  return message.charAt(0).toLowerCase() + message.slice(1);
}

class Converter {
  readonly problems: YamlProblem[] = [];
  readonly #document: Document.Parsed;
  readonly #depthMax: number;
  readonly #open = new Set<unknown>();
  #aliased = 0;

  constructor(document: Document.Parsed, depthMax: number) {
    this.#document = document;
    this.#depthMax = depthMax;
  }

  convert(node: unknown, pointer: string, depth: number, isAliased: boolean): Json {
    if (this.#aliased > ALIAS_VALUES_MAX) return null;
    if (isAliased && ++this.#aliased > ALIAS_VALUES_MAX) {
      const message = `aliases stand for more than ${ALIAS_VALUES_MAX} values`;
      return this.#problem("GV1009", message, node, pointer);
    }
    if (node === null || node === undefined) return null;
    if (isAlias(node)) return this.#alias(node, pointer, depth);
    if (isScalar(node)) return this.#scalar(node, pointer);
    if (depth >= this.#depthMax) {
      return this.#problem("GV1007", `nested deeper than ${this.#depthMax} levels`, node, pointer);
    }
    this.#open.add(node);
    const value = this.#collection(node, pointer, depth, isAliased);
    this.#open.delete(node);
    return value;
  }

  #alias(node: Node & { source: string }, pointer: string, depth: number): Json {
    const target = isAlias(node) ? node.resolve(this.#document) : undefined;
    if (!target) {
      return this.#problem("GV1009", `\`*${node.source}\` is not defined before`, node, pointer);
    }
    if (this.#open.has(target)) {
      const message = `\`*${node.source}\` stands inside the value that it names`;
      return this.#problem("GV1009", message, node, pointer);
    }
    return this.convert(target, pointer, depth, true);
  }

  #collection(node: unknown, pointer: string, depth: number, isAliased: boolean): Json {
    if (isSeq(node)) {
      return node.items.map((item, i) =>
        this.convert(item, joinPointer(pointer, i), depth + 1, isAliased),
      );
    }
    const object: { [key: string]: Json } = {};
    if (!isMap(node)) return object;
    for (const pair of node.items) {
      const key = keyText(pair.key);
      if (key === undefined) {
        this.#problem("GV1010", "a key must be a string", pair.key ?? node, pointer);
        continue;
      }
      const value = this.convert(pair.value, joinPointer(pointer, key), depth + 1, isAliased);
      // A key such as `__proto__` is data and must not reach a setter.
      Object.defineProperty(object, key, {
        value,
        enumerable: true,
        writable: true,
        configurable: true,
      });
    }
    return object;
  }

  #scalar(node: Scalar, pointer: string): Json {
    const { value } = node;
    if (value === null || typeof value === "string" || typeof value === "boolean") return value;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    const shown = typeof value === "number" ? String(value) : "a value with this tag";
    return this.#problem("GV1010", `${shown} has no form in JSON`, node, pointer);
  }

  #problem(code: YamlProblem["code"], message: string, node: unknown, pointer: string): null {
    this.problems.push({ code, message, offset: startOf(node), pointer });
    return null;
  }
}

function keyText(key: unknown): string | undefined {
  if (!isScalar(key) || key.value === null) return undefined;
  return typeof key.value === "string" ? key.value : String(key.source ?? key.value);
}

function startOf(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}

function placed(node: unknown, document: Document.Parsed, text: string): PlacedNode {
  const start = startOf(node);
  if (isScalar(node)) {
    return { start, textStart: textStart(node, text), child: () => undefined };
  }
  return {
    start,
    child(key) {
      const target = isAlias(node) ? node.resolve(document) : node;
      if (isSeq(target)) {
        const item: unknown = /^\d+$/.test(key) ? target.items[Number(key)] : undefined;
        return item ? { key: startOf(item), node: placed(item, document, text) } : undefined;
      }
      if (!isMap(target)) return undefined;
      const pair = target.items.find((candidate) => keyText(candidate.key) === key);
      if (!pair) return undefined;
      const keyAt = startOf(pair.key);
      const value = pair.value ? placed(pair.value, document, text) : undefined;
      return { key: keyAt, node: value ?? { start: keyAt, child: () => undefined } };
    },
  };
}

/** Where the string's characters begin, if the text spells them exactly as they are. */
function textStart(node: Scalar, text: string): number | undefined {
  if (typeof node.value !== "string") return undefined;
  const start = startOf(node);
  const first = text[start] === '"' || text[start] === "'" ? start + 1 : start;
  return text.startsWith(node.value, first) ? first : undefined;
}
