/**
 * Binding: which definitions the workflow references of a run mean, settled when the run is accepted.
 *
 * A sub-workflow named without a version is the newest one of its name at that moment, for the whole
 * tree and until its end: what is published later concerns later runs. So the closure of all
 * references is worked out before anything is stored, and a reference to nothing is the submitter's
 * error, not one of a node an hour later. A workflow may refer to itself; how deep it goes is a
 * matter of the run.
 */
import type { Ir } from "../compiler/ir.ts";
import {
  definitionByRef,
  definitionsByHash,
  parseWorkflowRef,
  type Definition,
  type DefinitionName,
  type WorkflowRef,
} from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";
import { describeIr, type StoredIr } from "./ir-store.ts";
import type { SubmissionProblem } from "./submission.ts";

/** A workflow to bind; `definition` is null if it is stored already. */
export interface Bindable {
  stored: StoredIr;
  definition: Definition | null;
}

/** What a run's row keeps, and the definitions of this batch that it needs. */
export interface Bound {
  /** JSON text: reference to IR hash; null if there is no reference. */
  bindings: string | null;
  definitions: Definition[];
}

const REFERENCES_MAX = 1000;

/** What a workflow without references is bound to. */
export const UNBOUND: Bound = { bindings: null, definitions: [] };

/** Binds the references of one batch; each is looked up once. */
export class Binder {
  readonly #context: SupervisorContext;
  readonly #fresh: readonly Definition[];
  readonly #found = new Map<string, Definition | DefinitionName | null>();
  #unstored: Promise<Definition[]> | null = null;

  /** `fresh`: definitions that come with the batch, which may refer to one another. */
  constructor(context: SupervisorContext, fresh: readonly Definition[]) {
    this.#context = context;
    this.#fresh = fresh;
  }

  /** The bindings of a workflow's tree, or what is wrong. */
  async bind(root: Bindable): Promise<Bound | SubmissionProblem[]> {
    const bindings: { [ref: string]: string } = Object.create(null) as { [ref: string]: string };
    const definitions = new Map<string, Definition>();
    const problems: SubmissionProblem[] = [];
    const open = [root.stored];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const { ref, node } of at.references.filter((one) => bindings[one.ref] === undefined)) {
        const found = await this.#lookUp(ref);
        const stored = found === null ? undefined : await this.#describe(found);
        if (found === null || stored === undefined) {
          problems.push(missing(at.ir, node, ref));
          continue;
        }
        bindings[ref] = found.hash;
        open.push(stored);
        if ("ir" in found) {
          definitions.set(found.hash, found);
        }
      }
      if (Object.keys(bindings).length > REFERENCES_MAX) {
        const message = `the run's tree has more than ${REFERENCES_MAX} workflow references`;
        return [{ code: "GV_WORKFLOW_INVALID", message, path: "workflow" }];
      }
    }
    const text = JSON.stringify(bindings);
    return problems.length > 0
      ? problems
      : { bindings: text, definitions: [...definitions.values()] };
  }

  /** Undefined if it was stored, and is no more. */
  async #describe(found: Definition | DefinitionName): Promise<StoredIr | undefined> {
    const { hash } = found;
    return "ir" in found
      ? describeIr(hash, JSON.parse(found.ir) as Ir, found.ir)
      : (await this.#context.irs.load([hash])).get(hash);
  }

  /** With its texts if it comes with the batch. */
  async #lookUp(text: string): Promise<Definition | DefinitionName | null> {
    let found = this.#found.get(text);
    if (found === undefined) {
      const ref = parseWorkflowRef(text);
      const stored = await definitionByRef(this.#context.db, ref.name, ref.version);
      found = stored;
      for (const definition of await this.#newcomers()) {
        // What is stored only now is newer than all that is stored.
        if (rank(definition, ref) >= Math.max(1, stored === null ? 0 : rank(stored, ref))) {
          found = definition;
        }
      }
      this.#found.set(text, found);
    }
    return found;
  }

  /** Those of the batch's definitions that are not stored yet. */
  #newcomers(): Promise<Definition[]> {
    this.#unstored ??= definitionsByHash(
      this.#context.db,
      this.#fresh.map(({ hash }) => hash),
    ).then((stored) => {
      const known = new Set(stored.map(({ hash }) => hash));
      return this.#fresh.filter(({ hash }) => !known.has(hash));
    });
    return this.#unstored;
  }
}

/** How well a definition fits a reference: 3 by version, 2 by tag, 1 by name, 0 not. */
function rank(definition: DefinitionName, ref: WorkflowRef): number {
  if (definition.name !== ref.name) {
    return 0;
  }
  if (ref.version === null) {
    return 1;
  }
  if (definition.version === ref.version) {
    return 3;
  }
  return definition.tags?.includes(ref.version) === true ? 2 : ref.version === "latest" ? 1 : 0;
}

function missing(ir: Ir, node: string, ref: string): SubmissionProblem {
  const message =
    `node "${node}" of workflow "${ir.name}" refers to workflow "${ref}", which is not published; ` +
    "publish it first (gavotte publish FILE)";
  return { code: "GV_WORKFLOW_NOT_FOUND", message, path: `workflow/nodes/${node}` };
}

/** Hashes that the bindings of a run's row name. */
export function boundHashes(bindings: string | null | undefined): string[] {
  return bindings === null || bindings === undefined
    ? []
    : Object.values(JSON.parse(bindings) as { [ref: string]: string });
}
