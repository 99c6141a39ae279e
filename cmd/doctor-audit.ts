/** `gavotte doctor --audit`: is every token accounted for, and does anything stand without a run? */
import {
  driftText,
  GavotteError,
  partitionKeys,
  partitionOf,
  ScriptRunner,
  type Drift,
  type Redis,
} from "../sdk/internal.ts";
import { readRun } from "../sdk/postgres/index.ts";
import type { RepairReport } from "../supervisor/index.ts";
import type { Check } from "./doctor-checks.ts";
import type { Output } from "./output.ts";
import type { Stack } from "./stack.ts";
import { leftOut, whereServed } from "./where-served.ts";

export interface AuditFlags {
  run?: string;
  repair?: boolean;
}

export interface AuditResult {
  checks: Check[];
  runs: number;
  drifts: Drift[];
  /** Partitions whose server is away: of their runs nothing is known. */
  away: number[];
  repair?: RepairReport;
}

/** Audits a run, or all of them in Redis and what belongs to none; repairs if asked to. */
export async function auditStack(
  stack: Stack,
  flags: AuditFlags,
  output: Output,
): Promise<AuditResult> {
  const { auditContext, auditPartition, findDrifts, repairDrifts } =
    await import("../supervisor/index.ts");
  const client = await stack.client();
  const { id: deployment, partitions } = await client.deployment();
  const { redis } = client;
  const audit = auditContext({ redis, db: stack.db });
  const all = Array.from({ length: partitions }, (_, p) => p);
  const wanted = flags.run === undefined ? all : [partitionOf(flags.run, partitions)];
  const result: AuditResult = { checks: [], runs: 0, drifts: [], away: [] };
  const look = async (partition: number): Promise<Drift[]> => {
    stack.signal.throwIfAborted();
    if (flags.run !== undefined) {
      await assertKnown(stack, redis, partition, flags.run);
      result.runs = 1;
      return findDrifts(audit, partition, flags.run);
    }
    const report = await auditPartition(audit, partition, () => stack.signal.throwIfAborted());
    result.runs += report.runs;
    return report.drifts;
  };
  const repair = async (partition: number, drifts: readonly Drift[]): Promise<void> => {
    output.note(`partition ${partition}: repairing what was found`);
    const { signal, patienceMs } = stack;
    const scripts = new ScriptRunner({ redis, deployment, partition, signal, patienceMs });
    result.repair = together(result.repair, await repairDrifts(audit, scripts, drifts));
  };
  for (const partition of wanted) {
    const done = await whereServed(redis, partition, async () => {
      const drifts = await look(partition);
      result.drifts.push(...drifts);
      if (flags.repair === true && drifts.length > 0) {
        await repair(partition, drifts);
      }
      return true;
    });
    void (done ?? result.away.push(partition));
  }
  result.checks = [...driftChecks(result), ...repairChecks(result.repair)];
  return result;
}

/** A mistyped id is not to be told sound. Throws GV_RUN_NOT_FOUND: neither a row nor a key. */
async function assertKnown(
  stack: Stack,
  redis: Redis,
  partition: number,
  runId: string,
): Promise<void> {
  const isInRedis = (await redis.exists(partitionKeys(partition).run(runId))) === 1;
  if (!isInRedis && (await readRun(stack.db, runId)) === null) {
    throw new GavotteError("GV_RUN_NOT_FOUND", `there is no run ${runId}; check the id`);
  }
}

function together(
  before: RepairReport | undefined,
  { repaired, removed, failed }: RepairReport,
): RepairReport {
  return {
    repaired: [...(before?.repaired ?? []), ...repaired],
    removed: (before?.removed ?? 0) + removed,
    failed: [...(before?.failed ?? []), ...failed],
  };
}

function driftChecks({ runs, drifts, away }: AuditResult): Check[] {
  const missing = leftOut("audit", away, "nothing was audited, or not all of it,");
  if (drifts.length === 0) {
    const text = `${runs} run(s) looked at, nothing is off`;
    return [{ name: "audit", state: "ok", text }, ...missing];
  }
  const found = drifts.map((drift): Check => {
    const state = drift.harmless === true ? "warning" : "bad";
    return { name: "audit", state, text: driftText(drift) };
  });
  return [...found, ...missing];
}

function repairChecks(repair: RepairReport | undefined): Check[] {
  if (repair === undefined) {
    return [];
  }
  const { repaired, removed, failed } = repair;
  const text = `${repaired.length} run(s) rebuilt from their journals, ${removed} thing(s) removed`;
  return [
    { name: "repair", state: "ok", text },
    ...failed.map(({ runId, text: why }): Check => {
      return { name: "repair", state: "bad", text: `run ${runId}: ${why}` };
    }),
  ];
}
