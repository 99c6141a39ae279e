/**
 * The compiler's course: text, document, graph, proof, IR.
 *
 *   readSource       text to JSON value and places             source.ts
 *   toNative         other dialects to a native document        dialects/
 *   checkTexts       what no store keeps                        odd-text.ts
 *   readDocument     shape; one way to say each thing           read-document.ts, read-graph.ts
 *   expandDocument   whatever implies an edge becomes one       expand.ts
 *   checkReach       entries, reach, undeclared cycles          cycles.ts
 *   orderGraph       topological numbers                        graph.ts
 *   findLoops        bodies, and the proof that they are loops  loops.ts
 *   settleJoins      edges that `join: settled` implies        branches.ts
 *   checkSteering    joins and first-match nodes                steering.ts
 *   checkShortJoins  joins that can never have all that they wait for   short-joins.ts
 *   checkLosers      joins that cancel their losers             branches.ts
 *   checkPolicies    properties that the kind has no use for    policies.ts
 *   ReferenceChecker expressions, and who reads whom            references.ts
 *   checkSplits      whether what is too wide can be split      split-checks.ts
 *   splitFans        trees for what is too wide                 tree.ts
 *   lower            the IR                                     lower.ts
 *   optimise         what can be done better, unobserved        passes/
 *
 * From expandDocument on all of it is done for the workflow's graph and, inside it, for the body of
 * each map; the IR of a body is part of its map's node.
 *
 * A step runs if what it stands on is there, not only if nothing is wrong so far: so an author gets
 * all problems of a file in one go.
 */
import { Reporter, sortDiagnostics } from "./diagnostics.ts";
import { toNative, withoutEchoes } from "./dialects/index.ts";
import type { Dialect, NativeDocument } from "./dialects/index.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { asObject, own } from "./document.ts";
import type { DocumentGraph } from "./document.ts";
import { expandDocument } from "./expand.ts";
import { checkLosers, settleJoins } from "./branches.ts";
import { checkReach } from "./cycles.ts";
import { orderGraph } from "./graph.ts";
import type { Graph } from "./graph.ts";
import { hashIr } from "./hash.ts";
import type { Ir, Json } from "./ir.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import type { Limits } from "./limits.ts";
import { findLoops } from "./loops.ts";
import type { LoopForest } from "./loops.ts";
import { lower } from "./lower.ts";
import { optimise } from "./passes/index.ts";
import type { PassNote, PassOptions } from "./passes/index.ts";
import { checkTexts } from "./odd-text.ts";
import { checkPolicies } from "./policies.ts";
import { readDocument } from "./read-document.ts";
import { ReferenceChecker } from "./references.ts";
import type { FileContext } from "./expression-checks.ts";
import type { Around, NodeReads } from "./visible-nodes.ts";
import { readSource } from "./source.ts";
import type { WorkflowSource } from "./source.ts";
import { checkShortJoins } from "./short-joins.ts";
import { checkSteering } from "./steering.ts";
import { checkSplits } from "./split-checks.ts";
import { isTooWide, splitFans } from "./tree.ts";
import type { Splits } from "./tree.ts";

export interface CompileOptions {
  limits?: Partial<Limits>;
  /** False: the IR as it is lowered, without what passes/ does. Default true. */
  optimise?: boolean;
  /** Mark nodes that make equal requests. Default false. */
  coalesce?: boolean;
}

export interface CompileResult {
  /** The dialect that the source was read in. */
  dialect: Dialect;
  /** Null if and only if a diagnostic is an error. */
  ir: Ir | null;
  /** SHA-256 of the IR, its identity. */
  hash: string | null;
  /** `metadata.tags` of the file: names that references may use. They are no part of the identity. */
  tags: string[];
  /** In the order of the file. */
  diagnostics: Diagnostic[];
  /** What the passes did, bodies of maps first. */
  notes: PassNote[];
  /** Diagnostics that were found beyond those that are kept, if any. */
  more?: number;
}

/** Compile a workflow. Does not throw for anything that the source holds. */
export function compile(source: WorkflowSource, options: CompileOptions = {}): CompileResult {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const read = readNative(source, limits);
  const { dialect } = read;
  const none = { dialect, ir: null, hash: null, notes: [] };
  if (read.value === undefined) return { ...none, tags: [], diagnostics: read.diagnostics };
  const reporter = new Reporter(read.map, source.file);
  const notes: PassNote[] = [];
  const passes = options.optimise === false ? undefined : { options, notes };
  const ir = compileValue(read.value, limits, reporter, passes);
  const found = withoutEchoes(reporter.diagnostics, read.diagnostics);
  const diagnostics = sortDiagnostics([...read.diagnostics, ...found]);
  const count = reporter.more + read.more;
  const more = count === 0 ? {} : { more: count };
  const isRefused = !ir || read.diagnostics.some(({ severity }) => severity === "error");
  const identity = isRefused ? none : { dialect, ir, hash: hashIr(ir), notes };
  return { ...identity, tags: tagsOf(read.value), diagnostics, ...more };
}

/** A source as a native document, whatever its dialect; `value` is undefined if it is no JSON. */
export function readNative(
  source: WorkflowSource,
  limits: Limits = DEFAULT_LIMITS,
): NativeDocument | { dialect: Dialect; value: undefined; diagnostics: Diagnostic[] } {
  const { file, dialect } = source;
  const read = readSource(source, limits);
  if (read.value === undefined) return { dialect: dialect ?? "native", ...read };
  return toNative(read.value, read.map, { file, dialect });
}

function tagsOf(value: Json): string[] {
  const document = asObject(value) ?? {};
  const tags = own(asObject(own(document, "metadata")) ?? {}, "tags") ?? own(document, "tags");
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === "string") : [];
}

/** The passes that are wanted, and where what they did is noted. */
interface Passes {
  options: PassOptions;
  notes: PassNote[];
}

function compileValue(
  value: Json,
  limits: Limits,
  reporter: Reporter,
  passes: Passes | undefined,
): Ir | undefined {
  checkTexts(value, reporter);
  const document = readDocument(value, limits, reporter);
  if (!document) return undefined;
  const file = { document, original: value, homes: document.homes, reporter };
  const budget = { left: limits.edges, max: limits.edges };
  const part = examine(document, file, limits, budget, undefined);
  return reporter.hasErrors || !part ? undefined : finish(part, file, limits, passes);
}

/** A graph that has been looked at, with the bodies of its maps. */
interface Part {
  source: DocumentGraph;
  structure: { graph: Graph; forest: LoopForest } | undefined;
  checker: ReferenceChecker;
  bodies: Map<string, Part>;
}

/** Edges that the graphs of a file may still have, implied ones included. */
interface EdgeBudget {
  left: number;
  max: number;
}

/** Look at a graph from all sides; undefined if it is too large for that. */
function examine(
  source: DocumentGraph,
  file: FileContext,
  limits: Limits,
  budget: EdgeBudget,
  around: Around | undefined,
): Part | undefined {
  const { reporter } = file;
  const flat = expandDocument(source, reporter, file.homes);
  budget.left -= flat.edges.length;
  if (budget.left < 0) {
    const count = `${budget.max - budget.left} edges with the implied ones`;
    const message = `${count}, the limit is ${budget.max}`;
    reporter.report({ code: "GV1008", pointer: source.pointer, message });
    return undefined;
  }
  const what = around ? "element" : "run";
  checkReach(flat, reporter, { pointer: source.pointer, what });
  const drawn = orderGraph(flat);
  const forest = drawn && findLoops(drawn, reporter);
  const graph = drawn && forest && settleJoins(drawn, forest);
  if (graph) checkSteering(graph, limits.fan, reporter);
  if (graph) checkShortJoins(graph, reporter);
  if (graph) checkLosers(graph, forest, reporter);
  checkPolicies(source, reporter);
  const structure = graph && forest && { graph, forest };
  const checker = new ReferenceChecker(source, file, structure, around);
  checker.check();
  if (structure) checkSplits(structure, limits.fan, checker.reads, reporter);
  const bodies = new Map<string, Part>();
  for (const { id, body } of source.nodes) {
    const part = body && examine(body, file, limits, budget, checker.placeOf(id));
    if (part) bodies.set(id, part);
  }
  return { source, structure, checker, bodies };
}

/** The IR of a graph in which nothing is wrong. */
function finish(part: Part, file: FileContext, limits: Limits, passes: Passes | undefined): Ir {
  const bodies = [...part.bodies].map(
    ([map, body]) => [map, finish(body, file, limits, passes)] as const,
  );
  const ir = lowerPart(part, file, limits.fan, new Map(bodies));
  passes?.notes.push(...optimise(ir, passes.options));
  return ir;
}

function lowerPart(
  { source, structure, checker }: Part,
  file: FileContext,
  fanMax: number,
  bodies: ReadonlyMap<string, Ir>,
): Ir {
  if (!structure) throw new Error("a graph without an order was not reported");
  const { graph, forest } = structure;
  const { document, reporter } = file;
  const none: Splits = new Map();
  const common = { document, part: source, bodies, checker };
  if (!isTooWide(graph, fanMax)) {
    return lower({ ...common, graph, forest, reads: checker.reads, splits: none });
  }
  const { flat, splits } = splitFans(graph, source.map, fanMax);
  const wide = orderGraph(flat);
  if (!wide) throw new Error("splitting wide places made a cycle");
  const reads = moveReads(graph, wide, checker.reads, splits);
  const loops = findLoops(wide, reporter);
  return lower({ ...common, graph: wide, forest: loops, reads, splits });
}

/** What nodes read, for other numbers; a made node reads what the conditions it took over read. */
function moveReads(
  before: Graph,
  after: Graph,
  reads: readonly NodeReads[],
  splits: Splits,
): NodeReads[] {
  const move = (set: ReadonlySet<number> | undefined): Set<number> =>
    new Set([...(set ?? [])].map((old) => after.indexOf.get(before.nodes[old]?.id ?? "") ?? 0));
  return after.nodes.map((node) => {
    const owner = splits.get(node.id)?.of;
    const old = reads[before.indexOf.get(owner ?? node.id) ?? -1];
    return {
      refs: owner === undefined ? move(old?.refs) : new Set(),
      edgeRefs: move(old?.edgeRefs),
      outerRefs: owner === undefined ? move(old?.outerRefs) : new Set(),
      usesInput: old?.usesInput ?? false,
      usesAttempt: old?.usesAttempt ?? false,
    };
  });
}
