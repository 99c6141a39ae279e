/**
 * Checking every expression of a workflow at the place where it stands, and collecting what it
 * reads: the nodes whose outputs a worker must fetch before it can execute a node or decide its
 * edges.
 */
import { hasBraces } from "./braces.ts";
import type { DocumentGraph, DocumentNode, ExpressionSource } from "./document.ts";
import type { FlatNode } from "./expand.ts";
import { TextChecker } from "./expression-checks.ts";
import type { FileContext, Place } from "./expression-checks.ts";
import { rewriteOwnOutput } from "./expressions.ts";
import type { Graph } from "./graph.ts";
import { EXPRESSION_FORM } from "./ir.ts";
import type { Json } from "./ir.ts";
import { kindOf } from "./kinds/index.ts";
import type { LoopForest } from "./loops.ts";
import { joinPointer } from "./source-map.ts";
import { newReads, VisibleNodes } from "./visible-nodes.ts";
import type { Around, NodeReads } from "./visible-nodes.ts";

const EVERYWHERE = ["input", "ctx", "run"] as const;

/**
 * Check all expressions of a graph: the workflow's, or the body of a map. Without `structure` (there
 * is a cycle) only what can be said of an expression by itself, and whether the nodes that it names
 * exist.
 */
export class ReferenceChecker {
  readonly #file: FileContext;
  readonly #part: DocumentGraph;
  readonly #nodes: VisibleNodes;
  readonly #texts: TextChecker;
  readonly #graph: Graph | undefined;
  readonly #forest: LoopForest | undefined;
  /** Names known in every expression of this graph. */
  readonly #everywhere: readonly string[];
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
    this.#nodes = new VisibleNodes(part, structure?.graph, around);
    this.#texts = new TextChecker(file, this.#nodes);
    this.#graph = structure?.graph;
    this.#forest = structure?.forest;
    const ofElement = around ? ["item", "index"] : [];
    const ofRound = around?.inLoop ? ["iteration"] : [];
    this.#everywhere = [...EVERYWHERE, ...ofElement, ...ofRound];
  }

  /** What each node of the graph reads. */
  get reads(): readonly NodeReads[] {
    return this.#nodes.reads;
  }

  /** Check everything; the results are in `reads` and `conditionOf`. */
  check(): void {
    if (this.#graph && this.#forest) this.#checkGraph(this.#graph, this.#forest);
    else this.#checkLoose();
    const { output, pointer } = this.#part;
    if (!this.#nodes.around) this.#checkSettings();
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
    return { nodes: this.#nodes, index, inLoop: inOwn || this.#nodes.around?.inLoop === true };
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
    if (source.setsStatus !== null && hasBraces(source.setsStatus)) {
      const hint =
        "write the status itself; where it differs, let nodes of different branches set it";
      this.#reportPlain(`${source.pointer}/sets_status`, "`sets_status`", hint, false);
    }
    for (const [key, value] of Object.entries(source.config.value)) {
      if (kind.literals?.includes(key)) {
        // Where a pattern rules them out, that has been said.
        const isFree =
          typeof value === "string" && !("pattern" in (kind.schema.properties[key] ?? {}));
        if (isFree && hasBraces(value)) {
          const at = source.config.locate(joinPointer("", key));
          this.#reportPlain(at, `\`${key}\``, "write the name itself", false);
        }
        continue;
      }
      const isText = source.config.value[EXPRESSION_FORM] === "template";
      const isBare = kind.expressions.includes(key) && typeof value === "string" && !isText;
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
    const { retry, rateLimit, circuitBreaker, compensate } = node;
    if (retry.condition !== undefined) {
      const variables = new Set(["error", "attempt"]);
      const pointer = `${node.retryPointer}/condition`;
      this.#texts.check(retry.condition, { ...around, form: "condition", variables, pointer });
    }
    for (const keyed of [rateLimit, circuitBreaker]) {
      if (!keyed) continue;
      const pointer = `${keyed.pointer}/key`;
      this.#checkValue(keyed.value.key, pointer, asIs, { ...around, form: "template" });
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
    const references = this.#texts.check(source, place);
    const rewritten = rewriteOwnOutput(source, own, references);
    if (rewritten !== source) this.#rewritten.set(condition, rewritten);
  }

  /** Something that is taken as it is written, and has what elsewhere is an expression. */
  #reportPlain(pointer: string, what: string, hint: string, atKey = true): void {
    const message = `${what} is a plain text here: no expression in it is filled in`;
    this.#file.reporter.report({ code: "GV3012", pointer, atKey, message, hint });
  }

  /** Check all strings of a value. `locate` turns a pointer below it into one of the document. */
  #checkValue(
    value: Json,
    pointer: string,
    locate: (pointer: string) => string,
    place: Omit<Place, "pointer">,
  ): void {
    if (typeof value === "string") {
      if (place.form === "template" && !/^[${]|\$\{|\{\{/.test(value)) return;
      this.#texts.check(value, { ...place, pointer: locate(pointer) });
    } else if (Array.isArray(value)) {
      value.forEach((item, i) => this.#checkValue(item, joinPointer(pointer, i), locate, place));
    } else if (value !== null && typeof value === "object") {
      for (const [key, item] of Object.entries(value)) {
        if (place.form === "template" && hasBraces(key)) {
          const hint =
            "an object with computed keys is made as a whole: `${{input.key: input.value}}`";
          this.#reportPlain(locate(joinPointer(pointer, key)), `the key \`${key}\``, hint);
        }
        this.#checkValue(item, joinPointer(pointer, key), locate, place);
      }
    }
  }
}
