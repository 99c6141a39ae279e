/** The audit of a partition or of one run, and its repair: what `gavotte doctor --audit` does. */
import {
  driftKey,
  isTerminal,
  removeOrphan,
  runEpoch,
  seenOf,
  type Drift,
  type Redis,
  type ScriptRunner,
} from "../../sdk/internal.ts";
import { FIRST_RUN, readRun, unfinishedRuns, type Database } from "../../sdk/postgres/index.ts";
import { IrStore } from "../ir-store.ts";
import { findDrifts, stillDrifts, type AuditContext } from "./audit-run.ts";
import { Backlog } from "./backlog.ts";
import { scanPartition } from "./orphans.ts";
import { removeDrift, repairRun } from "./repair.ts";
import { StreamIndex } from "./streams.ts";

const ROWS = 200;

/** What an audit needs, of a process that is no supervisor. */
export function auditContext(stores: { redis: Redis; db: Database }): AuditContext {
  return { ...stores, irs: new IrStore(stores.db) };
}

export interface AuditReport {
  /** Runs looked at. */
  runs: number;
  drifts: Drift[];
}

/** Audits every run of a partition, and what stands there without one. */
export async function auditPartition(
  context: AuditContext,
  partition: number,
  onRun: (runId: string) => void = () => undefined,
): Promise<AuditReport> {
  const streams = new StreamIndex(context.redis);
  const indexes = { streams, backlog: new Backlog(context.redis, partition) };
  const { runIds, orphans } = await scanPartition(context.redis, partition, streams);
  const drifts = [...orphans];
  const seen = new Set(runIds);
  const audit = async (runId: string): Promise<void> => {
    onRun(runId);
    drifts.push(...(await findDrifts(context, partition, runId, indexes)));
  };
  for (const runId of runIds) {
    await audit(runId);
  }
  let after = FIRST_RUN;
  for (;;) {
    const rows = await unfinishedRuns(context.db, partition, after, ROWS);
    for (const { id } of rows.filter((row) => !seen.has(row.id))) {
      seen.add(id);
      await audit(id);
    }
    if (rows.length < ROWS) {
      return { runs: seen.size, drifts };
    }
    after = rows.at(-1) ?? FIRST_RUN;
  }
}

export interface RepairReport {
  repaired: string[];
  removed: number;
  /** What could not be repaired, and why. */
  failed: { runId: string; text: string }[];
}

/** Puts drifts right. A drift that passes by itself is left alone. */
export async function repairDrifts(
  context: AuditContext,
  scripts: ScriptRunner,
  drifts: readonly Drift[],
): Promise<RepairReport> {
  const report: RepairReport = { repaired: [], removed: 0, failed: [] };
  const { partition } = scripts;
  const streams = new StreamIndex(context.redis);
  const indexes = { streams, backlog: new Backlog(context.redis, partition) };
  for (const [runId, reasons] of await toRebuild(context, drifts)) {
    const isCalledFor = async (): Promise<boolean> => {
      for (const [of, found] of reasons) {
        if ((await stillDrifts(context, partition, of, found, indexes)).length > 0) {
          return true;
        }
      }
      return false;
    };
    const answer = await repairRun(context, scripts, runId, isCalledFor);
    if (answer.kind === "repaired") {
      report.repaired.push(runId);
    } else {
      report.failed.push({ runId, text: answer.text });
    }
  }
  const others = new Map(
    drifts
      .filter(({ remedy }) => remedy === "remove" || remedy === "release")
      .map((drift) => [driftKey(drift), drift]),
  );
  for (const drift of others.values()) {
    if (drift.kind === "run_unknown") {
      report.failed.push({ runId: drift.runId ?? "", text: `${drift.is}: look at it yourself` });
    } else {
      report.removed += Number(await removeDrift(context, scripts, drift));
    }
  }
  // What the rebuilt runs have left of their former epochs.
  for (const runId of report.repaired) {
    report.removed += await removeFormer(scripts, runId);
  }
  return report;
}

/** Runs to rebuild; of each for which drifts, by the run that was found to have them. */
async function toRebuild(
  context: AuditContext,
  drifts: readonly Drift[],
): Promise<Map<string, Map<string, Drift[]>>> {
  const runs = new Map<string, Map<string, Drift[]>>();
  for (const drift of drifts) {
    const of = drift.remedy === "rebuild" ? drift.runId : null;
    if (of !== null) {
      const runId = await wantedFor(context, of, drift);
      const reasons = runs.get(runId) ?? new Map<string, Drift[]>();
      runs.set(runId, reasons.set(of, [...(reasons.get(of) ?? []), drift]));
    }
  }
  return runs;
}

/** Of a child that is missing: itself, or, if it has ended, the parent that waits to read how. */
async function wantedFor(
  { db }: AuditContext,
  runId: string,
  { kind, member }: Drift,
): Promise<string> {
  if (kind !== "child_missing" || member === undefined) {
    return runId;
  }
  const child = await readRun(db, member);
  return child !== null && !isTerminal(child.status) ? member : runId;
}

/** Timers of a run's former epochs: they would fire without effect. Not once it has another one. */
async function removeFormer(scripts: ScriptRunner, runId: string): Promise<number> {
  const { redis, keys } = scripts;
  const run = await seenOf(scripts, runId);
  const looked = { run, key: keys.timers, type: "zset" };
  let removed = 0;
  let at = "0";
  do {
    const [next, page] = await redis.zscan(keys.timers, at, "MATCH", `*|${runId}*|*`);
    at = next;
    const old = page.filter((member, i) => {
      const [, unit = "", of = ""] = member.split("|");
      return i % 2 === 0 && unit.split("!", 1)[0] === runId && runEpoch(of) !== run.epoch;
    });
    const isRemoved =
      old.length > 0 && (await removeOrphan(scripts, looked, [["ZREM", keys.timers, ...old]]));
    removed += isRemoved ? old.length : 0;
  } while (at !== "0");
  return removed;
}
