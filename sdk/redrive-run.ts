/**
 * Carrying out a redrive: the plan is made from the archived journal, Postgres gives it an epoch of
 * its own, one script puts the run back. What was in Redis of the attempt before is waited for to be
 * released, so that nothing of it can be taken for the new one's.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { Ir, Json } from "../compiler/ir.ts";
import { BlobTaker } from "./blobs.ts";
import type { Clock } from "./clock.ts";
import { GavotteError } from "./errors.ts";
import { assertGiven } from "./given.ts";
import { hasGap } from "./journal.ts";
import {
  compensationOf,
  claimPlace,
  keepPlace,
  claimRedrive,
  definitionsByHash,
  isPaused,
  listPauses,
  openInTree,
  placeHolder,
  readJournal,
  readRun,
  type Database,
  type RunRow,
} from "./postgres/index.ts";
import { Profiles } from "./profile.ts";
import { namespaceAgain } from "./run-namespaces.ts";
import { stageBlobs } from "./staged-blobs.ts";
import { planRedrive, type RedrivePlan, type RedrivePreview, type RedriveWish } from "./redrive.ts";
import { redriveRun } from "./redis/redrive-script.ts";
import { redisTimeMs, START_WINDOW_MS } from "./redis/run-scripts.ts";
import type { ScriptRunner } from "./redis/script-runner.ts";
import { publishIr } from "./redis/write-anyway.ts";

export interface RedriveContext {
  redis: Redis;
  db: Database;
  clock: Clock;
  irOf: (hash: string) => Promise<Ir>;
  scripts(runId: string): Promise<ScriptRunner>;
}

export interface RedriveResult extends RedrivePreview {
  /** The attempt of the run that this is, or would be. */
  attempt: number;
}

const RELEASE_WAIT_MS = 20_000;
const ARCHIVE_WAIT_MS = 10_000;
const POLL_MS = 50;
/** Longer than a redrive may take until its row is open again. */
const PLACE_CLAIM_MS = 60_000;
/** Of one that runs again, until the archive, which may be behind, says so. */
const PLACE_KEPT_MS = 15 * 60_000;

/** What a redrive would do. Throws as `redrive` would now. */
export async function previewRedrive(
  context: RedriveContext,
  runId: string,
  wish: RedriveWish,
): Promise<RedriveResult> {
  const row = await failedRun(context, runId);
  const { preview } = await planOf(context, row, wish, new BlobTaker());
  assertPlace(runId, await placeHolder(context.db, runId));
  return { ...preview, attempt: row.attempt + 1 };
}

/**
 * Redrives a failed run; resolves when that is archived. Throws GV_RUN_NOT_FOUND,
 * GV_RUN_STATUS_REFUSED (it has not failed, is a child, children of it run, its journal has a gap),
 * GV_BAD_INPUT, GV_CONCURRENCY_LIMIT (its key has no place for it).
 */
export async function redrive(
  context: RedriveContext,
  runId: string,
  wish: RedriveWish,
): Promise<RedriveResult> {
  const scripts = await context.scripts(runId);
  const until = performance.now() + RELEASE_WAIT_MS;
  for (;;) {
    // The clock first: an epoch that is asked for later than the deadline assumes is refused.
    const notAfterMs = (await redisTimeMs(scripts)) + START_WINDOW_MS;
    const row = await failedRun(context, runId);
    const namespace = namespaceAgain(row.namespace);
    const large = new BlobTaker();
    const plan = await planOf(context, row, wish, large);
    await whenReleased(scripts, row, until);
    await takePlace(context, runId);
    const epoch = await claimRedrive(context.db, runId, row.attempt, namespace);
    if (epoch !== null) {
      const answer = await put(context, scripts, {
        row: { ...row, namespace },
        ...{ plan, large, wish, epoch, notAfterMs },
      });
      if (answer.kind === "redriven") {
        const attempt = row.attempt + 1;
        await keepPlace(context.db, runId, PLACE_KEPT_MS);
        await whenArchived(context.db, runId, attempt);
        return { ...plan.preview, attempt };
      }
    }
    if (performance.now() > until) {
      throw refused(runId, "it changes while it is to be redriven: try again");
    }
    await delay(POLL_MS);
  }
}

/** A redriven run counts for settings.concurrency as a new one does. */
async function takePlace({ db }: RedriveContext, runId: string): Promise<void> {
  assertPlace(runId, await db.transaction((tx) => claimPlace(tx, runId, PLACE_CLAIM_MS)));
}

function assertPlace(runId: string, holder: string | null): void {
  if (holder !== null) {
    const why = `settings.concurrency of its workflow has no place for it: run ${holder} has one`;
    const message = `run ${runId} cannot be redriven: ${why}; wait for its end or cancel it`;
    throw new GavotteError("GV_CONCURRENCY_LIMIT", message, { details: { run_id: holder } });
  }
}

async function put(
  context: RedriveContext,
  scripts: ScriptRunner,
  of: {
    row: RunRow;
    plan: RedrivePlan;
    /** What the plan refers to and is given now. */
    large: BlobTaker;
    wish: RedriveWish;
    epoch: number;
    notAfterMs: number;
  },
): ReturnType<typeof redriveRun> {
  const { row, plan, large, wish, epoch, notAfterMs } = of;
  const ir = await context.irOf(row.irHash);
  const { partition } = scripts;
  const { id: runId, irHash, namespace, priority } = row;
  const profile = new Profiles().add(ir, irHash, { partition, namespace, priority });
  await publish(context, row);
  const staged = await stageBlobs(context.db, scripts, runId, large.blobs);
  const paused = isPaused(await listPauses(context.db), row.workflow, row.version);
  return redriveRun(scripts, {
    ...{ runId, epoch, notAfterMs, profile, state: plan.state, staged, paused },
    fields: {
      ...(row.bindings !== null && { sub: row.bindings }),
      ...(row.depth > 0 && { dep: String(row.depth) }),
    },
    input: plan.redriven.in === undefined ? row.input : JSON.stringify(plan.redriven.in),
    told: {
      ...{ r: runId, e: "run.redriven", ep: epoch, at: row.attempt + 1, rd: plan.redriven },
      by: wish.by,
      ...(wish.why !== undefined && { why: wish.why }),
    },
  });
}

/** Puts the run's workflows where workers look for them: they may have gone with its last run. */
async function publish({ db, redis, clock }: RedriveContext, row: RunRow): Promise<void> {
  const bound = JSON.parse(row.bindings ?? "{}") as { [reference: string]: string };
  for (const { hash, ir } of await definitionsByHash(db, [row.irHash, ...Object.values(bound)])) {
    await publishIr(redis, { hash, text: ir }, clock.nowMs());
  }
}

async function planOf(
  { db, irOf }: RedriveContext,
  row: RunRow,
  wish: RedriveWish,
  large: BlobTaker,
): Promise<RedrivePlan> {
  const { input, inputs, set } = wish;
  assertGiven({ input, inputs, set });
  const journal = await readJournal(db, row.id);
  if (hasGap(journal)) {
    throw refused(row.id, 'its journal has a gap; "gavotte audit" shows what stands there');
  }
  return planRedrive(await irOf(row.irHash), journal, wish, (given) => large.value(given));
}

async function failedRun({ db }: RedriveContext, runId: string): Promise<RunRow> {
  const row = await readRun(db, runId);
  if (row === null) {
    const message = `there is no run ${runId}; "gavotte runs" shows those there are`;
    throw new GavotteError("GV_RUN_NOT_FOUND", message);
  }
  if (row.status !== "FAILED") {
    throw refused(runId, `it is ${row.status}: only a run that failed can be redriven`, row.status);
  }
  const { parentRunId } = row;
  if (parentRunId !== null) {
    throw refused(runId, `it is a child run: redrive ${parentRunId}, the run that it belongs to`);
  }
  const undone = await compensationOf(db, runId);
  if (undone !== null) {
    throw refused(runId, `what it did was undone by run ${undone.id}: submit it anew`);
  }
  const [open] = await openInTree(db, runId, 1);
  if (open !== undefined) {
    throw refused(runId, `its child ${open} still runs: wait for its end or cancel it`);
  }
  return row;
}

/** Waits until nothing is left in Redis of the attempt that failed. */
async function whenReleased(scripts: ScriptRunner, row: RunRow, until: number): Promise<void> {
  const key = scripts.keys.run(row.id);
  while ((await scripts.redis.hget(key, "s")) === "failed") {
    if (performance.now() > until) {
      throw refused(row.id, "its keys are not released yet: does a supervisor run?");
    }
    await delay(POLL_MS);
  }
}

async function whenArchived(db: Database, runId: string, attempt: number): Promise<void> {
  const until = performance.now() + ARCHIVE_WAIT_MS;
  while (((await readRun(db, runId))?.attempt ?? 0) < attempt && performance.now() < until) {
    await delay(POLL_MS);
  }
}

function refused(runId: string, why: string, status?: Json): GavotteError {
  const details = status === undefined ? {} : { details: { status } };
  return new GavotteError("GV_RUN_STATUS_REFUSED", `run ${runId} is not redriven: ${why}`, details);
}
