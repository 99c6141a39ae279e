/**
 * What a node that runs can send on its out-edges: every combination of values that is possible.
 *
 * Conditions of one node are decided together (condition/partition.ts), so edges that exclude each
 * other are never both live here. Conditions of different nodes are taken as independent, and every
 * node may fail: that can only make more possible than there is, so what is never possible here
 * never happens.
 */
import { partition } from "../../condition/index.ts";
import type { Domain, Partition, PartitionOptions, Truth } from "../../condition/index.ts";
import { decidedEdges } from "../ir.ts";
import type { EdgeOn, Ir, IrEdge, IrNode } from "../ir.ts";

export type EdgeValue = "live" | "dead" | "failed";

/** How an execution of a node ends. */
export interface Outcome {
  /**
   * `again`: another round of its loop. `stop`: nothing handles a failure, the run ends; what is
   * already under way elsewhere may come before that.
   */
  kind: "success" | "error" | "timeout" | "again" | "stop";
  /** By the places of the node's out-edges; none for `again` and `stop`. */
  edges: EdgeValue[];
}

export interface Outcomes {
  /** Never empty. */
  list: Outcome[];
  /** The edges are to be taken as independent: they would combine in too many ways. */
  isFree: boolean;
  /** Each is possible for some data and some end of the node's work. */
  isExact: boolean;
}

/** Edges without order whose conditions nothing is known of: beyond it they are not combined. */
const FREE_MAX = 10;

/** All outcomes of a node. Without `mayFail` a failure of any kind ends the run unseen. */
export function outcomesOf(ir: Ir, node: IrNode, mayFail: boolean, triesMax?: number): Outcomes {
  try {
    return { ...new Judge(ir, node, triesMax).judge(mayFail), isFree: false };
  } catch (error) {
    if (!(error instanceof TooManyOutcomes)) throw error;
    const all = (value: EdgeValue): EdgeValue[] => node.out.map(() => value);
    const list: Outcome[] = [
      { kind: "success", edges: all("live") },
      { kind: "success", edges: all("dead") },
      { kind: "stop", edges: [] },
    ];
    if (ir.settings.failure === "continue") list.push({ kind: "error", edges: all("failed") });
    if (node.latch_of !== null) list.push({ kind: "again", edges: [] });
    return { list, isExact: false, isFree: true };
  }
}

class Judge {
  readonly #ir: Ir;
  readonly #node: IrNode;
  /** All that the node decides, and over which of its out-edges each is reached. */
  readonly #edges: (IrEdge | undefined)[];
  readonly #places: number[];
  readonly #found = new Map<string, Outcome>();
  readonly #tries: Pick<PartitionOptions, "triesMax">;
  #isExact = true;

  constructor(ir: Ir, node: IrNode, triesMax: number | undefined) {
    this.#tries = triesMax === undefined ? {} : { triesMax };
    this.#ir = ir;
    this.#node = node;
    const decided = decidedEdges(ir, node);
    this.#edges = decided.map(({ edge, on }) => {
      const found = ir.edges[edge];
      return found && { ...found, on };
    });
    this.#places = decided.map(({ place }) => place);
    // What its owner has decided is decided here again, as if nothing were known of it.
    this.#isExact = node.part_of === undefined;
  }

  judge(mayFail: boolean): Omit<Outcomes, "isFree"> {
    const { latch_of: latch } = this.#node;
    const loop = latch === null ? undefined : this.#ir.loops[latch];
    if (!loop) {
      const around = this.#node.loop === null ? undefined : this.#ir.loops[this.#node.loop];
      this.#succeed(null, around && { first: 1, last: around.max_iterations });
    } else {
      const last = loop.max_iterations;
      if (last > 1) this.#succeed(loop.condition, { first: 1, last: last - 1 }, "again");
      this.#succeed(loop.condition, { first: last, last }, "exhausted");
    }
    if (mayFail) this.#fail();
    // What is left when the last round fails.
    const isOpen = [...this.#found.values()].some(({ kind }) => kind !== "again");
    if (!isOpen) this.#add({ kind: "stop", edges: [] });
    return { list: [...this.#found.values()], isExact: this.#isExact };
  }

  /** Successes in some rounds of the loop around; `loop` is the loop's condition, at a latch. */
  #succeed(
    loop: string | null,
    rounds: { first: number; last: number } | undefined,
    then?: "again" | "exhausted",
  ): void {
    const domain = rounds && ((path: readonly string[]) => roundsDomain(path, rounds));
    const cases = this.#decide(["success", "always", "exhausted"], loop, domain);
    for (const truthOf of cases) {
      const again = loop === null ? "false" : truthOf(loop);
      if (again === "true" && then === "again") this.#add({ kind: "again", edges: [] });
      else if (again === "true") this.#exhaust(truthOf);
      else if (again === "false") this.#branch(truthOf);
      // A condition that cannot be evaluated is a failure, and those are all considered.
    }
  }

  #exhaust(truthOf: (condition: string) => Truth): void {
    // Without such an edge it is the failure MAX_ITERATIONS.
    if (!this.#edges.some((edge) => edge?.on === "exhausted")) return;
    const edges = this.#each(["exhausted", "always"], truthOf);
    if (edges) this.#add({ kind: "success", edges });
  }

  #branch(truthOf: (condition: string) => Truth): void {
    const { routing, on_no_match: noMatch } = this.#node;
    if (routing === "each") {
      const edges = this.#each(["success", "always"], truthOf);
      if (edges) this.#add({ kind: "success", edges });
      return;
    }
    const branches = this.#choose(routing, truthOf);
    const hasBranches = this.#edges.some((edge) => edge?.on === "success");
    const always = this.#each(["always"], truthOf);
    if (!branches || !always) return;
    // Otherwise it is the failure NO_BRANCH_MATCHED.
    if (hasBranches && !branches.includes("live") && noMatch === "error") return;
    const edges = branches.map((value, place) =>
      value === "live" ? value : (always[place] ?? "dead"),
    );
    this.#add({ kind: "success", edges });
  }

  /** As condition/edges.ts decides; undefined: an error, which is a failure. */
  #choose(mode: "first" | "all", truthOf: (condition: string) => Truth): EdgeValue[] | undefined {
    const values = this.#edges.map((): EdgeValue => "dead");
    for (const [place, edge] of this.#edges.entries()) {
      if (edge?.on !== "success" || edge.condition === null) continue;
      const truth = truthOf(edge.condition);
      if (truth === "error") return undefined;
      if (truth === "false") continue;
      values[place] = "live";
      if (mode === "first") return values;
    }
    const fallback = this.#edges.findIndex(
      (edge) => edge?.on === "success" && edge.condition === null,
    );
    if (!values.includes("live") && fallback >= 0) values[fallback] = "live";
    return values;
  }

  #each(on: readonly EdgeOn[], truthOf: (condition: string) => Truth): EdgeValue[] | undefined {
    const truths = this.#edges.map((edge): Truth => {
      if (!edge || !on.includes(edge.on)) return "false";
      return edge.condition === null ? "true" : truthOf(edge.condition);
    });
    if (truths.includes("error")) return undefined;
    return truths.map((truth) => (truth === "true" ? "live" : "dead"));
  }

  #fail(): void {
    const hasTimeout = this.#edges.some((edge) => edge?.on === "timeout");
    for (const on of hasTimeout ? (["error", "timeout"] as const) : (["error"] as const)) {
      for (const truthOf of this.#decide([on, "always"], null, errorDomain)) {
        const edges = this.#each([on, "always"], truthOf);
        if (edges?.includes("live")) this.#add({ kind: on, edges });
        else this.#addUnhandled(on);
      }
    }
  }

  #addUnhandled(kind: "error" | "timeout"): void {
    const isOver = this.#ir.settings.failure === "fail_fast";
    if (isOver) this.#add({ kind: "stop", edges: [] });
    else this.#add({ kind, edges: this.#edges.map(() => "failed") });
  }

  #add({ kind, edges: decided }: Outcome): void {
    const edges = decided.length === 0 ? [] : this.#node.out.map((): EdgeValue => "dead");
    decided.forEach((value, i) => {
      if (value !== "dead") edges[this.#places[i] ?? -1] = value;
    });
    const outcome = { kind, edges };
    const key = `${outcome.kind} ${outcome.edges.join()}`;
    if (!this.#found.has(key)) this.#found.set(key, outcome);
  }

  /** What the conditions of the edges with these `on` can give together. */
  #decide(
    on: readonly EdgeOn[],
    loop: string | null,
    domain: PartitionOptions["domain"],
  ): ((condition: string) => Truth)[] {
    const texts = this.#edges.flatMap((edge) =>
      edge && on.includes(edge.on) && edge.condition !== null ? [edge.condition] : [],
    );
    const sources = [...new Set(loop === null ? texts : [loop, ...texts])];
    if (sources.length === 0) return [() => "true"];
    const found =
      partition(sources, { ...this.#tries, ...(domain ? { domain } : {}) }) ??
      this.#allCases(sources);
    if (!found.isExact) this.#isExact = false;
    return found.cases.map(
      ({ truths }) =>
        (source) =>
          truths[sources.indexOf(source)] ?? "error",
    );
  }

  /** Nothing is known: each of the conditions may hold or not. */
  #allCases(sources: readonly string[]): Partition {
    this.#isExact = false;
    const none = sources.map((): Truth => "false");
    const one = sources.map((_, i) => sources.map((__, j): Truth => (i === j ? "true" : "false")));
    if (this.#node.routing === "first" || sources.length > FREE_MAX) {
      const all = sources.map((): Truth => "true");
      const list = [none, ...one, all].map((truths) => ({ truths, witness: [] }));
      if (this.#node.routing !== "first") throw new TooManyOutcomes();
      return { cases: list, isExact: false };
    }
    const cases = Array.from({ length: 2 ** sources.length }, (_, bits) => ({
      truths: sources.map((__, i): Truth => ((bits >> i) & 1 ? "true" : "false")),
      witness: [],
    }));
    return { cases, isExact: false };
  }
}

/** A node whose edges would have to be combined in too many ways. */
class TooManyOutcomes extends Error {
  override readonly name = "TooManyOutcomes";
}

function roundsDomain(
  path: readonly string[],
  { first, last }: { first: number; last: number },
): Domain | undefined {
  if (path.length !== 1 || path[0] !== "iteration") return undefined;
  const allows = (value: unknown): boolean =>
    typeof value === "number" && value >= first && value <= last;
  return { constants: [first, last], isInteger: true, allows };
}

const ERROR_FIELDS: Readonly<Record<string, string>> = {
  ...{ code: "string", message: "string", node: "string", attempts: "number" },
};

/** After a failure `output` is `{error: {code, message, node, attempts, details}}`. */
function errorDomain(path: readonly string[]): Domain | undefined {
  const [root, part, field = ""] = path;
  if (root !== "output" || (part === "error" && field === "details")) return undefined;
  const isObject = path.length === 1 || (path.length === 2 && part === "error");
  const isField = path.length === 3 && part === "error" && Object.hasOwn(ERROR_FIELDS, field);
  const type = isObject ? "object" : isField ? ERROR_FIELDS[field] : "undefined";
  const allows = (value: unknown): boolean => value !== null && typeof value === type;
  return { constants: [], isInteger: field === "attempts", allows };
}
