/**
 * Checking every expression of a workflow at the place where it stands, and collecting what it
 * reads: the nodes whose outputs a worker must fetch before it can execute a node or decide its
 * edges.
 */
import type { Reference } from "../condition/index.ts";
import { Certainty } from "./certainty.ts";
import type { DiagnosticCode, Report, Reporter } from "./diagnostics.ts";
import type {
  DocumentGraph,
  DocumentNode,
  ExpressionSource,
  NodeHome,
  WorkflowDocument,
} from "./document.ts";
import type { FlatNode } from "./expand.ts";
import { ALL_VARIABLES, ExpressionReader, rewriteOwnOutput } from "./expressions.ts";
import type { ExpressionForm } from "./expressions.ts";
import type { Graph } from "./graph.ts";
import type { Json } from "./ir.ts";
import { looksLikeJavaScript, suggestCel } from "./javascript.ts";
import { kindOf } from "./kinds/index.ts";
import type { LoopForest } from "./loops.ts";
import { joinPointer, parsePointer } from "./source-map.ts";

/** What one node reads, by index. */
export interface NodeReads {
  refs: Set<number>;
  edgeRefs: Set<number>;
  /** What the body of a map reads, at any depth, of the graph in which the map stands. */
  outerRefs: Set<number>;
  usesInput: boolean;
}

/** A place where an expression stands. */
interface Place {
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

const EVERYWHERE = ["input", "ctx", "run"] as const;

/** The place of a map, as its body sees it. */
export interface Around {
  checker: ReferenceChecker;
  /** Of the map; null if the graph around it has no numbers. */
  index: number | null;
  inLoop: boolean;
}

/** What the checks of all graphs of a file share. */
export interface FileContext {
  document: WorkflowDocument;
  /** The document as it was written, to tell whether offsets into a text are offsets in the file. */
  original: Json;
  homes: ReadonlyMap<string, NodeHome>;
  reporter: Reporter;
}

/**
 * Check all expressions of a graph: the workflow's, or the body of a map. Without `graph` (there is
 * a cycle) only what can be said of
 * an expression by itself, and whether the nodes that it names exist.
 */
export class ReferenceChecker {
  readonly #file: FileContext;
  readonly #part: DocumentGraph;
  readonly #around: Around | undefined;
  readonly #reader = new ExpressionReader();
  readonly #graph: Graph | undefined;
  readonly #forest: LoopForest | undefined;
  readonly #certainty: Certainty | undefined;
  readonly #nodes: ReadonlyMap<string, DocumentNode>;
  /** Names known in every expression of this graph. */
  readonly #everywhere: readonly string[];
  /** What each node of the graph reads. */
  readonly reads: NodeReads[];
  readonly #rewritten = new Map<ExpressionSource, string>();
  /** A rule with several targets has one condition on several edges. */
  readonly #checked = new Set<ExpressionSource>();

  constructor(
    part: DocumentGraph,
    file: FileContext,
    structure: { graph: Graph; forest: LoopForest } | undefined,
    around: Around | undefined,
  ) {
    this.#part = part;
    this.#file = file;
    this.#around = around;
    this.#graph = structure?.graph;
    this.#forest = structure?.forest;
    this.#certainty = structure && new Certainty(structure.graph);
    this.#nodes = new Map(part.nodes.map((node) => [node.id, node]));
    const ofElement = around ? ["item", "index"] : [];
    const ofRound = around?.inLoop ? ["iteration"] : [];
    this.#everywhere = [...EVERYWHERE, ...ofElement, ...ofRound];
    this.reads = (structure?.graph.nodes ?? []).map(newReads);
  }

  /** Check everything; the results are in `reads` and `conditionOf`. */
  check(): void {
    if (this.#graph && this.#forest) this.#checkGraph(this.#graph, this.#forest);
    else this.#checkLoose();
    const { output, pointer } = this.#part;
    if (!this.#around) this.#checkSettings();
    if (output === undefined) return;
    const variables = new Set(this.#everywhere);
    this.#checkValue(output, `${pointer}/output`, (at) => at, {
      ...{ form: "template", variables, node: null, own: null },
      ...{ reads: newReads(), target: "refs" },
    });
  }

  /** The text of a condition as the IR has it. */
  conditionOf(condition: ExpressionSource): string {
    return this.#rewritten.get(condition) ?? condition.source;
  }

  /** The place of one of this graph's maps. */
  placeOf(map: string): Around {
    const index = this.#graph?.indexOf.get(map) ?? null;
    const inOwn = index === null || this.#forest?.innermost[index] !== null;
    return { checker: this, index, inLoop: inOwn || this.#around?.inLoop === true };
  }

  /** Keys by which runs are told apart before they start: only their input is known. */
  #checkSettings(): void {
    const { concurrency, rate_limit: rate } = this.#file.document.settings;
    const variables = new Set(["input", "run"]);
    const place: Omit<Place, "pointer"> = {
      ...{ form: "template", variables, node: null, own: null },
      ...{ reads: newReads(), target: "refs" },
    };
    const asIs = (pointer: string): string => pointer;
    if (concurrency) this.#checkValue(concurrency.key, "/settings/concurrency/key", asIs, place);
    if (rate) this.#checkValue(rate.key, "/settings/rate_limit/key", asIs, place);
  }

  #checkGraph(graph: Graph, forest: LoopForest): void {
    // Where a loop was refused, who is in its body is not known: that is said once, not per reader.
    const loops = graph.nodes.filter((node) => node.source?.loop).length;
    const isWhole = forest.loops.length >= loops;
    graph.nodes.forEach((node, index) => {
      const reads = this.reads[index] ?? newReads();
      const inLoop = !isWhole || forest.innermost[index] !== null;
      this.#checkConfig(node, index, inLoop, reads);
      const conditions = (graph.out[index] ?? []).map((edge) => graph.edges[edge]?.condition);
      for (const condition of [...conditions, node.source?.loop?.condition]) {
        if (condition) this.#checkCondition(condition, node.id, index, inLoop, reads);
      }
    });
  }

  /** Edges are not numbered here: their conditions are checked by the name of their source. */
  #checkLoose(): void {
    const reads = newReads();
    for (const node of this.#part.nodes) {
      this.#checkConfig({ id: node.id, pointer: node.pointer, source: node }, null, true, reads);
      const rules = node.branch?.rules.map((rule) => rule.condition) ?? [];
      for (const condition of [...rules, node.loop?.condition]) {
        if (condition) this.#checkCondition(condition, node.id, null, true, reads);
      }
    }
    for (const { condition, from } of this.#part.edges) {
      if (condition) this.#checkCondition(condition, from.id, null, true, reads);
    }
  }

  #checkConfig(node: FlatNode, index: number | null, inLoop: boolean, reads: NodeReads): void {
    const source = node.source;
    if (!source?.type) return;
    const kind = kindOf(source.type);
    if (!kind.isSupported) return;
    const variables = new Set<string>([...this.#everywhere, "data", ...kind.variables]);
    if (inLoop) variables.add("iteration");
    this.#checkPolicies(source, { variables, node: index, own: null, reads, target: "refs" });
    for (const [key, value] of Object.entries(source.config.value)) {
      if (kind.literals?.includes(key)) continue;
      const isBare = kind.expressions.includes(key) && typeof value === "string";
      this.#checkValue(value, joinPointer("", key), source.config.locate, {
        form: isBare ? "expression" : "template",
        variables,
        ...{ node: index, own: null, reads, target: "refs" },
      });
    }
  }

  /** Expressions of a node that stand beside its config. */
  #checkPolicies(node: DocumentNode, around: Omit<Place, "pointer" | "form">): void {
    const asIs = (pointer: string): string => pointer;
    const { retry, rateLimit, compensate } = node;
    if (retry.condition !== undefined) {
      const variables = new Set(["error", "attempt"]);
      const pointer = `${node.retryPointer}/condition`;
      this.#checkText(retry.condition, { ...around, form: "condition", variables, pointer });
    }
    if (rateLimit) {
      const pointer = `${rateLimit.pointer}/key`;
      this.#checkValue(rateLimit.value.key, pointer, asIs, { ...around, form: "template" });
    }
    const params = compensate?.value.params;
    if (!compensate || params === undefined) return;
    // Made when the node has completed, so its output is known.
    const variables = new Set([...around.variables, "output"]);
    const place = { ...around, variables, form: "template" as const };
    this.#checkValue(params, `${compensate.pointer}/params`, asIs, place);
  }

  #checkCondition(
    condition: ExpressionSource,
    own: string,
    node: number | null,
    inLoop: boolean,
    reads: NodeReads,
  ): void {
    if (this.#checked.has(condition)) return;
    this.#checked.add(condition);
    const variables = new Set<string>([...this.#everywhere, "output"]);
    if (inLoop) variables.add("iteration");
    const { pointer, source } = condition;
    const place: Place = {
      ...{ pointer, form: "condition", variables, node, own, reads, target: "edgeRefs" },
    };
    const references = this.#checkText(source, place);
    const rewritten = rewriteOwnOutput(source, own, references);
    if (rewritten !== source) this.#rewritten.set(condition, rewritten);
  }

  /** Check all strings of a value. `locate` turns a pointer below it into one of the document. */
  #checkValue(
    value: Json,
    pointer: string,
    locate: (pointer: string) => string,
    place: Omit<Place, "pointer">,
  ): void {
    if (typeof value === "string") {
      if (place.form === "template" && !value.includes("${")) return;
      this.#checkText(value, { ...place, pointer: locate(pointer) });
    } else if (Array.isArray(value)) {
      value.forEach((item, i) => this.#checkValue(item, joinPointer(pointer, i), locate, place));
    } else if (value !== null && typeof value === "object") {
      for (const [key, item] of Object.entries(value)) {
        this.#checkValue(item, joinPointer(pointer, key), locate, place);
      }
    }
  }

  #checkText(text: string, place: Place): readonly Reference[] {
    // `.length` may be a field, so it says something only where code is expected.
    const isTransform = place.form === "expression";
    if (place.form !== "template" && looksLikeJavaScript(text, isTransform)) {
      this.#reportJavaScript(text, text, place);
      return [];
    }
    const { problems, references } = this.#reader.read(text, place.form);
    if (problems.some(({ kind }) => kind === "parse") && looksLikeJavaScript(text, false)) {
      this.#reportJavaScript(text, /^\$\{([^]*)\}$/.exec(text)?.[1] ?? "", place);
      return [];
    }
    for (const problem of problems) {
      const code = problem.kind === "parse" ? "GV3001" : "GV3002";
      const { message, hint, fix } = problem;
      const part = fix === undefined ? undefined : partOf(problem, fix);
      this.#report(code, place, text, problem, { message, hint, fix: part });
    }
    for (const ref of references) this.#checkReference(ref, place, text);
    return references;
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
    if (root === "input") this.#noteInput(place.reads);
    if (root !== "ctx" || id === undefined) return;
    const home = this.#homeOf(id, place.node);
    if (!home) return this.#reportNoSuchNode(ref, id, place, text);
    const { checker, reader } = home;
    this.#checkErrors(ref, checker.#nodes.get(id), place, text);
    const index = checker.#graph?.indexOf.get(id);
    if (index === undefined) return;
    if (checker !== this) {
      if (reader !== null) checker.reads[reader]?.outerRefs.add(index);
    } else if (id === place.own) return;
    else place.reads[place.target].add(index);
    checker.#checkAvailable(id, ref.guarded, index, reader, (code, what) =>
      this.#report(code, place, text, ref, what),
    );
  }

  /** The input of the run is handed down through every map around. */
  #noteInput(reads: NodeReads): void {
    reads.usesInput = true;
    if (!this.#around || this.#around.index === null) return;
    const { checker, index } = this.#around;
    const outer = checker.reads[index];
    if (outer) checker.#noteInput(outer);
  }

  /** The graph, this one or one around it, that has a node, and who reads it there. */
  #homeOf(
    id: string,
    node: number | null,
  ): { checker: ReferenceChecker; reader: number | null } | undefined {
    if (this.#nodes.has(id)) return { checker: this, reader: node };
    return this.#around && this.#around.checker.#homeOf(id, this.#around.index);
  }

  #reportNoSuchNode(ref: Reference, id: string, place: Place, text: string): void {
    const map = this.#file.homes.get(id)?.map;
    if (map === null || map === undefined) {
      const message = `ctx refers to \`${id}\`, but there is no such node`;
      const at = text.slice(ref.start, ref.end).indexOf(id);
      const named = { start: ref.start + at, end: ref.start + at + id.length };
      const meant = { name: id, known: new Set(this.#nodes.keys()) };
      return this.#report("GV3004", place, text, at < 0 ? ref : named, { message, meant });
    }
    const message = `\`${id}\` is in the body of map \`${map}\` and is seen only there`;
    const hint = `read the list of what the elements gave: ${nodeName(map)}.output`;
    this.#report("GV3010", place, text, ref, { message, hint });
  }

  /** \`errors\` is what a map has that goes on with failed elements. */
  #checkErrors(ref: Reference, node: DocumentNode | undefined, place: Place, text: string): void {
    const [, id = "", part] = ref.path;
    if (part !== "errors" || !node || node.type === null) return;
    const tolerated = node.config.value["tolerated_failures"];
    if (node.type === "map" && typeof tolerated === "number" && tolerated > 0) return;
    const message =
      node.type === "map"
        ? `the map \`${id}\` has no errors: it fails with its first failed element`
        : `\`${id}\` has only an output; \`errors\` is for maps`;
    const hint = node.type === "map" ? "set its config.tolerated_failures" : undefined;
    this.#report("GV3011", place, text, ref, { message, hint });
  }

  /** \`reader\` null: the output of the run, or of an element. */
  #checkAvailable(
    id: string,
    isGuarded: boolean,
    index: number,
    reader: number | null,
    report: (code: DiagnosticCode, what: Pick<Report, "message" | "hint">) => void,
  ): void {
    const certainty = this.#certainty;
    if (!certainty) return;
    const name = reader === null ? null : (this.#graph?.nodes[reader]?.id ?? "");
    if (reader !== null && !certainty.isUpstream(index, reader)) {
      const message =
        id === name
          ? `\`${id}\` reads its own output before it has one`
          : `\`${id}\` is not upstream of \`${name}\`: it need not have run by then`;
      const hint = `draw an edge, directly or over other nodes, from \`${id}\` to \`${name}\``;
      return report("GV3005", { message, hint: id === name ? undefined : hint });
    }
    if (isGuarded) return;
    const isThere =
      reader === null ? certainty.isCertainAtEnd(index) : certainty.isCertain(index, reader);
    if (isThere) return;
    const end = this.#around ? "the output of an element is made" : "the output of the run is made";
    const where = name === null ? end : `\`${name}\` runs`;
    const message = `\`${id}\` has an output only in some of the cases in which ${where}`;
    report("GV3006", { message, hint: `guard it: has(${nodeName(id)}.output) ? … : …` });
  }

  #reportUnknownHere(ref: Reference, root: string, place: Place, text: string): void {
    // A name outside the language altogether has been reported as a problem of the expression.
    if (!ALL_VARIABLES.has(root)) return;
    if (root === "iteration") {
      const message = "`iteration` is known in the body of a loop only";
      return this.#report("GV3007", place, text, ref, { message });
    }
    if (root === "secrets") {
      const message = "`secrets` are known in the config of http, llm and emit nodes only";
      return this.#report("GV3008", place, text, ref, { message });
    }
    if (root === "item" || (root === "index" && !this.#around)) {
      const message = `\`${root}\` is known in the body of a map only`;
      return this.#report("GV3009", place, text, ref, { message });
    }
    const names = [...place.variables].toSorted().join(", ");
    const message = `\`${root}\` is not known here`;
    this.#report("GV3009", place, text, ref, { message, hint: `known here: ${names}` });
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

function partOf(
  { start, end }: { start: number; end: number },
  text: string,
): { text: string; offset: number; length: number } {
  return { text, offset: start, length: end - start };
}

function newReads(): NodeReads {
  return { refs: new Set(), edgeRefs: new Set(), outerRefs: new Set(), usesInput: false };
}

/** How an expression names a node. */
function nodeName(id: string): string {
  return /^[A-Za-z_]\w*$/.test(id) ? `ctx.${id}` : `ctx["${id}"]`;
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
