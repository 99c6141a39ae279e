/**
 * From a submission's workflow to a stored definition: compiled, looked up by name, or by hash.
 *
 * Compiled documents are kept by the digest of their text: a producer that submits the same
 * workflow a thousand times has it compiled once. A hash may name what was compiled here but is not
 * stored, or not yet: its definition then comes with it, so that no run is accepted without one.
 *
 * What is not known to be quick is compiled by the guard's thread, and the event loop turns between
 * two that are.
 */
import { canonicalJson } from "../compiler/index.ts";
import type { Ir, Json } from "../compiler/ir.ts";
import { Recent } from "../sdk/internal.ts";
import { definitionByRef, type Definition, type WorkflowRef } from "../sdk/postgres/index.ts";
import { COSTLY, isQuick, isQuickFile, NO_THREAD, type CompileGuard } from "./compile-guard.ts";
import type { SupervisorContext } from "./context.ts";
import { describeIr, type StoredIr } from "./ir-store.ts";
import { askAtOnce, LATER, type Ask } from "./patience.ts";
import type { Submission, SubmissionProblem, Written } from "./submission.ts";
import { Turns } from "./turns.ts";

export interface CompileDiagnostic {
  severity: string;
  code: string;
  message: string;
  hint?: string | undefined;
  pointer?: string;
  line?: number;
  column?: number;
}

/** The compiler's face as the intake needs it; `ir` is null when there are errors. */
export type Compile = (source: { document: Json } | { text: string }) => {
  ir: Ir | null;
  hash: string | null;
  tags?: readonly string[];
  diagnostics: readonly CompileDiagnostic[];
};

export interface Found {
  stored: StoredIr;
  /** To be stored with the run; null: it is stored. */
  definition: Definition | null;
}

export type Resolved = Found | SubmissionProblem[];

/** Of documents and IRs that were compiled here. */
const COMPILED_CHARS_MAX = 16_000_000;
/** What a document that does not compile counts, with what is wrong with it. */
const REFUSED_CHARS = 5000;
const PROBLEMS_MAX = 20;
/** One that cost too much is refused for so long without being tried again. */
const COSTLY_MS = 600_000;

export class Workflows {
  readonly guard: CompileGuard | undefined;
  readonly #context: SupervisorContext;
  readonly #compile: Compile;
  readonly #compiled = new Recent<Resolved>(COMPILED_CHARS_MAX);
  readonly #compiledByHash = new Recent<Found>(COMPILED_CHARS_MAX);
  /** Until when, by the monotonic clock. */
  readonly #costly = new Recent<number>(COMPILED_CHARS_MAX);
  readonly #turns: Turns;

  /** Without a guard all is compiled here, and checked. */
  constructor(context: SupervisorContext, compile: Compile, guard?: CompileGuard) {
    this.#context = context;
    this.#compile = compile;
    this.guard = guard;
    this.#turns = new Turns(context.clock);
  }

  /**
   * The definition of each submission, or what is wrong with it, in order. `isSuspect`: none is
   * compiled here. LATER: it needs the guard, and `ask` has put it off.
   */
  async resolve(
    submissions: readonly Submission[],
    isSuspect = false,
    ask: Ask = askAtOnce,
  ): Promise<(Resolved | typeof LATER)[]> {
    const hashes = submissions.flatMap(({ workflow }) =>
      "hash" in workflow ? [workflow.hash] : [],
    );
    const stored = await this.#context.irs.load(hashes);
    const resolved: (Resolved | typeof LATER)[] = [];
    // Looked up once per batch, and anew in the next: what was published counts at once.
    const refs = new Map<string, Resolved>();
    for (const { workflow, entryId } of submissions) {
      if ("source" in workflow) {
        resolved.push(
          this.#compiled.get(workflow.key) ??
            (await this.#compileFirst(workflow, isSuspect, entryId, ask)),
        );
      } else if ("ref" in workflow) {
        const key = JSON.stringify(workflow.ref);
        const found = refs.get(key) ?? (await this.#byRef(workflow.ref));
        refs.set(key, found);
        resolved.push(found);
      } else {
        const known = stored.get(workflow.hash);
        const found = known
          ? { stored: known, definition: null }
          : this.#compiledByHash.get(workflow.hash);
        resolved.push(found ?? notFound(`no definition has the hash ${workflow.hash}`, "hash"));
      }
    }
    return resolved;
  }

  async #compileFirst(
    workflow: Written,
    isSuspect: boolean,
    entryId: string,
    ask: Ask,
  ): Promise<Resolved | typeof LATER> {
    const { key, source, text } = workflow;
    const { guard } = this;
    const isFast = "text" in source ? isQuickFile(text) : isQuick(text);
    const isHere = guard === undefined || (!isSuspect && isFast);
    const resolved = isHere
      ? await this.#compileHere(workflow)
      : await this.#apart(workflow, guard, entryId, ask);
    if (resolved === LATER) {
      return LATER;
    }
    if (resolved === COSTLY) {
      return tooCostly(guard as CompileGuard);
    }
    const chars = charsOf(resolved);
    this.#compiled.set(key, resolved, chars);
    if (!Array.isArray(resolved)) {
      this.#compiledByHash.set(resolved.stored.hash, resolved, chars);
    }
    return resolved;
  }

  async #compileHere(workflow: Written): Promise<Resolved> {
    await this.#turns.next();
    try {
      const { ir, ...rest } = this.#compile(workflow.source);
      return this.#resolved({ ...rest, ir, irText: canonicalJson(ir) }, workflow);
    } catch (error) {
      return this.#failed(error);
    }
  }

  async #apart(
    workflow: Written,
    guard: CompileGuard,
    entryId: string,
    ask: Ask,
  ): Promise<Resolved | typeof COSTLY | typeof LATER> {
    const { key, source, text } = workflow;
    const { clock } = this.#context;
    if (clock.monotonicMs() < (this.#costly.get(key) ?? 0)) {
      return COSTLY;
    }
    const answer = await ask(entryId, "compile", () =>
      "text" in source ? guard.compileFile(text) : guard.compile(text),
    );
    if (answer === LATER) {
      return LATER;
    }
    if (answer === NO_THREAD) {
      return this.#compileHere(workflow);
    }
    if (answer === COSTLY) {
      this.#costly.set(key, clock.monotonicMs() + COSTLY_MS, REFUSED_CHARS);
      return COSTLY;
    }
    if ("failed" in answer) {
      return this.#failed(answer.failed);
    }
    const ir = answer.ir === null ? null : (JSON.parse(answer.ir) as Ir);
    return this.#resolved({ ...answer, ir, irText: answer.ir ?? "" }, workflow);
  }

  /** The compiler reports what it finds; that it throws is its own fault, and no reason to stop. */
  #failed(error: unknown): Resolved {
    this.#context.logger.error({ err: error }, "the compiler failed on a submitted workflow");
    const message = "the compiler failed on this workflow; please report it";
    return [{ code: "GV_WORKFLOW_INVALID", message, path: "workflow" }];
  }

  #resolved(result: ReturnType<Compile> & { irText: string }, { source, text }: Written): Resolved {
    const { ir, irText, hash, tags = [] } = result;
    if (ir === null || hash === null) {
      return result.diagnostics
        .filter(({ severity }) => severity === "error")
        .slice(0, PROBLEMS_MAX)
        .map((one) => problemOf(one, "text" in source));
    }
    const { name, workflow_version: version } = ir;
    const createdAtMs = this.#context.clock.nowMs();
    const definition = { hash, name, version, ir: irText, source: text, tags, createdAtMs };
    return { stored: this.#context.irs.peek(hash) ?? describeIr(hash, ir, irText), definition };
  }

  async #byRef({ name, version }: WorkflowRef): Promise<Resolved> {
    const { db, irs } = this.#context;
    const found = await definitionByRef(db, name, version);
    const stored = found === null ? undefined : (await irs.load([found.hash])).get(found.hash);
    if (stored === undefined) {
      const what = version === null ? name : `${name}@${version}`;
      return notFound(`no workflow "${what}" is published`, "workflow_ref");
    }
    return { stored, definition: null };
  }
}

/** Whoever submits by a program sees nothing else of the compiler. Only a file's text has lines. */
function problemOf(one: CompileDiagnostic, isFile: boolean): SubmissionProblem {
  const { code, message, hint, pointer = "", line, column } = one;
  const said = hint === undefined ? message : `${message}; ${hint}`;
  const place = isFile && line !== undefined && column !== undefined ? { line, column } : {};
  return { code, message: said, path: `workflow${pointer}`, ...place };
}

function charsOf(resolved: Resolved): number {
  return Array.isArray(resolved)
    ? REFUSED_CHARS
    : resolved.stored.text.length + (resolved.definition?.source?.length ?? 0);
}

function tooCostly(guard: CompileGuard): SubmissionProblem[] {
  const message =
    `compiling this workflow takes more than ${guard.bounds}: take its large schemas ` +
    "out, or make parts of it workflows of their own, which it runs as steps";
  return [{ code: "GV_WORKFLOW_COSTLY", message, path: "workflow" }];
}

function notFound(message: string, path: string): SubmissionProblem[] {
  return [{ code: "GV_WORKFLOW_NOT_FOUND", message, path }];
}
