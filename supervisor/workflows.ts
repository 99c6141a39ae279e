/**
 * From a submission's workflow to a stored definition: compiled, looked up by name, or by hash.
 *
 * Compiled documents are kept by the digest of their text: a producer that submits the same
 * workflow a thousand times has it compiled once. A hash may name what was compiled here but is not
 * stored, or not yet: its definition then comes with it, so that no run is accepted without one.
 */
import { canonicalJson } from "../compiler/index.ts";
import type { Ir, Json } from "../compiler/ir.ts";
import { Recent } from "../sdk/internal.ts";
import { definitionByRef, type Definition, type WorkflowRef } from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";
import { describeIr, type StoredIr } from "./ir-store.ts";
import type { Submission, SubmissionProblem } from "./submission.ts";

export interface CompileDiagnostic {
  severity: string;
  code: string;
  message: string;
  pointer?: string;
  line?: number;
  column?: number;
}

/** The compiler's face as the intake needs it; `ir` is null when there are errors. */
export type Compile = (source: { document: Json }) => {
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

export class Workflows {
  readonly #context: SupervisorContext;
  readonly #compile: Compile;
  readonly #compiled = new Recent<Resolved>(COMPILED_CHARS_MAX);
  readonly #compiledByHash = new Recent<Found>(COMPILED_CHARS_MAX);

  constructor(context: SupervisorContext, compile: Compile) {
    this.#context = context;
    this.#compile = compile;
  }

  /** The definition of each submission, or what is wrong with it, in order. */
  async resolve(submissions: readonly Submission[]): Promise<Resolved[]> {
    const hashes = submissions.flatMap(({ workflow }) =>
      "hash" in workflow ? [workflow.hash] : [],
    );
    const stored = await this.#context.irs.load(hashes);
    const resolved: Resolved[] = [];
    // Looked up once per batch, and anew in the next: what was published counts at once.
    const refs = new Map<string, Resolved>();
    for (const { workflow } of submissions) {
      if ("document" in workflow) {
        resolved.push(this.#compileOnce(workflow.document, workflow.key));
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

  #compileOnce(document: { [key: string]: Json }, key: string): Resolved {
    let resolved = this.#compiled.get(key);
    if (resolved === undefined) {
      resolved = this.#compileNow(document);
      const chars = charsOf(resolved);
      this.#compiled.set(key, resolved, chars);
      if (!Array.isArray(resolved)) {
        this.#compiledByHash.set(resolved.stored.hash, resolved, chars);
      }
    }
    return resolved;
  }

  #compileNow(document: { [key: string]: Json }): Resolved {
    let result: ReturnType<Compile>;
    try {
      result = this.#compile({ document });
    } catch (error) {
      // The compiler reports what it finds; that it throws is its own fault, and no reason to stop.
      this.#context.logger.error({ err: error }, "the compiler failed on a submitted workflow");
      const message = "the compiler failed on this workflow; please report it";
      return [{ code: "GV_WORKFLOW_INVALID", message, path: "workflow" }];
    }
    const { ir, hash } = result;
    if (ir === null || hash === null) {
      return result.diagnostics
        .filter(({ severity }) => severity === "error")
        .slice(0, PROBLEMS_MAX)
        .map(({ code, message, pointer }) => ({ code, message, path: `workflow${pointer ?? ""}` }));
    }
    const text = canonicalJson(ir);
    const version = ir.workflow_version;
    const source = JSON.stringify(document);
    const createdAtMs = this.#context.clock.nowMs();
    const { tags = [] } = result;
    const definition = { hash, name: ir.name, version, ir: text, source, tags, createdAtMs };
    return { stored: this.#context.irs.peek(hash) ?? describeIr(hash, ir, text), definition };
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

function charsOf(resolved: Resolved): number {
  return Array.isArray(resolved)
    ? REFUSED_CHARS
    : resolved.stored.text.length + (resolved.definition?.source?.length ?? 0);
}

function notFound(message: string, path: string): SubmissionProblem[] {
  return [{ code: "GV_WORKFLOW_NOT_FOUND", message, path }];
}
