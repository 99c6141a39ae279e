/**
 * YAML 1.2 (core schema) to JSON values with places.
 *
 * Only what JSON can say is let through: keys are scalars, numbers finite, no tags. Values are made
 * here and not by the library's own conversion, so that aliases are paid for: each one copies what
 * it stands for, and a file of some lines can stand for gigabytes ("billion laughs"). For the same
 * reason anchors and duplicate keys are looked up here: the library compares each key with all
 * before it, and searches the whole document for each alias.
 */
import type { Alias, Document, Node, Pair, Scalar, YAMLMap } from "yaml";
import { SyntaxProblem } from "./json-source.ts";
import { joinPointer } from "./source-map.ts";
import type { PlacedNode } from "./source-map.ts";
import type { Json } from "./ir.ts";
import { findExcess } from "./yaml-depth.ts";
import { yamlLibrary } from "./yaml-library.ts";
import { readableProblems } from "./yaml-mistakes.ts";
import { scalarTextAt } from "./yaml-text.ts";

/** Values that aliases may add to a document. */
export const ALIAS_VALUES_MAX = 10_000;

/** A text that is longer is looked into before it is read. */
const PROBED_FROM = 128 * 1024;
const PROBE_CHARS = 24 * 1024;
/** Mistakes so near to the end of what is looked into may come from its being cut off. */
const PROBE_MARGIN = 2 * 1024;
/** More than collections that can be open at the cut, each of which may look like a mistake. */
const PROBE_PROBLEMS_MAX = 100;

const TOO_MANY_ALIASED = `aliases stand for more than ${ALIAS_VALUES_MAX} values`;

export interface YamlProblem {
  code: "GV1003" | "GV1004" | "GV1007" | "GV1009" | "GV1010";
  message: string;
  offset: number;
  end: number;
  pointer: string;
  hint?: string;
}

export interface ReadYaml {
  value: Json;
  root: PlacedNode | undefined;
  problems: YamlProblem[];
}

const OPTIONS = {
  prettyErrors: false,
  schema: "core",
  version: "1.2",
  uniqueKeys: false,
} as const;

/** Read a YAML text. Problems come back as a list; `value` is of use only if there are none. */
export function readYaml(text: string, depthMax: number): ReadYaml {
  const excess = findExcess(text, depthMax, ALIAS_VALUES_MAX);
  if (excess?.what === "depth") {
    const message = `nested deeper than ${depthMax} levels`;
    throw new SyntaxProblem(message, excess.offset, { isDepth: true });
  }
  if (excess) {
    const { offset } = excess;
    const message = TOO_MANY_ALIASED;
    const problem = { code: "GV1009", message, offset, end: offset + 1, pointer: "" } as const;
    return { value: null, root: undefined, problems: [problem] };
  }
  if (text.length > PROBED_FROM) {
    const hopeless = probe(text, depthMax);
    if (hopeless) return hopeless;
  }
  const { isList: _, mistakes: __, ...read } = parse(text, depthMax);
  return read;
}

/**
 * The beginning of a large text, read by itself: undefined if the whole may be a workflow. The
 * library takes 10 microseconds for a mark and more for a mistake, seconds for a megabyte of them.
 * What is no workflow shows at once: it is full of mistakes, or it is a list.
 */
function probe(text: string, depthMax: number): ReadYaml | undefined {
  const cut = text.lastIndexOf("\n", PROBE_CHARS);
  const end = cut > 0 ? cut : PROBE_CHARS;
  const { isList, mistakes, ...read } = parse(text.slice(0, end), depthMax);
  if (isList) return { ...read, value: [], problems: [] };
  // What is open at the end of the part is no mistake, and may be told there or where it began.
  const isCertain = (offset: number): boolean => offset < end - PROBE_MARGIN;
  if (mistakes.filter(isCertain).length <= PROBE_PROBLEMS_MAX) return undefined;
  const problems = read.problems.filter(({ offset }) => isCertain(offset));
  return problems.length === 0 ? undefined : { ...read, problems };
}

/**
 * The text as it is; `isList`: its root is one, whatever else is wrong; `mistakes`: where the library
 * has found one, of which not each is told.
 */
function parse(text: string, depthMax: number): ReadYaml & { isList: boolean; mistakes: number[] } {
  let document: Document.Parsed;
  try {
    document = yamlLibrary().parseDocument(text, OPTIONS);
  } catch (error) {
    // The library's parser is recursive: very deep nesting ends it before our own check.
    if (!(error instanceof RangeError)) throw error;
    throw new SyntaxProblem(`nested deeper than ${depthMax} levels`, 0, { isDepth: true });
  }
  if (document.errors.some((e) => e.message.includes("call stack"))) {
    throw new SyntaxProblem(`nested deeper than ${depthMax} levels`, 0, { isDepth: true });
  }
  const converter = new Converter(depthMax);
  const found = [...document.errors, ...document.warnings];
  const problems = readableProblems(found, text);
  const mistakes = found.map(({ pos }) => pos[0]);
  const isList = yamlLibrary().isSeq(document.contents);
  const place = (targets: Converter["targets"]): YamlNode | undefined =>
    document.contents ? new YamlNode(document.contents, targets, text) : undefined;
  if (document.errors.length > 0) {
    return { value: null, root: isList ? place(new Map()) : undefined, problems, isList, mistakes };
  }
  const value = document.contents ? converter.convert(document.contents, "", 0, false) : null;
  const root = place(converter.targets);
  return { value, root, problems: [...problems, ...converter.problems], isList, mistakes };
}

class Converter {
  readonly problems: YamlProblem[] = [];
  /** What each alias stands for. */
  readonly targets = new Map<unknown, unknown>();
  readonly #anchors = new Map<string, unknown>();
  readonly #depthMax: number;
  readonly #open = new Set<unknown>();
  #aliased = 0;

  constructor(depthMax: number) {
    this.#depthMax = depthMax;
  }

  convert(node: unknown, pointer: string, depth: number, isAliased: boolean): Json {
    if (this.#aliased > ALIAS_VALUES_MAX) return null;
    if (isAliased && ++this.#aliased > ALIAS_VALUES_MAX) {
      return this.#problem("GV1009", TOO_MANY_ALIASED, node, pointer);
    }
    if (node === null || node === undefined) return null;
    if (yamlLibrary().isAlias(node)) return this.#alias(node, pointer, depth);
    // Behind an alias the nodes have been visited: an anchor counts where it stands.
    const { anchor } = node as { anchor?: string };
    if (anchor !== undefined && !isAliased) this.#anchors.set(anchor, node);
    if (yamlLibrary().isScalar(node)) return this.#scalar(node, pointer);
    if (depth >= this.#depthMax) {
      return this.#problem("GV1007", `nested deeper than ${this.#depthMax} levels`, node, pointer);
    }
    this.#open.add(node);
    const value = this.#collection(node, pointer, depth, isAliased);
    this.#open.delete(node);
    return value;
  }

  #alias(node: Alias, pointer: string, depth: number): Json {
    const target = this.targets.get(node) ?? this.#anchors.get(node.source);
    if (target === undefined) {
      return this.#problem("GV1009", `\`*${node.source}\` is not defined before`, node, pointer);
    }
    this.targets.set(node, target);
    if (this.#open.has(target)) {
      const message = `\`*${node.source}\` stands inside the value that it names`;
      return this.#problem("GV1009", message, node, pointer);
    }
    return this.convert(target, pointer, depth, true);
  }

  #collection(node: unknown, pointer: string, depth: number, isAliased: boolean): Json {
    if (yamlLibrary().isSeq(node)) {
      return node.items.map((item, i) =>
        this.convert(item, joinPointer(pointer, i), depth + 1, isAliased),
      );
    }
    const object: { [key: string]: Json } = {};
    if (!yamlLibrary().isMap(node)) return object;
    for (const pair of node.items) {
      const key = keyText(pair.key);
      if (key === undefined) {
        this.#problem("GV1010", "a key must be a string", pair.key ?? node, pointer);
        continue;
      }
      if (isMerge(pair)) {
        this.#problem("GV1009", "`<<` merges nothing here", pair.key, pointer, MERGE_HINT);
        continue;
      }
      if (Object.hasOwn(object, key)) {
        const message = `the key \`${key}\` occurs twice`;
        this.#problem("GV1004", message, pair.key, joinPointer(pointer, key));
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

  #problem(
    code: YamlProblem["code"],
    message: string,
    node: unknown,
    pointer: string,
    hint?: string,
  ): null {
    const { start, end } = rangeOf(node);
    const more = hint === undefined ? {} : { hint };
    this.problems.push({ code, message, offset: start, end, pointer, ...more });
    return null;
  }
}

const MERGE_HINT =
  "merge keys are no part of YAML 1.2; an alias copies a whole value: `retry: *often`";

/** A merge key as YAML 1.1 has it: unquoted, with something that could be merged. */
function isMerge({ key, value }: Pair): boolean {
  const { isAlias, isCollection, isScalar } = yamlLibrary();
  const isMark = isScalar(key) && key.value === "<<" && key.type === "PLAIN";
  return isMark && (isAlias(value) || isCollection(value));
}

function keyText(key: unknown): string | undefined {
  if (!yamlLibrary().isScalar(key) || key.value === null) return undefined;
  return typeof key.value === "string" ? key.value : String(key.source ?? key.value);
}

function rangeOf(node: unknown): { start: number; end: number } {
  const [start, end] = (node as Node | null)?.range ?? [0, 0];
  return { start, end };
}

/** A value of the YAML document as far as places are concerned; aliases are seen through. */
class YamlNode implements PlacedNode {
  readonly start: number;
  readonly end: number;
  readonly #node: unknown;
  readonly #targets: ReadonlyMap<unknown, unknown>;
  readonly #text: string;
  #pairs: Map<string, Pair> | undefined;
  readonly #children = new Map<string, { key: PlacedNode; node: PlacedNode }>();

  constructor(node: unknown, targets: ReadonlyMap<unknown, unknown>, text: string) {
    this.#node = yamlLibrary().isAlias(node) ? targets.get(node) : node;
    this.#targets = targets;
    this.#text = text;
    const { start, end } = rangeOf(node);
    this.start = start;
    this.end = start + text.slice(start, end).trimEnd().length;
  }

  get textLength(): number {
    return yamlLibrary().isScalar(this.#node) && typeof this.#node.value === "string"
      ? this.#node.value.length
      : 0;
  }

  get spelling(): string | undefined {
    return yamlLibrary().isScalar(this.#node) ? this.#node.source : undefined;
  }

  textAt(offset: number): number | undefined {
    return yamlLibrary().isScalar(this.#node)
      ? scalarTextAt(this.#node, offset, this.#text)
      : undefined;
  }

  child(key: string): { key: PlacedNode; node: PlacedNode } | undefined {
    let found = this.#children.get(key);
    if (!found) {
      found = yamlLibrary().isMap(this.#node) ? this.#member(this.#node, key) : this.#item(key);
      if (found) this.#children.set(key, found);
    }
    return found;
  }

  #item(key: string): { key: PlacedNode; node: PlacedNode } | undefined {
    const item: unknown =
      yamlLibrary().isSeq(this.#node) && /^\d+$/.test(key)
        ? this.#node.items[Number(key)]
        : undefined;
    if (item === undefined) return undefined;
    const node = new YamlNode(item, this.#targets, this.#text);
    return { key: node, node };
  }

  #member(map: YAMLMap, key: string): { key: PlacedNode; node: PlacedNode } | undefined {
    this.#pairs ??= new Map(map.items.map((pair) => [keyText(pair.key) ?? "", pair]));
    const pair = this.#pairs.get(key);
    if (!pair) return undefined;
    const placedKey = new YamlNode(pair.key, this.#targets, this.#text);
    const isEmpty = pair.value === null || pair.value === undefined;
    const node = isEmpty ? placedKey : new YamlNode(pair.value, this.#targets, this.#text);
    return { key: placedKey, node };
  }
}
