/**
 * Stored workflows as the supervisor needs them, kept by hash.
 *
 * Only what is committed to Postgres is kept: a run is accepted without its definition when its
 * hash is here. What was merely compiled is described, and kept once its batch is committed.
 *
 * Besides the IR: which nodes make up a run's output, whether a run can leave a timer armed, and a
 * validator of its input.
 *
 * Those used last are kept, as many as their texts allow: an IR takes one and a half times as much
 * again as its text.
 */
import type { Ir, Json, NodeType } from "../compiler/ir.ts";
import {
  makeValidator,
  Recent,
  TAKES_TOO_LONG,
  terminalNodes,
  type UserValidator,
} from "../sdk/internal.ts";
import { definitionsByHash, type Queryable } from "../sdk/postgres/index.ts";
import { COSTLY, isQuick, NO_THREAD, type Checked, type CompileGuard } from "./compile-guard.ts";
import type { LATER } from "./patience.ts";
import type { SubmissionProblem } from "./submission.ts";

export interface StoredIr {
  hash: string;
  ir: Ir;
  /** Canonical JSON text of the IR. */
  text: string;
  /** Indexes of the nodes whose outputs make up the output of a run. */
  terminals: number[];
  /** A run of it can have timers armed when it ends. */
  hasTimers: boolean;
  /** A run of it can have maps. */
  hasMaps: boolean;
  /** It asks people for approvals. */
  hasApprovals: boolean;
  /** It does so in a loop or a map: what asks may be void while the run goes on. */
  asksInside: boolean;
  /** Workflows that its nodes run, those in bodies of maps too. */
  references: WorkflowReference[];
  /** Some node, in a map's body too, says what undoes it. */
  compensates: boolean;
}

export interface WorkflowReference {
  /** `name` or `name@x`, as the file has it. */
  ref: string;
  /** Id of the node. */
  node: string;
}

type AskGuard = (
  check: () => Promise<SubmissionProblem[]>,
) => Promise<SubmissionProblem[] | typeof LATER>;

const PROBLEMS_MAX = 20;
/** Of text, of all that are kept. */
const CHARS_MAX = 32_000_000;
/** Of a check on the event loop: some 50 ms. */
const QUICK_LOOKS = 300_000;
/** Kinds whose tokens may wait for a time. */
const WAITING: ReadonlySet<NodeType> = new Set(["delay", "wait", "human"]);

export class IrStore {
  readonly #db: Queryable;
  readonly #byHash: Recent<StoredIr>;
  /** They go with their workflows, of which some are never kept. */
  readonly #validators = new WeakMap<StoredIr, UserValidator | string>();
  readonly #quick = new WeakMap<StoredIr, boolean>();

  #misses = 0;

  constructor(db: Queryable, charsMax = CHARS_MAX) {
    this.#db = db;
    this.#byHash = new Recent(charsMax);
  }

  /** How often a workflow was here, and how often it was asked of Postgres. */
  get looks(): { hits: number; misses: number } {
    return { hits: this.#byHash.hits, misses: this.#misses };
  }

  /** Keeps an IR that was read from Postgres. */
  put(hash: string, ir: Ir | (() => Ir), text: string): StoredIr {
    const known = this.#byHash.get(hash);
    return known ?? this.keep(describeIr(hash, typeof ir === "function" ? ir() : ir, text));
  }

  /** Keeps one that is committed to Postgres; returns it. */
  keep(stored: StoredIr): StoredIr {
    const known = this.#byHash.get(stored.hash);
    if (known !== undefined) {
      return known;
    }
    this.#byHash.set(stored.hash, stored, stored.text.length);
    return stored;
  }

  /** An IR of which it is known that it was loaded; undefined otherwise. */
  peek(hash: string): StoredIr | undefined {
    return this.#byHash.get(hash);
  }

  /** Loads what is missing in one query; hashes that nobody stored are absent from the answer. */
  async load(hashes: Iterable<string>): Promise<Map<string, StoredIr>> {
    const found = new Map<string, StoredIr>();
    const missing: string[] = [];
    for (const hash of new Set(hashes)) {
      const known = this.#byHash.get(hash);
      if (known === undefined) {
        missing.push(hash);
      } else {
        found.set(hash, known);
      }
    }
    this.#misses += missing.length;
    for (const { hash, ir } of await definitionsByHash(this.#db, missing)) {
      found.set(hash, this.put(hash, JSON.parse(ir) as Ir, ir));
    }
    return found;
  }

  /**
   * What is wrong with a run's input by the workflow's schema; empty if nothing. With a guard it has
   * what takes long (compile-guard.ts), and `isSuspect` is never checked here. LATER: it needs the
   * guard, and `ask` has put it off.
   */
  check(
    stored: StoredIr,
    input: Json,
    guard?: CompileGuard,
    isSuspect = false,
    ask: AskGuard = (check) => check(),
  ): SubmissionProblem[] | Promise<SubmissionProblem[] | typeof LATER> {
    const schema = stored.ir.input_schema;
    if (schema === null) {
      return [];
    }
    if (guard === undefined) {
      return problemsOf(this.#checked(stored, schema, input));
    }
    if (!isSuspect && this.#isQuick(stored, schema)) {
      const quick = this.#checked(stored, schema, input, QUICK_LOOKS);
      if (typeof quick === "string" || quick[0]?.message !== TAKES_TOO_LONG) {
        return problemsOf(quick);
      }
    }
    return ask(() => this.#checkApart(stored, schema, input, guard));
  }

  async #checkApart(
    stored: StoredIr,
    schema: Json,
    input: Json,
    guard: CompileGuard,
  ): Promise<SubmissionProblem[]> {
    const checked = await guard.check(JSON.stringify(schema), JSON.stringify(input));
    if (checked === NO_THREAD) {
      return problemsOf(this.#checked(stored, schema, input));
    }
    if (checked === COSTLY) {
      const message = `checking the input by input_schema takes more than ${guard.bounds}`;
      return [{ code: "GV_WORKFLOW_COSTLY", message, path: "input" }];
    }
    return problemsOf(checked);
  }

  #isQuick(stored: StoredIr, schema: Json): boolean {
    const known = this.#quick.get(stored) ?? isQuick(JSON.stringify(schema));
    this.#quick.set(stored, known);
    return known;
  }

  #checked(stored: StoredIr, schema: Json, input: Json, looksMax?: number): Checked {
    let validate = this.#validators.get(stored);
    if (validate === undefined) {
      validate = makeValidator(schema);
      this.#validators.set(stored, validate);
    }
    return typeof validate === "string" ? validate : validate(input, looksMax);
  }
}

function problemsOf(checked: Checked): SubmissionProblem[] {
  if (typeof checked === "string") {
    return [{ code: "GV_WORKFLOW_INVALID", message: `input_schema cannot be used: ${checked}` }];
  }
  return checked.slice(0, PROBLEMS_MAX).map(({ path: inside, message }) => {
    const path = `input${inside}`;
    return { code: "GV_BAD_INPUT", message: `${path} ${message}`, path };
  });
}

/** What the supervisor needs to know of an IR. */
export function describeIr(hash: string, ir: Ir, text: string): StoredIr {
  const terminals = terminalNodes(ir);
  const hasTimers =
    ir.loops.some((loop) => loop.delay_ms > 0) ||
    ir.nodes.some(
      (node) =>
        node.retry.max_attempts > 1 ||
        node.queue_timeout_ms !== undefined ||
        // A map's timeout is a timer of the run; those of its elements are released with the map.
        ((node.type === "map" || node.type === "subworkflow") && node.timeout_ms !== null) ||
        node.rate_limit !== undefined ||
        node.circuit_breaker !== undefined ||
        WAITING.has(node.type),
    );
  const hasMaps = ir.nodes.some((node) => node.type === "map");
  const references = referencesOf(ir);
  const compensates = canCompensate(ir);
  return {
    ...{ hash, ir, text, terminals, hasTimers, hasMaps, references, compensates },
    ...{ hasApprovals: asks(ir), asksInside: asksInside(ir) },
  };
}

function asks(ir: Ir): boolean {
  return ir.nodes.some(({ type, body }) => type === "human" || (body !== undefined && asks(body)));
}

function asksInside({ nodes }: Ir): boolean {
  return nodes.some(
    ({ type, loop, body }) =>
      (type === "human" && loop !== null) || (body !== undefined && asks(body)),
  );
}

function referencesOf(ir: Ir): WorkflowReference[] {
  return ir.nodes.flatMap((node) => {
    const ref = node.config["workflow"];
    const own = node.type === "subworkflow" && typeof ref === "string";
    return [
      ...(own ? [{ ref, node: node.id }] : []),
      ...(node.body === undefined ? [] : referencesOf(node.body)),
    ];
  });
}

function canCompensate(ir: Ir): boolean {
  return ir.nodes.some(
    ({ compensate, body }) =>
      compensate !== undefined || (body !== undefined && canCompensate(body)),
  );
}
