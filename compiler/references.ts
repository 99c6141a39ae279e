/**
 * Checking every expression of a workflow at the place where it stands, and collecting what it
 * reads: the nodes whose outputs a worker must fetch before it can execute a node or decide its
 * edges.
 */
import type { Reference } from "../condition/index.ts";
import { Certainty } from "./certainty.ts";
import type { DiagnosticCode, Report, Reporter } from "./diagnostics.ts";
import type { ExpressionSource, WorkflowDocument } from "./document.ts";
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

/**
 * Check all expressions of a document. Without `graph` (there is a cycle) only what can be said of
 * an expression by itself, and whether the nodes that it names exist.
 */
export class ReferenceChecker {
  readonly #document: WorkflowDocument;
  readonly #original: Json;
  readonly #reporter: Reporter;
  readonly #reader = new ExpressionReader();
  readonly #graph: Graph | undefined;
  readonly #forest: LoopForest | undefined;
  readonly #certainty: Certainty | undefined;
  readonly #ids: ReadonlySet<string>;
  /** What each node of the graph reads. */
  readonly reads: NodeReads[];
  readonly #rewritten = new Map<ExpressionSource, string>();
  /** A rule with several targets has one condition on several edges. */
  readonly #checked = new Set<ExpressionSource>();

  constructor(
    document: WorkflowDocument,
    original: Json,
    structure: { graph: Graph; forest: LoopForest } | undefined,
    reporter: Reporter,
  ) {
    this.#document = document;
    this.#original = original;
    this.#reporter = reporter;
    this.#graph = structure?.graph;
    this.#forest = structure?.forest;
    this.#certainty = structure && new Certainty(structure.graph);
    this.#ids = new Set(document.nodes.map((node) => node.id));
    this.reads = (structure?.graph.nodes ?? []).map(newReads);
  }

  /** Check everything; the results are in `reads` and `conditionOf`. */
  check(): void {
    if (this.#graph && this.#forest) this.#checkGraph(this.#graph, this.#forest);
    else this.#checkLoose();
    const { output } = this.#document;
    if (output === undefined) return;
    const variables = new Set<string>(EVERYWHERE);
    this.#checkValue(output, "/output", (pointer) => pointer, {
      ...{ form: "template", variables, node: null, own: null },
      ...{ reads: newReads(), target: "refs" },
    });
  }

  /** The text of a condition as the IR has it. */
  conditionOf(condition: ExpressionSource): string {
    return this.#rewritten.get(condition) ?? condition.source;
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
    for (const node of this.#document.nodes) {
      this.#checkConfig({ id: node.id, pointer: node.pointer, source: node }, null, true, reads);
      const rules = node.branch?.rules.map((rule) => rule.condition) ?? [];
      for (const condition of [...rules, node.loop?.condition]) {
        if (condition) this.#checkCondition(condition, node.id, null, true, reads);
      }
    }
    for (const { condition, from } of this.#document.edges) {
      if (condition) this.#checkCondition(condition, from.id, null, true, reads);
    }
  }

  #checkConfig(node: FlatNode, index: number | null, inLoop: boolean, reads: NodeReads): void {
    const source = node.source;
    if (!source?.type) return;
    const kind = kindOf(source.type);
    if (!kind.isSupported) return;
    const variables = new Set<string>([...EVERYWHERE, "data", ...kind.variables]);
    if (inLoop) variables.add("iteration");
    for (const [key, value] of Object.entries(source.config.value)) {
      const isBare = kind.expressions.includes(key) && typeof value === "string";
      this.#checkValue(value, joinPointer("", key), source.config.locate, {
        form: isBare ? "expression" : "template",
        variables,
        ...{ node: index, own: null, reads, target: "refs" },
      });
    }
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
    const variables = new Set<string>([...EVERYWHERE, "output"]);
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
    if (root === "input") place.reads.usesInput = true;
    if (!place.variables.has(root)) return this.#reportUnknownHere(ref, root, place, text);
    if (root !== "ctx" || id === undefined) return;
    if (!this.#ids.has(id)) {
      const message = `ctx refers to \`${id}\`, but there is no such node`;
      const at = text.slice(ref.start, ref.end).indexOf(id);
      const named = { start: ref.start + at, end: ref.start + at + id.length };
      const range = at < 0 ? ref : named;
      return this.#report("GV3004", place, text, range, {
        message,
        meant: { name: id, known: this.#ids },
      });
    }
    const index = this.#graph?.indexOf.get(id);
    if (index === undefined || id === place.own) return;
    place.reads[place.target].add(index);
    this.#checkAvailable(ref, index, place, text);
  }

  #checkAvailable(ref: Reference, index: number, place: Place, text: string): void {
    const certainty = this.#certainty;
    const id = ref.path[1] ?? "";
    if (!certainty) return;
    const reader = place.node === null ? null : (this.#graph?.nodes[place.node]?.id ?? "");
    if (place.node !== null && !certainty.isUpstream(index, place.node)) {
      const message =
        id === reader
          ? `\`${id}\` reads its own output before it has one`
          : `\`${id}\` is not upstream of \`${reader}\`: it need not have run by then`;
      const hint = `draw an edge, directly or over other nodes, from \`${id}\` to \`${reader}\``;
      const shown = id === reader ? undefined : hint;
      return this.#report("GV3005", place, text, ref, { message, hint: shown });
    }
    if (ref.guarded) return;
    const isThere =
      place.node === null
        ? certainty.isCertainAtEnd(index)
        : certainty.isCertain(index, place.node);
    if (isThere) return;
    const where = reader === null ? "the output of the run is made" : `\`${reader}\` runs`;
    const message = `\`${id}\` has an output only in some of the cases in which ${where}`;
    const name = /^[A-Za-z_]\w*$/.test(id) ? `ctx.${id}` : `ctx["${id}"]`;
    const hint = `guard it: has(${name}.output) ? … : …`;
    this.#report("GV3006", place, text, ref, { message, hint });
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
    const isAsWritten = valueAt(this.#original, place.pointer) === text;
    const part = isAsWritten ? { offset: start, length: end - start } : {};
    // A fix of something that was rewritten on reading has no place in the file.
    const fix = isAsWritten ? what.fix : null;
    this.#reporter.report({ code, pointer: place.pointer, ...what, ...part, fix });
  }
}

function partOf(
  { start, end }: { start: number; end: number },
  text: string,
): { text: string; offset: number; length: number } {
  return { text, offset: start, length: end - start };
}

function newReads(): NodeReads {
  return { refs: new Set(), edgeRefs: new Set(), usesInput: false };
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
