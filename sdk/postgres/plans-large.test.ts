/**
 * F02: what people and supervisors ask touches the rows of its answer and not the table, however
 * many runs there are. GAVOTTE_PLAN_ROWS says how many; the bound does not depend on it. Statistics
 * are those of the full tables, as a deployment of some age has them.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testDatabase } from "../../test/support/index.ts";
import { listApprovals } from "./approvals.ts";
import { listAudit } from "./audit.ts";
import { blobsOfRun, collectBlobs, FIRST_BLOB } from "./blobs.ts";
import { compensationOf, openChildren, openChildrenOf } from "./children.ts";
import type { Database, Queryable } from "./connect.ts";
import { listDeadLetters, readDeadLetter, settleLettersOfTrees } from "./dead-letters.ts";
import { journalSizes, readBackwards, readJournal } from "./journal.ts";
import { anyWaiting, endingRuns, NO_GATE, waitingGates } from "./limit-queue.ts";
import { openInTree } from "./redrives.ts";
import { lastEndOfTree, leaveNamespace, openInNamespace, openOfTree } from "./run-namespaces.ts";
import { deleteTrees, endedRoots, endedTrees } from "./retention.ts";
import { listRuns } from "./run-lists.ts";
import { FIRST_RUN, listSuspects, readRun, suspectRuns } from "./runs.ts";
import { dueSleepers, wakePaused } from "./sleep.ts";
import {
  idleRuns,
  queuedRuns,
  quietRuns,
  runsOfWorkflow,
  unfinishedRuns,
  usedHashes,
} from "./unfinished.ts";

const ROWS = Number(process.env["GAVOTTE_PLAN_ROWS"] ?? 20_000);
const SLOW = 60_000 + ROWS;
const LIMIT = 20;
/** Rows that a page of 20 may touch, in all tables. */
const TOUCHED_MAX = 300;
const server = await testDatabase();
const db: Database = server.connect();

/** One in a thousand failed, one in ten is a child; a rare workflow, a rare tenant, few unfinished. */
const FILL = [
  `INSERT INTO runs (id, tenant, workflow, version, ir_hash, partition, priority, status, input,
      created_at_ms, started_at_ms, ended_at_ms, updated_at_ms, parent_run_id)
    SELECT CASE WHEN i % 10 = 0 THEN 'r' || i - 1 || '~c' ELSE 'r' || i END,
      CASE WHEN i % 5000 = 1 THEN 'rare' ELSE '' END,
      CASE WHEN i % 5000 = 2 THEN 'rare' ELSE 'w' || i % 7 END, '1', 'h', i % 4, 'normal',
      CASE WHEN i % 1000 = 3 THEN 'FAILED' WHEN i % 2000 = 4 THEN 'RUNNING' ELSE 'COMPLETED' END,
      '{}', i, i, CASE WHEN i % 2000 <> 4 THEN i END, i,
      CASE WHEN i % 10 = 0 THEN 'r' || i - 1 END
    FROM generate_series(1, ${ROWS}) AS i`,
  `INSERT INTO journal SELECT partition, id, created_at_ms, created_at_ms, 1, 1, '[]' FROM runs`,
  `INSERT INTO dead_letters (id, kind, run_id, node, error, state, created_at_ms)
    SELECT 'l' || i, 'token', 'r' || i, 'n' || i % 3, '{"code":"X"}',
      CASE WHEN i % 5000 = 3 THEN 'open' ELSE 'retried' END, i
    FROM generate_series(1, ${ROWS}) AS i`,
  `INSERT INTO audit SELECT 'a' || i, i, 'ann', 'run.pause', 'r' || i, '', '', ''
    FROM generate_series(1, ${ROWS}) AS i`,
  `INSERT INTO approvals (id, run_id, node_index, node, scope, attempt, title, assignees, required,
      state, opened_at_ms)
    SELECT 'a' || i, 'r' || i, 0, 'n', '', 1, 't', '[]', 1,
      CASE WHEN i % 5000 = 3 THEN 'open' ELSE 'approved' END, i
    FROM generate_series(1, ${ROWS}) AS i`,
  `INSERT INTO blobs SELECT encode(sha256(i::text::bytea), 'hex'), '1', i
    FROM generate_series(1, ${ROWS / 10}) AS i`,
  `INSERT INTO run_blobs SELECT 'r' || 10 * i + 1, encode(sha256(i::text::bytea), 'hex')
    FROM generate_series(1, ${ROWS / 10 - 1}) AS i`,
  "ANALYZE",
];

let serial = 0;
beforeAll(async () => {
  for (const text of FILL) {
    await db.query({ name: `plans_fill_${serial++}`, text });
  }
}, SLOW);
afterAll(() => server.close());

const OLD = { endedBeforeMs: ROWS, lettersBeforeMs: 0 };
const MIDDLE = { createdAtMs: ROWS / 2, id: "" };
const ROOTS = Array.from({ length: LIMIT }, (_, i) => `r${20 * i + 9}`);
type Questions = { readonly [question: string]: (tx: Queryable) => Promise<unknown> };
const questions: Questions = {
  "a run": (tx) => readRun(tx, "r77"),
  "a run's history": (tx) => readJournal(tx, "r77"),
  "the archiver: errors in a row": (tx) =>
    readBackwards(tx, new Map(ROOTS.map((id) => [id, ROWS])), () => false),
  "a run's compensation": (tx) => compensationOf(tx, "r77"),
  "a run's blobs": (tx) => blobsOfRun(tx, "r71"),
  runs: (tx) => listRuns(tx, { limit: LIMIT }),
  "runs of an earlier page": (tx) => listRuns(tx, { limit: LIMIT, beforeMs: ROWS / 2 }),
  "runs that failed": (tx) => listRuns(tx, { limit: LIMIT, status: "FAILED" }),
  "runs that were cancelled, of which there are none": (tx) =>
    listRuns(tx, { limit: LIMIT, status: "CANCELLED" }),
  "runs that run": (tx) => listRuns(tx, { limit: LIMIT, status: "RUNNING" }),
  "runs that run or have ended well": (tx) =>
    listRuns(tx, { limit: LIMIT, status: ["RUNNING", "QUEUED", "COMPLETED"] }),
  "runs of a rare workflow": (tx) => listRuns(tx, { limit: LIMIT, workflow: "rare" }),
  "runs of a rare tenant": (tx) => listRuns(tx, { limit: LIMIT, tenant: "rare" }),
  "children of a run": (tx) => listRuns(tx, { limit: LIMIT, parent: "r79" }),
  "unfinished runs of a run's tree": (tx) => openInTree(tx, "r79", LIMIT),
  "a command's runs that are open": (tx) => openOfTree(tx, "r79", LIMIT),
  "a command's runs that it serves": (tx) =>
    openInNamespace(tx, { runId: "r79", namespace: "ns:x:" }, LIMIT),
  "a command's runs: the last end": (tx) => lastEndOfTree(tx, "r79"),
  "a command's runs leave it": (tx) => leaveNamespace(tx, { runId: "r79", namespace: "ns:x:" }),
  "open dead letters": (tx) => listDeadLetters(tx, { limit: LIMIT, state: "open" }),
  "dead letters": (tx) => listDeadLetters(tx, { limit: LIMIT }),
  "dead letters of a run": (tx) => listDeadLetters(tx, { limit: LIMIT, runId: "r77" }),
  "a dead letter": (tx) => readDeadLetter(tx, "l77"),
  "the archiver: letters of trees that ended": (tx) => settleLettersOfTrees(tx, ROOTS),
  "the audit": (tx) => listAudit(tx, { limit: LIMIT }),
  "the audit of a run": (tx) => listAudit(tx, { limit: LIMIT, runId: "r77" }),
  "open approvals": (tx) => listApprovals(tx, { limit: LIMIT, state: "open" }),
  approvals: (tx) => listApprovals(tx, { limit: LIMIT }),
  "approvals of a run": (tx) => listApprovals(tx, { limit: LIMIT, runId: "r77" }),
  "why: runs that stand still": (tx) => quietRuns(tx, ROWS, LIMIT),
  "the start sweep": (tx) => queuedRuns(tx, ROWS, LIMIT),
  "a rebuild: unfinished runs": (tx) => unfinishedRuns(tx, 0, FIRST_RUN, LIMIT),
  "a rebuild: sizes of journals": (tx) => journalSizes(tx, ["r77", "r78"]),
  "a pause: runs of a workflow": (tx) =>
    runsOfWorkflow(tx, {
      ...{ name: "w4", version: "*", status: "RUNNING", after: FIRST_RUN, limit: LIMIT },
    }),
  "doctor: suspects": (tx) => listSuspects(tx, LIMIT),
  "repairs: suspects": (tx) => suspectRuns(tx, 0, "", LIMIT),
  "the sleeper": (tx) => idleRuns(tx, 0, ROWS, FIRST_RUN, LIMIT),
  "the waker": (tx) => dueSleepers(tx, 0, ROWS, LIMIT),
  "the watch over children": (tx) => openChildren(tx, 0, "", LIMIT),
  "children of parents that ended": (tx) => openChildrenOf(tx, ROOTS, "", LIMIT),
  "limits: who waits": async (tx) => [
    await anyWaiting(tx),
    await endingRuns(tx, LIMIT),
    await waitingGates(tx, NO_GATE, LIMIT),
  ],
  "the reaper: workflows in use": (tx) => usedHashes(tx, ["h"]),
  "the reaper: blobs": (tx) => collectBlobs(tx, ROWS, FIRST_BLOB, LIMIT),
  "retention: a page of roots": (tx) => endedRoots(tx, OLD, MIDDLE, LIMIT),
  "retention: their trees": (tx) => endedTrees(tx, OLD, ROOTS),
  "retention: deleting them": (tx) => deleteTrees(tx, OLD, ROOTS),
};

it.each(Object.entries(questions))(
  "F02: %s: what is touched does not grow with the tables",
  async (_, question) => {
    const touched = await db.transaction(async (tx) => {
      const before = await counted(tx);
      await question(tx);
      return (await counted(tx)) - before;
    });
    expect(touched).toBeLessThan(TOUCHED_MAX);
  },
);

/**
 * More unfinished runs than a page holds, beside those that have ended: what looks for others is not
 * to read through them, and what looks for them reads a page and not the table.
 */
const CROWD = 3000;
const crowd = (at: string, columns: string, values: string): string[] => [
  `INSERT INTO runs (id, workflow, version, ir_hash, partition, priority, status, input,
      created_at_ms, started_at_ms, updated_at_ms${columns})
    SELECT 'c' || i, 'crowd', '1', 'crowd', i % 4, 'normal', ${values.replace(/;.*/u, "")}, '{}',
      ${at}, 1, 1${values.replace(/^[^;]*;?/u, "")}
    FROM generate_series(1, ${CROWD}) AS i`,
  `INSERT INTO journal SELECT partition, id, 1, 1, 1, 1, '[]' FROM runs WHERE id LIKE 'c%'
      AND status <> 'QUEUED'`,
];
const SPREAD = `i * ${Math.floor(ROWS / CROWD)}`;
const NEWEST = `${ROWS} + i`;
const QUIET: Questions = {
  "what stands still": (tx) => quietRuns(tx, ROWS, LIMIT),
  "what stands still, later": (tx) => quietRuns(tx, ROWS, LIMIT, MIDDLE),
  "the sleeper": (tx) => idleRuns(tx, 1, ROWS, FIRST_RUN, LIMIT),
  "the sleeper, later": (tx) => idleRuns(tx, 1, ROWS, MIDDLE, LIMIT),
  "the start sweep": (tx) => queuedRuns(tx, 2 * ROWS, LIMIT),
  "a rebuild": (tx) => unfinishedRuns(tx, 1, FIRST_RUN, LIMIT),
  "a rebuild, later": (tx) => unfinishedRuns(tx, 1, MIDDLE, LIMIT),
  "runs that run": (tx) => listRuns(tx, { limit: LIMIT, status: "RUNNING" }),
  "runs that are queued": (tx) => listRuns(tx, { limit: LIMIT, status: "QUEUED" }),
  "runs that are paused": (tx) => listRuns(tx, { limit: LIMIT, status: "PAUSED" }),
  "runs that are not over": (tx) =>
    listRuns(tx, { limit: LIMIT, status: ["QUEUED", "RUNNING", "PAUSED", "FINISHING"] }),
};
const OTHERS: Questions = {
  ...QUIET,
  "a pause of their workflow": (tx) => ofCrowd(tx, "1"),
  "a pause of another version": (tx) => ofCrowd(tx, "2"),
  "workflows in use": (tx) => usedHashes(tx, ["crowd"]),
};
const ofCrowd = (tx: Queryable, version: string): Promise<unknown> =>
  runsOfWorkflow(tx, { name: "crowd", version, status: "RUNNING", after: FIRST_RUN, limit: LIMIT });
const ASLEEP = ", asleep_since_ms, sleep_seq, wakes_at_ms";
const crowds: { [crowd: string]: { fill: string[]; questions: Questions } } = {
  "wait, as old as the others": { fill: crowd(SPREAD, "", "'RUNNING'"), questions: QUIET },
  "wait, newest of all": { fill: crowd(NEWEST, "", "'RUNNING'"), questions: QUIET },
  "are paused": { fill: crowd(SPREAD, "", "'PAUSED'"), questions: QUIET },
  sleep: { fill: crowd(SPREAD, ASLEEP, "'RUNNING';, 1, 1, 4e15"), questions: OTHERS },
  "are held": { fill: crowd(SPREAD, ", held", "'QUEUED';, true"), questions: OTHERS },
};

describe("F02: where the runs of a paused workflow sleep", () => {
  const own = testDatabase();
  let full: Database;
  beforeAll(async () => {
    full = (await own).connect();
    for (const text of [
      ...FILL.slice(0, 2),
      ...crowd(SPREAD, ASLEEP, "'PAUSED';, 1, 1, 4e15"),
      "UPDATE runs SET sleep_causes = 'w' WHERE id LIKE 'c%'",
      "ANALYZE",
    ]) {
      await full.query({ name: `plans_fill_${serial++}`, text });
    }
  }, SLOW);
  afterAll(async () => (await own).close());

  it("a resume asks for each once, a page at a time, and then looks at none of them again", async () => {
    const sizes: unknown[] = [];
    const spy: Queryable = {
      query: async (statement, values) => {
        const rows = await full.query(statement, values);
        sizes.push(...rows.map((row) => (row as { count?: number }).count ?? []).flat());
        return rows as never;
      },
    };
    const crowdOf = { name: "crowd", version: "*" };
    expect(await wakePaused(spy, crowdOf, "w", CROWD / 3)).toBe(true);
    expect(sizes).toEqual([CROWD / 3, CROWD / 3, CROWD / 3, 0]);
    const touched = await full.transaction(async (tx) => {
      const before = await counted(tx);
      await wakePaused(tx, crowdOf, "w");
      return (await counted(tx)) - before;
    });
    expect(touched).toBeLessThan(TOUCHED_MAX);
  });
});

describe.each(Object.entries(crowds))("F02: where many %s", (_, { fill, questions: asked }) => {
  const own = testDatabase();
  let full: Database;
  beforeAll(async () => {
    full = (await own).connect();
    for (const text of [...FILL.slice(0, 2), ...fill, "ANALYZE"]) {
      await full.query({ name: `plans_fill_${serial++}`, text });
    }
  }, SLOW);
  afterAll(async () => (await own).close());

  it.each(Object.entries(asked))("%s touches its page", async (__, question) => {
    const touched = await full.transaction(async (tx) => {
      const before = await counted(tx);
      await question(tx);
      return (await counted(tx)) - before;
    });
    expect(touched).toBeLessThan(TOUCHED_MAX);
  });
});

/** Rows that this transaction has read so far, in whichever way and table of ours. */
async function counted(tx: Queryable): Promise<number> {
  const [row] = await tx.query<{ rows: number }>({
    name: "all_rows_touched",
    text: `SELECT sum(seq_tup_read + COALESCE(idx_tup_fetch, 0))::integer AS rows
      FROM pg_stat_xact_user_tables`,
  });
  return row?.rows ?? 0;
}
