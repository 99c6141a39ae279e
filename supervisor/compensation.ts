/**
 * Undoing what a run did that failed or was cancelled: a run of its own, whose workflow is the chain
 * of its nodes' compensations, last completed first.
 *
 * Its row is inserted in the transaction that archives the run's end, under an id that follows from
 * the run's: so there is one, whoever dies in between. The chain's functions are the workflow, their
 * parameters the run's input; runs that fail at the same place share a definition. A compensation
 * that fails for good stops the chain, since what was done before may be undone only after it: the
 * step is in the dead letters, and the run can be redriven.
 */
import { createHash } from "node:crypto";
import { canonicalJson, compile, type Ir, type Json } from "../compiler/index.ts";
import { BlobError, BlobTaker, blobText, rootOf, type Transition } from "../sdk/internal.ts";
import {
  insertDefinitions,
  insertRuns,
  runsById,
  type Definition,
  type NewRun,
  type Queryable,
} from "../sdk/postgres/index.ts";
import { resolveOutput } from "./blobs.ts";
import { compensationSteps, type CompensationStep, type ReadBlob } from "./compensation-steps.ts";
import type { SupervisorContext } from "./context.ts";
import type { RunFold } from "./fold-block.ts";
import type { StoredIr } from "./ir-store.ts";

export interface Compensation {
  run: NewRun;
  definition: Definition;
}

/** Steps that one compensation may have. */
const STEPS_MAX = 10_000;
const MAX_ATTEMPTS = 5;
const ID_CHARS_MAX = 200;
/** Of a workflow's name, and of its version, as the compiler takes them. */
const NAME_CHARS_MAX = 150;
const VERSION_CHARS_MAX = 100;

/** Id of the run that undoes a run; it lies in the same partition. */
export function compensationId(runId: string): string {
  const digest = createHash("sha256")
    .update(JSON.stringify(["compensate", runId]))
    .digest("hex");
  return `${rootOf(runId)}~${digest.slice(0, 20)}`;
}

/** Those of a block's ended runs that leave something to undo, with what is known of them. */
export function toCompensate(
  ended: readonly RunFold[],
  irs: ReadonlyMap<string, StoredIr>,
): RunFold[] {
  return ended.filter(
    ({ runId, status }) =>
      (status === "FAILED" || status === "CANCELLED") && irs.get(runId)?.compensates === true,
  );
}

/** The compensations of these runs; `history` holds all their transitions. Reads only. */
export async function planCompensations(
  context: SupervisorContext,
  partition: number,
  runs: readonly RunFold[],
  irs: ReadonlyMap<string, StoredIr>,
  history: ReadonlyMap<string, readonly Transition[]>,
): Promise<Compensation[]> {
  if (runs.length === 0) {
    return [];
  }
  const roots = runs.map(({ runId }) => rootOf(runId));
  const rows = await runsById(context.db, [...runs.map(({ runId }) => runId), ...roots]);
  const rowOf = new Map(rows.map((row) => [row.id, row]));
  const planned: Compensation[] = [];
  for (const [i, fold] of runs.entries()) {
    const stored = irs.get(fold.runId);
    // The row of a child that started in this very block is not there yet; its tenant is its root's.
    const own = rowOf.get(fold.runId) ?? fold.child;
    const root = rowOf.get(roots[i] as string);
    if (stored === undefined || own === null) {
      continue;
    }
    const { namespace, priority, input } = own;
    const told = history.get(fold.runId) ?? [];
    const blobs = blobReader(context, partition, fold.runId);
    const about = { id: fold.runId, input };
    const steps = (await compensationSteps(stored.ir, about, told, blobs)).reverse();
    const workflow = steps.length === 0 ? null : workflowOf(context, stored.ir, fold.runId, steps);
    if (workflow !== null) {
      const large = new BlobTaker();
      const given = steps.length > STEPS_MAX ? [] : steps;
      const text = large.text(JSON.stringify(inputOf(fold.runId, stored.ir, given)));
      planned.push({
        definition: workflow,
        run: {
          ...{ id: compensationId(fold.runId), tenant: root?.tenant ?? "", partition },
          ...{ workflow: workflow.name, version: workflow.version, irHash: workflow.hash },
          ...{ namespace, priority, input: text, idempotencyKey: null, requestHash: "" },
          ...{ createdAtMs: context.clock.nowMs(), compensates: fold.runId },
          ...(large.blobs.length > 0 && { blobs: large.blobs }),
        },
      });
    }
  }
  return planned;
}

/**
 * Reads large outputs of a run. What is lost is told, and its step fails by name: it must not keep
 * the archive from going on.
 */
function blobReader(context: SupervisorContext, partition: number, runId: string): ReadBlob {
  return async (ref) => {
    try {
      return await resolveOutput(context, partition, runId, blobText(ref));
    } catch (error) {
      if (!(error instanceof BlobError)) {
        throw error;
      }
      context.logger.error({ err: error, run: runId }, "an output to be undone is not complete");
      return null;
    }
  };
}

/** Inserts them; those already there stay as they are. */
export async function insertCompensations(
  tx: Queryable,
  planned: readonly Compensation[],
): Promise<void> {
  if (planned.length > 0) {
    const definitions = new Map(planned.map(({ definition }) => [definition.hash, definition]));
    await insertDefinitions(tx, [...definitions.values()]);
    await insertRuns(
      tx,
      planned.map(({ run }) => run),
    );
  }
}

function inputOf(
  runId: string,
  ir: Ir,
  steps: readonly CompensationStep[],
): { [key: string]: Json } {
  return {
    run_id: runId,
    workflow: ir.name,
    steps: steps.map(({ node, scope, home, output, params }) => ({
      ...{ node, scope },
      ...(home === "" ? {} : { home }),
      ...(params === undefined ? { output } : { params }),
    })),
  };
}

/** What undoes steps one after the other; if it cannot be made, one that says so and fails. */
export function workflowOf(
  context: Pick<SupervisorContext, "logger" | "clock">,
  ir: Ir,
  runId: string,
  steps: readonly CompensationStep[],
): Definition | null {
  const made =
    steps.length > STEPS_MAX
      ? `the run has left ${steps.length} steps to undo, more than the ${STEPS_MAX} of one run`
      : chainOf(context, ir, steps);
  if (typeof made !== "string") {
    return made;
  }
  context.logger.error({ run: runId, why: made }, "a run is not undone");
  const [first] = steps as [CompensationStep];
  const failing = chainOf(context, ir, [{ ...first, problem: `nothing is undone: ${made}` }]);
  return typeof failing === "string" ? null : failing;
}

/** As a name may be: workflows that were stored before the compiler said so may have others. */
function named(name: string, charsMax: number): string {
  return [...readable(name).replaceAll("@", "-")].slice(0, charsMax).join("");
}

/** What a document may hold: no control characters, no half of a character, nor what stands for one. */
function readable(text: string): string {
  return Buffer.from(text)
    .toString()
    .replace(/[\p{Cc}\ufffd]/gu, "-");
}

/** The chain of these steps, or why there is none. */
function chainOf(
  context: Pick<SupervisorContext, "clock">,
  ir: Ir,
  steps: readonly CompensationStep[],
): Definition | string {
  // The number alone makes an id of the chain.
  const ids = steps.map(({ node }, i) => `undo-${i + 1}-${node}`.slice(0, ID_CHARS_MAX));
  const suffix = ":compensation";
  const document: Json = {
    metadata: {
      name: `${named(ir.name, NAME_CHARS_MAX - suffix.length)}${suffix}`,
      version: named(ir.workflow_version, VERSION_CHARS_MAX),
    },
    nodes: steps.map((step, i) => nodeOf(step, ids[i] as string, i)),
    edges: ids.slice(1).map((to, i) => ({ from: ids[i] as string, to })),
    settings: { priority: ir.settings.priority },
  };
  const { ir: chain, hash, diagnostics } = compile({ document }, { limits: { bytes: 2 ** 30 } });
  if (chain === null || hash === null) {
    return diagnostics[0]?.message ?? "its workflow does not compile";
  }
  const { name, workflow_version: version } = chain;
  const text = canonicalJson(chain);
  return { hash, name, version, ir: text, source: null, createdAtMs: context.clock.nowMs() };
}

function nodeOf(step: CompensationStep, id: string, place: number): Json {
  if (step.problem !== undefined) {
    const params = { code: "BAD_INPUT", message: readable(step.problem).replaceAll("${", "$ {") };
    return { id, type: "function", config: { function_name: "builtin.fail", params } };
  }
  const at = `input.steps[${place}]`;
  return {
    ...{ id, type: "function", queue: step.queue, retry: { max_attempts: MAX_ATTEMPTS } },
    config: {
      function_name: step.functionName,
      ...(step.params === undefined
        ? { input: `\${${at}.output}` }
        : { input: null, params: `\${${at}.params}` }),
    },
  };
}
