/**
 * Runs that are asleep: not in Redis, because they wait for long (docs/hibernate.md).
 *
 * A row says so from the archiver's commit of `run.hibernated` until whoever has put the run back
 * into Redis says that it is there. Whoever wants a run awake only asks for it here; the supervisor
 * that holds the run's partition does it. So asking is durable, and asking twice is asking once.
 */
import { bigintArray, textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
import { RUN_COLUMNS, type RunRow } from "./runs.ts";

export interface FallenAsleep {
  runId: string;
  sinceMs: number;
  /** Record of the partition's journal that tells of it. */
  seq: number;
  /** When its earliest timer is due, Redis time in ms; null: it has none. */
  wakesAtMs: number | null;
  /** Why it is paused, as field `ps` of its hash; "": it is not. */
  causes: string;
}

/** A run that has been put back: its sleep, and its epoch in Redis. */
export interface Awake {
  runId: string;
  seq: number;
  epoch: number;
}

type Row = RunRow & { [column: string]: unknown };
const FINAL = "('COMPLETED', 'FAILED', 'CANCELLED')";
// Where rows are named by id: nothing that statistics know about, so the planner goes by the ids
// and not by "nobody is asleep" or "nobody is unfinished" as of their last look.
const NAMED_ASLEEP = "COALESCE(asleep_since_ms, -1) >= 0";
const NAMED_UNFINISHED = `COALESCE(status, '') NOT IN ${FINAL}`;

// A run that was paused with its workflow by somebody who hung while the pause was taken back and
// forgotten is to be woken at once: nobody will ask for it any more.
const SLEEP = {
  name: "runs_sleep",
  text: `UPDATE runs r SET asleep_since_ms = u.since, sleep_seq = u.seq, sleep_causes = u.causes,
      wakes_at_ms = CASE WHEN strpos(u.causes, $6) = 0 OR EXISTS (SELECT 1 FROM pauses p
          WHERE p.kind = 'workflow' AND p.name = r.workflow AND p.version IN ('*', r.version))
        THEN u.wakes ELSE 0 END
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
      AS u(id, since, seq, wakes, causes)
    WHERE r.id = u.id AND ${NAMED_UNFINISHED}`,
};
const WAKE_PARENTS = {
  name: "runs_wake_parents",
  text: `UPDATE runs p SET wakes_at_ms = 0 FROM runs c
    WHERE c.id = ANY($1::text[]) AND p.id = COALESCE(c.parent_run_id, '')
      AND COALESCE(p.asleep_since_ms, -1) >= 0`,
};
const ASK = {
  name: "runs_ask_wake",
  text: `UPDATE runs SET wakes_at_ms = 0
    WHERE id = ANY($1::text[]) AND ${NAMED_ASLEEP} AND wakes_at_ms IS DISTINCT FROM 0`,
};
const DUE = {
  name: "runs_due_sleepers",
  text: `SELECT ${RUN_COLUMNS} FROM runs
    WHERE partition = $1 AND asleep_since_ms IS NOT NULL AND wakes_at_ms <= $2
    ORDER BY wakes_at_ms LIMIT $3`,
};
const PUT_OFF = {
  name: "runs_put_off_wake",
  text: `UPDATE runs SET wakes_at_ms = $2 WHERE id = ANY($1::text[]) AND ${NAMED_ASLEEP}`,
};
const CLAIM = {
  name: "runs_claim_wake",
  text: `UPDATE runs SET epoch = epoch + 1
    WHERE id = ANY($1::text[]) AND ${NAMED_ASLEEP} AND ${NAMED_UNFINISHED}
    RETURNING ${RUN_COLUMNS}`,
};
// The cursor's row is locked: a roll-back either sees these runs awake, or comes first and undoes it.
const AWAKE = {
  name: "runs_awake",
  text: `WITH held AS (SELECT 1 FROM cursors WHERE partition = $1 AND epoch = $2 FOR SHARE)
    UPDATE runs r SET epoch = u.epoch, asleep_since_ms = NULL, sleep_seq = NULL, wakes_at_ms = NULL,
      sleep_causes = NULL
    FROM unnest($3::text[], $4::bigint[], $5::bigint[]) AS u(id, seq, epoch), held
    WHERE r.id = u.id AND r.sleep_seq = u.seq RETURNING r.id`,
};
// One whose causes nobody has noted may be meant. One that another pause names, its version's or its
// workflow's, sleeps on.
const MEANT = `($2 = '*' OR r.version = $2)
    AND (r.sleep_causes IS NULL OR strpos(r.sleep_causes, $3) > 0)
    AND NOT EXISTS (SELECT 1 FROM pauses p WHERE p.kind = 'workflow' AND p.state = 'paused'
      AND p.name = r.workflow AND p.version IN ('*', r.version))`;
// In `runs_asleep_paused_idx`, which has those that are asked for (0) apart from the others (1).
const ASLEEP_PAUSED = `r.workflow = $1 AND r.status = 'PAUSED' AND r.asleep_since_ms IS NOT NULL`;
const IS_ASKED = "LEAST(COALESCE(r.wakes_at_ms, 1), 1)";
const WAKE_PAUSED = {
  name: "runs_wake_paused",
  text: `WITH page AS MATERIALIZED (SELECT id FROM runs r
        WHERE ${ASLEEP_PAUSED} AND ${IS_ASKED} = 1 AND id > $4 ORDER BY id LIMIT $5),
      asked AS (UPDATE runs r SET wakes_at_ms = 0 FROM page
        WHERE r.id = page.id AND ${MEANT} AND r.asleep_since_ms IS NOT NULL)
    SELECT max(id) AS last, count(*)::int AS count FROM page`,
};
const ANY_PAUSED = {
  name: "runs_any_paused_asleep",
  text: `SELECT EXISTS (SELECT 1 FROM runs r WHERE ${ASLEEP_PAUSED} AND ${IS_ASKED} = 0 AND ${MEANT})
      OR EXISTS (SELECT 1 FROM runs r WHERE ${ASLEEP_PAUSED} AND ${IS_ASKED} = 1 AND ${MEANT})
      AS found`,
};
/** Rows of one transaction: the archiver writes them, too. */
const WAKE_PAGE = 500;
const COUNT = {
  name: "runs_asleep_count",
  text: `SELECT count(*)::int AS asleep FROM runs WHERE asleep_since_ms IS NOT NULL`,
};

/**
 * Marks runs as asleep, in the transaction that archives what says so. `cause`: that of a workflow's
 * pause; a run with it that no pause names is due at once.
 */
export async function sleepRuns(
  tx: Queryable,
  runs: readonly FallenAsleep[],
  cause: string,
): Promise<void> {
  if (runs.length > 0) {
    await tx.query(SLEEP, [
      textArray(runs.map((run) => run.runId)),
      bigintArray(runs.map((run) => run.sinceMs)),
      bigintArray(runs.map((run) => run.seq)),
      bigintArray(runs.map((run) => run.wakesAtMs)),
      textArray(runs.map((run) => run.causes)),
      cause,
    ]);
  }
}

/** Has sleeping parents of these children woken, in the transaction that archives how they ended. */
export async function wakeParents(tx: Queryable, children: readonly string[]): Promise<void> {
  await (children.length === 0 ? undefined : tx.query(WAKE_PARENTS, [textArray(children)]));
}

/** Asks for those of these runs that are asleep to be woken. */
export async function askToWake(db: Queryable, runIds: readonly string[]): Promise<void> {
  await (runIds.length === 0 ? undefined : db.query(ASK, [textArray(runIds)]));
}

/**
 * Asks for the sleeping runs of a workflow to be woken that are paused for this cause, and whose
 * workflow no pause in force names, `limit` rows in a transaction; whether any of them still sleeps. One
 * that was asked for is not looked at again.
 */
export async function wakePaused(
  db: Queryable,
  workflow: { name: string; version: string },
  cause: string,
  limit = WAKE_PAGE,
): Promise<boolean> {
  const values = [workflow.name, workflow.version, cause];
  let count: number;
  let after = "";
  do {
    type Page = { last: string | null; count: number };
    const [page] = await db.query<Page>(WAKE_PAUSED, [...values, after, limit]);
    count = page?.count ?? 0;
    after = page?.last ?? "";
  } while (count === limit);
  return (await db.query<{ found: boolean }>(ANY_PAUSED, values))[0]?.found ?? false;
}

/** Sleeping runs of a partition whose time is before `beforeMs`, or that are asked for. */
export async function dueSleepers(
  db: Queryable,
  partition: number,
  beforeMs: number,
  limit: number,
): Promise<RunRow[]> {
  return db.query<Row>(DUE, [partition, beforeMs, limit]);
}

/** These runs cannot be woken as they are: their turn comes again at `untilMs`, or when asked for. */
export async function putOffWake(
  db: Queryable,
  runIds: readonly string[],
  untilMs: number,
): Promise<void> {
  await db.query(PUT_OFF, [textArray(runIds), untilMs]);
}

/** Gives each of these runs that is still asleep a new epoch; their rows with it. */
export async function claimWake(db: Queryable, runIds: readonly string[]): Promise<RunRow[]> {
  return runIds.length === 0 ? [] : db.query<Row>(CLAIM, [textArray(runIds)]);
}

/**
 * Says that these runs are in Redis again. What has fallen asleep anew since stays asleep, and so
 * does everything if the partition has another epoch by now: its Redis was lost, and they with it.
 */
export async function markAwake(
  db: Queryable,
  place: { partition: number; epoch: number },
  runs: readonly Awake[],
): Promise<string[]> {
  if (runs.length === 0) {
    return [];
  }
  const rows = await db.query<{ id: string }>(AWAKE, [
    place.partition,
    place.epoch,
    textArray(runs.map((run) => run.runId)),
    bigintArray(runs.map((run) => run.seq)),
    bigintArray(runs.map((run) => run.epoch)),
  ]);
  return rows.map(({ id }) => id);
}

/** How many runs are asleep. */
export async function countAsleep(db: Queryable): Promise<number> {
  return (await db.query<{ asleep: number }>(COUNT))[0]?.asleep ?? 0;
}
