/**
 * Checking one expression or template at the place where it stands: its language, the names that it
 * uses, the nodes that it reads.
 */
import { atomsIn, partition } from "../condition/index.ts";
import type { Reference } from "../condition/index.ts";
import { nearestName } from "../condition/suggest.ts";
import { bracesIn, unwrapped } from "./braces.ts";
import type { DiagnosticCode, Report, Reporter } from "./diagnostics.ts";
import type { DocumentNode, NodeHome, WorkflowDocument } from "./document.ts";
import { ALL_VARIABLES, ExpressionReader, problemHere } from "./expressions.ts";
import type { ExpressionForm } from "./expressions.ts";
import type { Json } from "./ir.ts";
import { looksLikeJavaScript, suggestCel } from "./javascript.ts";
import { fieldOf, typeName, typesOf } from "./schema-fields.ts";
import { parsePointer } from "./source-map.ts";
import { asName } from "./visible-nodes.ts";
import type { NodeReads, VisibleNodes } from "./visible-nodes.ts";

/** A place where an expression stands. */
export interface Place {
  pointer: string;
  form: ExpressionForm;
  variables: ReadonlySet<string>;
  /** The node whose expression it is; null for the output of the workflow. */
  node: number | null;
  /** In conditions of a node its own output may be read. */
  own: string | null;
  reads: NodeReads;
  target: "refs" | "edgeRefs";
}

/** What the checks of all graphs of a file share. */
export interface FileContext {
  document: WorkflowDocument;
  /** The document as it was written, to tell whether offsets into a text are offsets in the file. */
  original: Json;
  homes: ReadonlyMap<string, NodeHome>;
  reporter: Reporter;
}

/** Conditions of which is asked whether they can hold, and combinations that are tried for one. */
const ASKED_MAX = 2_000;
const TRIES_MAX = 500;
/** Shorter names are near to too much; of more listed ones not each is compared with each. */
const MISSPELT_MIN = 4;
const LISTED_MAX = 200;

/** Checks the expressions of one graph. */
export class TextChecker {
  readonly #file: FileContext;
  readonly #nodes: VisibleNodes;
  readonly #reader = new ExpressionReader();
  readonly #asked = new Set<string>();
  /** Of all nodes; made when a text asks for them. */
  #ids: ReadonlySet<string> | undefined;

  constructor(file: FileContext, nodes: VisibleNodes) {
    this.#file = file;
    this.#nodes = nodes;
  }

  /** Check a text and note what it reads; its references, none if something is wrong. */
  check(text: string, place: Place): readonly Reference[] {
    // `.length` may be a field, so it says something only where code is expected.
    const isTransform = place.form === "expression";
    if (place.form !== "template" && looksLikeJavaScript(text, isTransform)) {
      this.#reportJavaScript(text, text, place);
      return [];
    }
    if (place.form === "template") this.#checkBraces(text, place);
    const { problems, references } = this.#reader.read(text, place.form);
    if (problems.some(({ kind }) => kind === "parse") && looksLikeJavaScript(text, false)) {
      this.#reportJavaScript(text, /^\$\{([^]*)\}$/.exec(text)?.[1] ?? "", place);
      return [];
    }
    for (const problem of problems) {
      const code = problem.kind === "parse" ? "GV3001" : "GV3002";
      const found = problemHere(text, place.form, place.variables, problem);
      const { message, fix } = found;
      const hint = problem.kind === "parse" ? this.#bareHint(text, place) : undefined;
      const part = fix === undefined ? undefined : partOf(problem, fix);
      this.#report(code, place, text, problem, { message, hint: hint ?? found.hint, fix: part });
    }
    for (const ref of references) {
      this.#checkReference(ref, place, text);
      this.#checkField(ref, place, text);
    }
    if (place.form === "condition" && problems.length === 0) this.#checkComparisons(text, place);
    return references;
  }

  /** An expression in braces that other tools have, which is a plain text here. */
  #checkBraces(text: string, place: Place): void {
    if (!text.includes("{{") && !/^[${]/.test(text)) return;
    const known = { variables: place.variables, nodes: (this.#ids ??= this.#nodes.ids()) };
    const found = bracesIn(text, known, (cel) => this.#isExpression(cel));
    if (found === undefined) return;
    const message = `\`${found.written}\` is a plain text here, and is passed on as it is`;
    const asText = `\${${JSON.stringify(found.written)}}`;
    const hint = `write \`\${${found.cel}}\`; where that text is meant: \`${asText}\``;
    this.#report("GV3012", place, text, found, { message, hint });
  }

  /** What to write where a text is CEL in braces that do not belong there. */
  #bareHint(text: string, { form }: Place): string | undefined {
    const cel = unwrapped(text);
    if (cel === undefined || !this.#isExpression(cel)) return undefined;
    return form === "template"
      ? `write \`\${${cel}}\``
      : `here stands CEL by itself, without braces: write \`${cel}\``;
  }

  #isExpression(cel: string): boolean {
    return this.#reader.read(cel, "expression").problems.length === 0;
  }

  /** A field that the schema of its value rules out, or has under a name that is nearly the same. */
  #checkField(ref: Reference, place: Place, text: string): void {
    const known = this.#schemaOf(ref.path, place);
    const answer = known && fieldOf(known.schema, known.fields);
    if (answer?.kind === "found") return this.#checkOptional(ref, answer, known, place, text);
    if (answer?.kind !== "missing" && answer?.kind !== "unlisted") return;
    const name = known?.fields[answer.at] ?? "";
    const what = known?.what ?? "it";
    const isOut = answer.kind === "missing";
    if (!isOut && (ref.guarded || !isMisspelt(name, answer.known))) return;
    const whole = text.slice(ref.start, ref.end);
    const at = whole.lastIndexOf(name);
    const end = ref.start + at + name.length;
    const part = at < 0 ? ref : { start: ref.start + at, end };
    const message = isOut
      ? `\`${name}\` is no field of ${what}, whose schema is closed`
      : `\`${name}\` is not among the properties of ${what}, as its schema lists them`;
    const names = answer.known.join(", ");
    const hint = names === "" ? "it has no fields" : `it has: ${names}`;
    const meant = { name, known: answer.known };
    this.#report("GV6001", place, text, part, { message, hint, meant });
  }

  /** A field that its schema has and does not require, read as if it were always there. */
  #checkOptional(
    ref: Reference,
    { mayMiss }: { mayMiss?: number },
    known: { fields: string[]; what: string } | undefined,
    place: Place,
    text: string,
  ): void {
    if (mayMiss === undefined || ref.guarded || !known) return;
    const name = known.fields[mayMiss] ?? "";
    const path = ref.path.slice(0, ref.path.length - known.fields.length + mayMiss + 1);
    const isPlain = path.every((part) => /^[A-Za-z_]\w*$/.test(part));
    const asked = isPlain ? path.join(".") : "…";
    const message = `\`${name}\` may be missing: the schema of ${known.what} does not require it`;
    const hint = `guard it: has(${asked}) ? … : …, or add it to \`required\` of the schema`;
    this.#report("GV6004", place, text, ref, { message, hint });
  }

  /** Constants of a type that the value never has, and conditions that cannot hold. */
  #checkComparisons(text: string, place: Place): void {
    for (const atom of atomsIn(text)) {
      if (atom.kind !== "compare" && atom.kind !== "in") continue;
      if (atom.subject.isSize) continue;
      const known = this.#schemaOf(atom.subject.path, place);
      const answer = known && fieldOf(known.schema, known.fields);
      const types = answer?.kind === "found" ? typesOf(answer.schema) : undefined;
      if (!types) continue;
      const constants = atom.kind === "compare" ? [atom.constant] : atom.constants;
      // To ask for null is to ask whether there is something, whatever the schema says.
      const wrong = constants.find((value) => value !== null && !types.has(typeName(value)));
      if (wrong === undefined) continue;
      const message =
        `\`${atom.subject.name}\` is ${[...types].join(" or ")} by its schema, ` +
        `and is compared with ${JSON.stringify(wrong)}`;
      return this.#report("GV6002", place, text, { start: 0, end: text.length }, { message });
    }
    if (this.#asked.has(text) || this.#asked.size >= ASKED_MAX) return;
    this.#asked.add(text);
    const { cases } = partition([text], { triesMax: TRIES_MAX }) ?? { cases: [] };
    if (cases.length === 0 || cases.some(({ truths }) => truths[0] === "true")) return;
    // A plain `false` is how one says it.
    if (/^[\s(]*false[\s)]*$/.test(text)) return;
    const message = "this condition never holds, whatever the values are";
    this.#report("GV6003", place, text, { start: 0, end: text.length }, { message });
  }

  /** The schema of the value that a path starts at, and the path from there. */
  #schemaOf(
    path: readonly string[],
    { node, own, variables }: Place,
  ): { schema: Json | null; fields: string[]; what: string } | undefined {
    const [root = "", id = "", part] = path;
    const { inputSchema: runInput } = this.#file.document;
    if (!variables.has(root)) return undefined;
    if (root === "input") {
      return { schema: runInput, fields: path.slice(1), what: "the run's input" };
    }
    if (root === "data" && node !== null) {
      const schema = this.#nodes.inputSchema(node, runInput);
      return { schema, fields: path.slice(1), what: "the node's input" };
    }
    // After a failure it is the error: that is no field of the output.
    if (root === "output" && own !== null && node !== null && id !== "error") {
      const schema = this.#nodes.outputSchema(node, runInput);
      return { schema, fields: path.slice(1), what: `the output of \`${own}\`` };
    }
    const found = root === "ctx" && part === "output" ? this.#nodes.find(id, node) : undefined;
    if (!found || found.index === null) return undefined;
    const schema = found.home.outputSchema(found.index, runInput);
    return { schema, fields: path.slice(3), what: `the output of \`${id}\`` };
  }

  #reportJavaScript(text: string, source: string, place: Place): void {
    const cel = suggestCel(source, place.variables);
    const hint =
      cel === undefined
        ? "expressions are CEL; for more than CEL can say use a function node"
        : `in CEL: ${cel}`;
    const message = "this is JavaScript; expressions are CEL";
    // Inside a template it is the expression that is replaced, not the text around it.
    const start = text.lastIndexOf(source);
    const fix = cel === undefined ? undefined : partOf({ start, end: start + source.length }, cel);
    this.#report("GV3003", place, text, { start: 0, end: text.length }, { message, hint, fix });
  }

  #checkReference(ref: Reference, place: Place, text: string): void {
    const [root = "", id] = ref.path;
    if (!place.variables.has(root)) return this.#reportUnknownHere(ref, root, place, text);
    if (root === "input") this.#nodes.noteInput(place.reads);
    // `run` as a whole, and by a computed key, is also its attempt.
    if (root === "run" && (id ?? "attempt") === "attempt") this.#nodes.noteAttempt(place.reads);
    if (root !== "ctx" || id === undefined) return;
    const found = this.#nodes.find(id, place.node);
    if (!found) return this.#reportNoSuchNode(ref, id, place, text);
    const { home, node, index, reader } = found;
    this.#checkErrors(ref, node, place, text);
    if (index === null) return;
    if (home !== this.#nodes) home.noteOuter(reader, index);
    else if (id === place.own) return;
    else place.reads[place.target].add(index);
    const problem = home.unavailable(index, reader, ref.guarded);
    if (problem) this.#report(problem.code, place, text, ref, problem);
  }

  #reportNoSuchNode(ref: Reference, id: string, place: Place, text: string): void {
    const map = this.#file.homes.get(id)?.map;
    if (map === null || map === undefined) {
      const message = `ctx refers to \`${id}\`, but there is no such node`;
      const at = text.slice(ref.start, ref.end).indexOf(id);
      const named = { start: ref.start + at, end: ref.start + at + id.length };
      const meant = { name: id, known: this.#nodes.ids() };
      return this.#report("GV3004", place, text, at < 0 ? ref : named, { message, meant });
    }
    const message = `\`${id}\` is in the body of map \`${map}\` and is seen only there`;
    const hint = `read the list of what the elements gave: ${asName(map)}.output`;
    this.#report("GV3010", place, text, ref, { message, hint });
  }

  /** `errors` is what a map has that goes on with failed elements. */
  #checkErrors(ref: Reference, node: DocumentNode, place: Place, text: string): void {
    const [, id = "", part] = ref.path;
    if (part !== "errors" || node.type === null) return;
    const tolerated = node.config.value["tolerated_failures"];
    if (node.type === "map" && typeof tolerated === "number" && tolerated > 0) return;
    const message =
      node.type === "map"
        ? `the map \`${id}\` has no errors: it fails with its first failed element`
        : `\`${id}\` has only an output; \`errors\` is for maps`;
    const hint = node.type === "map" ? "set its config.tolerated_failures" : undefined;
    this.#report("GV3011", place, text, ref, { message, hint });
  }

  #reportUnknownHere(ref: Reference, root: string, place: Place, text: string): void {
    // A name outside the language altogether has been reported as a problem of the expression.
    if (!ALL_VARIABLES.has(root)) return;
    if (root === "iteration") {
      const message = "`iteration` is known in the body of a loop only";
      return this.#report("GV3007", place, text, ref, { message });
    }
    if (root === "secrets") {
      const message = "`secrets` are known in the config of http nodes only";
      return this.#report("GV3008", place, text, ref, { message });
    }
    if (root === "item" || (root === "index" && !this.#nodes.around)) {
      const message = `\`${root}\` is known in the body of a map only`;
      return this.#report("GV3009", place, text, ref, { message });
    }
    const names = [...place.variables].toSorted().join(", ");
    const message = `\`${root}\` is not known here`;
    // The two names of one value: what the node before has put out is what the node gets.
    const others: Readonly<Record<string, string>> = { data: "output", output: "data" };
    const other = others[root];
    const isOther = other !== undefined && place.variables.has(other);
    const said = other === "output" ? "what the node puts out" : "what the node gets";
    const hint = `known here: ${names}${isOther ? `; ${said} is \`${other}\`` : ""}`;
    this.#report("GV3009", place, text, ref, { message, hint });
  }

  #report(
    code: DiagnosticCode,
    place: Place,
    text: string,
    { start, end }: { start: number; end: number },
    what: Pick<Report, "message" | "hint" | "fix" | "meant">,
  ): void {
    const isAsWritten = valueAt(this.#file.original, place.pointer) === text;
    const part = isAsWritten ? { offset: start, length: end - start } : {};
    // A fix of something that was rewritten on reading has no place in the file.
    const fix = isAsWritten ? what.fix : null;
    this.#file.reporter.report({ code, pointer: place.pointer, ...what, ...part, fix });
  }
}

/**
 * Whether one of the listed names is meant. An open schema allows others, so what is short, what
 * differs by a number only, and what is compared with very many is believed.
 */
function isMisspelt(name: string, listed: readonly string[]): boolean {
  if (name.length < MISSPELT_MIN || listed.length > LISTED_MAX) return false;
  const near = nearestName(name, listed);
  return near !== undefined && near.replaceAll(/\d/g, "") !== name.replaceAll(/\d/g, "");
}

function partOf(
  { start, end }: { start: number; end: number },
  text: string,
): { text: string; offset: number; length: number } {
  return { text, offset: start, length: end - start };
}

function valueAt(root: Json, pointer: string): Json | undefined {
  let value: Json | undefined = root;
  for (const part of parsePointer(pointer)) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part))
      return undefined;
    value = (value as { [key: string]: Json })[part];
  }
  return value;
}
