/**
 * What a sleeping run waits for. It is not in Redis: its journal is folded into what its waking would
 * write there, and of that the same is told as of a run that is awake.
 */
import type { Ir } from "../../compiler/ir.ts";
import { PAUSE_CAUSES, partitionKeys, Profiles, type HotState } from "../../sdk/internal.ts";
import {
  isPaused,
  isValueFault,
  journalPages,
  listPauses,
  type ArchivedTransition,
  type Database,
  type RunRow,
} from "../../sdk/postgres/index.ts";
import { redisNowMs, type Explanation, type Reason } from "../explain.ts";
import { dueText } from "./due.ts";
import { foldPages, writeRun } from "../write-run.ts";
import { notingPauses, tellPauses } from "./pauses.ts";
import { LEASE_MS } from "./place.ts";
import { explainSnapshot } from "./snapshot.ts";
import type { WhyTarget } from "./why.ts";
import { WrittenRun } from "./written-run.ts";

/** That it is asleep, and what there is to say of its pause, its tokens and its joins. */
export async function explainSleep(
  { redis, db, node, leaseMs = LEASE_MS }: WhyTarget,
  row: RunRow,
  ir: Ir | null,
): Promise<Pick<Explanation, "reasons" | "more">> {
  const nowMs = await redisNowMs(redis, row.partition);
  const asleep = sleepReason(row, nowMs);
  const known = await whenWoken(db, row, ir).catch(unreadable);
  if (ir === null || typeof known === "string") {
    const text = `${asleep.text}; it cannot be woken: ${String(known)}; "gavotte cancel" ends it`;
    return { reasons: [{ ...asleep, text }], more: 0 };
  }
  const { partition } = row;
  const { pauses, state, written } = known;
  const nobody = { workers: [], backlog: { bytes: 0, bytesMax: 0 } }; // nothing of it is queued
  const context = { redis, partition, snapshot: written.snapshot, leaseMs, nowMs, ...nobody };
  const { reasons, more } = await explainSnapshot(context, ir, node);
  const isPausedSince =
    !state.pauseCauses.includes(PAUSE_CAUSES.workflow) &&
    isPaused(await listPauses(db), row.workflow, row.version);
  const since = isPausedSince ? [PAUSED_SINCE] : [];
  const told = await tellPauses(db, row, pauses, [...since, ...reasons]);
  return { reasons: [asleep, ...told], more };
}

/** The run as its waking would write it; a text: why it cannot be woken. */
async function whenWoken(db: Database, row: RunRow, ir: Ir | null): Promise<Written | string> {
  if (ir === null) {
    return `its definition ${row.irHash} is not stored`;
  }
  const { partition, namespace, priority, irHash } = row;
  const profile = new Profiles().add(ir, irHash, { partition, namespace, priority });
  const pauses: ArchivedTransition[] = [];
  const state = await foldPages(profile, notingPauses(journalPages(db, row.id), pauses));
  const written = new WrittenRun(partitionKeys(partition), row.id);
  writeRun(written, profile, row, state, row.asleepSinceMs ?? 0);
  return { pauses, state, written };
}

interface Written {
  /** Of its journal what `tellPauses` asks for. */
  pauses: ArchivedTransition[];
  state: HotState;
  written: WrittenRun;
}

function unreadable(error: unknown): string {
  if (!isValueFault(error)) {
    throw error;
  }
  return (error as Error).message;
}

/** A pause of its workflow does not wake it. */
const PAUSED_SINCE: Reason = {
  kind: "paused",
  causes: PAUSE_CAUSES.workflow,
  held: 0,
  text: "its workflow is paused: so is the run when it wakes",
};

function sleepReason({ asleepSinceMs, wakesAtMs }: RunRow, nowMs: number): Reason {
  const sinceMs = asleepSinceMs ?? 0;
  const dueMs = wakesAtMs === 0 ? null : wakesAtMs;
  const wakes =
    wakesAtMs === 0
      ? "somebody has asked for it: a supervisor wakes it within a second; is one running?"
      : dueMs === null
        ? "wakes when something comes for it"
        : `wakes before ${dueText(dueMs, nowMs)}, or when something comes for it`;
  const since = new Date(sinceMs).toISOString();
  const text = `asleep since ${since}: it waits for long and is not in Redis; ${wakes}`;
  return { kind: "asleep", sinceMs, dueMs, text };
}
