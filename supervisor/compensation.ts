/**
 * Undoing what a run did that failed or was cancelled: a run of its own, whose workflow is the chain
 * of its nodes' compensations, last completed first.
 *
 * Its row is inserted in the transaction that archives the run's end, under an id that follows from
 * the run's: so there is one, whoever dies in between. The chain's functions are the workflow, what they
 * are given comes with the run; runs that fail at the same place share a definition. A compensation
 * that fails for good stops the chain, since what was done before may be undone only after it: the
 * step is in the dead letters, and the run can be redriven.
 */
import { createHash } from "node:crypto";
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
import { chainsOf } from "./chains.ts";
import { leftToUndo, type ReadBlob } from "./compensation-steps.ts";
import { undoingOf } from "./compensation-workflow.ts";
import type { SupervisorContext } from "./context.ts";
import type { RunFold } from "./block-fold.ts";
import type { StoredIr } from "./ir-store.ts";
import { Turns } from "./turns.ts";

export interface Compensation {
  run: NewRun;
  definition: Definition;
}

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
  const making = { logger: context.logger, clock: context.clock, chains: chainsOf(context) };
  const turns = new Turns(context.clock);
  for (const [i, fold] of runs.entries()) {
    await turns.next();
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
    const left = await leftToUndo(stored.ir, about, told, blobs);
    const large = new BlobTaker();
    const made =
      left.count === 0 ? null : await undoingOf(making, stored.ir, fold.runId, left, large);
    if (made !== null) {
      const { definition, ...begins } = made;
      const { name: workflow, version, hash: irHash } = definition;
      planned.push({
        definition,
        run: {
          ...{ id: compensationId(fold.runId), tenant: root?.tenant ?? "", partition },
          ...{ workflow, version, irHash, ...begins },
          ...{ namespace, priority, idempotencyKey: null, requestHash: "" },
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
