/** Which trees of runs may go, and what goes with them. */
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { testDatabase, waitFor } from "../../test/support/index.ts";
import { collectBlobs, FIRST_BLOB, insertBlobs, readBlobs } from "./blobs.ts";
import type { Queryable } from "./connect.ts";
import { claimRedrive } from "./redrives.ts";
import {
  deleteSubmissionLetters,
  deleteTrees,
  endedRoots,
  endedTrees,
  type RetentionRule,
} from "./retention.ts";
import { FIRST_RUN } from "./runs.ts";

const server = await testDatabase();
const db = server.connect();
/** Runs that ended at 100 and before are old. */
const RULE: RetentionRule = { endedBeforeMs: 101, lettersBeforeMs: 0 };
const sha = (digit: string): string => digit.repeat(64);

let serial = 0;
const sql = (text: string, values: unknown[] = []) =>
  db.query<{ id: string }>({ name: `retention_test_${serial++}`, text }, values);

afterAll(() => server.close());
beforeEach(() => server.empty());

interface Made {
  status?: string;
  endedAtMs?: number | null;
  workflow?: string;
  more?: string;
}

/** A run with a row of each kind that hangs on it. */
async function make(id: string, made: Made = {}): Promise<void> {
  const { status = "COMPLETED", endedAtMs = 100, workflow = "w" } = made;
  await sql(
    `INSERT INTO runs (id, workflow, version, ir_hash, partition, priority, status, input,
      created_at_ms, ended_at_ms, updated_at_ms)
    VALUES ($1, $3, '1', 'h', 0, 'normal', $2, '{}', 1, $4, 100)`,
    [id, status, workflow, endedAtMs],
  );
  await sql("INSERT INTO journal VALUES (0, $1, 1, 2, 3, 4, '[]')", [id]);
  await sql("INSERT INTO run_attempts VALUES ($1, 1, 'FAILED')", [id]);
  await sql("INSERT INTO audit VALUES ($1, 1, 'ann', 'run.pause', $1, '', '', '')", [id]);
  await sql(
    `INSERT INTO approvals (id, run_id, node_index, node, scope, attempt, title, assignees,
      required, opened_at_ms) VALUES ('a' || $1, $1, 0, 'n', '', 1, 't', '[]', 1, 1)`,
    [id],
  );
  await sql("INSERT INTO approval_decisions VALUES ('a' || $1, 'ann', true, '1', 1, '1.0')", [id]);
}

const letter = (id: string, runId: string | null, state: string, createdAtMs = 1) =>
  sql(
    `INSERT INTO dead_letters (id, kind, run_id, error, state, created_at_ms)
    VALUES ($1, CASE WHEN $2::text IS NULL THEN 'submission' ELSE 'token' END, $2, '{}', $3, $4)`,
    [id, runId, state, createdAtMs],
  );

/** Ids that name a run in any table but the audit. */
async function named(): Promise<string[]> {
  const rows = await sql(`SELECT id FROM runs UNION SELECT run_id FROM journal
    UNION SELECT run_id FROM run_attempts UNION SELECT run_id FROM approvals
    UNION SELECT substr(approval_id, 2) FROM approval_decisions
    UNION SELECT run_id FROM dead_letters WHERE run_id IS NOT NULL
    UNION SELECT run_id FROM run_blobs ORDER BY 1`);
  return rows.map(({ id }) => id);
}

const TREE = ["r", "r~child", "r~child2"];
const makeTree = async (last: Made = {}): Promise<void> => {
  await make("r");
  await make("r~child", { status: "FAILED" });
  await make("r~child2", last);
};

describe("a tree of runs", () => {
  it("goes as a whole, with everything but the audit", async () => {
    await makeTree();
    await make("other", { endedAtMs: 101 });
    await letter("l1", "r~child", "dropped");
    expect(await endedTrees(db, RULE, ["r", "other"])).toEqual([
      { root: "r", ids: expect.arrayContaining(TREE) },
    ]);
    expect((await deleteTrees(db, RULE, ["r", "other"])).sort()).toEqual(TREE);
    expect(await named()).toEqual(["other"]);
    expect(await sql("SELECT id FROM audit")).toHaveLength(4);
  });

  const keeping: { [reason: string]: Made } = {
    runs: { status: "RUNNING", endedAtMs: null },
    "is queued, as one that undoes another is at first": { status: "QUEUED", endedAtMs: null },
    "is paused": { status: "PAUSED", endedAtMs: null },
    "ended too lately": { endedAtMs: 101 },
  };
  it.each(Object.entries(keeping))("stays while one of its runs %s", async (_, last) => {
    await makeTree(last);
    expect(await endedTrees(db, RULE, ["r"])).toEqual([]);
    expect(await deleteTrees(db, RULE, ["r"])).toEqual([]);
    expect(await named()).toEqual(TREE);
  });

  it("stays while one of its runs sleeps", async () => {
    await makeTree({ status: "RUNNING", endedAtMs: null });
    await sql("UPDATE runs SET asleep_since_ms = 1, sleep_seq = 1 WHERE id = 'r~child2'");
    expect(await deleteTrees(db, RULE, ["r"])).toEqual([]);
  });

  it("with an open dead letter stays until it is settled, or is old by a time of its own", async () => {
    await makeTree();
    await letter("l1", "r~child", "open");
    expect(await deleteTrees(db, RULE, ["r"])).toEqual([]);
    expect(await deleteTrees(db, { ...RULE, lettersBeforeMs: 100 }, ["r"])).toEqual([]);
    const both = { ...RULE, lettersBeforeMs: 101 };
    expect(await endedTrees(db, both, ["r"])).toHaveLength(1);
    await sql("UPDATE dead_letters SET state = 'retried'");
    expect(await deleteTrees(db, RULE, ["r"])).toHaveLength(3);
    expect(await named()).toEqual([]);
  });

  it("goes without blobs that others refer to, and with those that nobody does", async () => {
    await makeTree();
    await make("other", { endedAtMs: 101 });
    const [own, shared, late] = [sha("a"), sha("b"), sha("c")];
    const uses = [own, shared].map((sha256) => ({ runId: "r", sha256, text: "1" }));
    await insertBlobs(db, [...uses, { runId: "other", sha256: shared, text: "1" }], 50);
    await insertBlobs(db, [{ runId: "r~child", sha256: late, text: "1" }], 200);
    await deleteTrees(db, RULE, ["r"]);
    // The last was written just now: a reference to it may be on its way.
    expect([...(await readBlobs(db, [own, shared, late])).keys()].sort()).toEqual([shared, late]);
  });

  it.skipIf(server.singleSession)("stays when a redrive was quicker", async () => {
    await make("r", { status: "FAILED" });
    let pruned: Promise<string[]> | undefined;
    await db.transaction(async (tx) => {
      expect(await claimRedrive(tx, "r", 1, "")).toBe(2);
      pruned = deleteTrees(db, RULE, ["r"]);
      await waitFor(async () => {
        const waits = "SELECT pid::text AS id FROM pg_locks WHERE NOT granted";
        return (await sql(waits)).length > 0;
      });
    });
    expect(await pruned).toEqual([]);
    expect(await named()).toEqual(["r"]);
  });

  it("that is deleted is redriven no more", async () => {
    await make("r", { status: "FAILED" });
    await deleteTrees(db, RULE, ["r"]);
    expect(await claimRedrive(db, "r", 1, "")).toBeNull();
  });
});

it("roots that ended are found page by page, oldest first, by workflow if it is named", async () => {
  await make("a");
  await make("b", { workflow: "v" });
  await make("b~child");
  await make("c");
  await make("young", { endedAtMs: 101 });
  const [first] = await endedRoots(db, RULE, FIRST_RUN, 1);
  expect(first).toMatchObject({ id: "a" });
  const rest = await endedRoots(db, RULE, first ?? FIRST_RUN, 9);
  expect(rest.map(({ id }) => id)).toEqual(["b", "c"]);
  const ofV = await endedRoots(db, { ...RULE, workflow: "v" }, FIRST_RUN, 9);
  expect(ofV.map(({ id }) => id)).toEqual(["b"]);
});

it("blobs that nobody refers to are collected page by page, the others stay", async () => {
  await make("r");
  const [used, idle, young] = [sha("a"), sha("b"), sha("c")];
  const of = (runId: string, sha256: string) => ({ runId, sha256, text: "1" });
  await insertBlobs(db, [of("r", used), of("nobody", idle)], 50);
  await insertBlobs(db, [of("nobody", young)], 200);
  const next = await collectBlobs(db, 101, FIRST_BLOB, 1);
  expect(next).toEqual({ createdAtMs: 50, sha256: used });
  expect(await collectBlobs(db, 101, next ?? FIRST_BLOB, 2)).toBeNull();
  expect([...(await readBlobs(db, [used, idle, young])).keys()].sort()).toEqual([used, young]);
});

describe("D31: a blob that is referred to is not collected", () => {
  const [both, own] = [sha("d"), sha("e")];
  const of = (runId: string, sha256: string) => ({ runId, sha256, text: "1" });
  const left = async (): Promise<string[]> => [...(await readBlobs(db, [both, own])).keys()].sort();

  it("while any of its runs is there", async () => {
    await make("r");
    await make("s", { endedAtMs: 200 });
    await insertBlobs(db, [of("r", both), of("s", both), of("r", own)], 50);
    expect(await deleteTrees(db, RULE, ["r", "s"])).toEqual(["r"]);
    await collectBlobs(db, 101, FIRST_BLOB, 9);
    expect(await left()).toEqual([both]);
    await sql("DELETE FROM runs WHERE id = 's'");
    await collectBlobs(db, 101, FIRST_BLOB, 9);
    expect(await left()).toEqual([]);
  });

  it("when an archive refers to it while it is collected", async ({ skip }) => {
    skip(db.singleSession, "PGlite is one session: nothing happens meanwhile");
    await make("r");
    await insertBlobs(db, [of("nobody", both), of("nobody", own)], 50);
    await db.transaction(async (tx) => {
      await insertBlobs(tx, [of("r", both)], 200);
      await collectBlobs(db, 101, FIRST_BLOB, 9); // sees no reference yet
    });
    expect(await left()).toEqual([both]);
    expect(await sql("SELECT sha256 AS id FROM run_blobs")).toEqual([{ id: both }]);
  });
});

it("dead submissions go when they are old, open ones by a time of their own", async () => {
  await letter("settled", null, "dropped");
  await letter("open", null, "open");
  await letter("young", null, "dropped", 101);
  expect(await deleteSubmissionLetters(db, RULE, true)).toBe(1);
  expect(await deleteSubmissionLetters(db, RULE, false)).toBe(1);
  expect(await deleteSubmissionLetters(db, { ...RULE, lettersBeforeMs: 101 }, false)).toBe(1);
  expect(await sql("SELECT id FROM dead_letters")).toEqual([{ id: "young" }]);
});

describe("what has happened", () => {
  it.each(["journal", "audit", "approval_decisions", "run_attempts"])(
    "in %s cannot be changed, not even by the schema's owner",
    async (table) => {
      await make("r");
      const column = table === "approval_decisions" ? "actor" : table === "audit" ? "who" : "";
      const set = column === "" ? "run_id = 'x'" : `${column} = 'x'`;
      for (const text of [`UPDATE ${table} SET ${set}`, `DELETE FROM ${table}`]) {
        await expect(sql(text)).rejects.toThrow(/rows are added there and never changed/);
      }
      await expect(sql(`TRUNCATE ${table}`)).rejects.toThrow(/never changed/);
      expect(await sql(`SELECT 1 AS id FROM ${table}`)).toHaveLength(1);
    },
  );

  it("stays so after a deletion in the same transaction", async () => {
    await make("r");
    await make("s");
    await expect(
      db.transaction(async (tx) => {
        await deleteTrees(tx, RULE, ["r"]);
        await tx.query({ name: "retention_test_more", text: "DELETE FROM journal" });
      }),
    ).rejects.toThrow(/never changed/);
    expect(await named()).toEqual(["r", "s"]);
  });
});

it("D31: of blobs only those go that are old and that no run refers to; equal ones are one", async () => {
  await make("r", { status: "RUNNING", endedAtMs: null });
  await make("s");
  const [used, unused, young] = [sha("a"), sha("b"), sha("c")];
  await insertBlobs(db, [{ runId: "r", sha256: used, text: "1" }], 10);
  // The second to put it out brings it again, or only refers to it.
  await insertBlobs(db, [{ runId: "s", sha256: used, text: "1" }], 20);
  await insertBlobs(db, [{ runId: "nobody", sha256: unused, text: "1" }], 10);
  await insertBlobs(db, [{ runId: "nobody", sha256: young, text: "1" }], 100);
  expect(await sql("SELECT sha256 AS id FROM blobs")).toHaveLength(3);
  await collectBlobs(db, 50, FIRST_BLOB, 9);
  expect([...(await readBlobs(db, [used, unused, young])).keys()].sort()).toEqual([used, young]);
  await collectBlobs(db, Number.MAX_SAFE_INTEGER, FIRST_BLOB, 9);
  expect([...(await readBlobs(db, [used, unused, young])).keys()]).toEqual([used]);
});

it("very many dead submissions go some in a transaction", async () => {
  await db.query({
    name: "test_letters",
    text: `INSERT INTO dead_letters (id, kind, error, state, created_at_ms)
      SELECT 'many' || i, 'submission', '{}', 'dropped', 1 FROM generate_series(1, 2500) AS i`,
  });
  const counts: unknown[] = [];
  const spy: Queryable = {
    query: async (statement, values) => {
      const rows = await db.query(statement, values);
      counts.push(...rows.map((row) => (row as { count?: number }).count));
      return rows as never;
    },
  };
  expect(await deleteSubmissionLetters(spy, RULE, false)).toBe(2500);
  expect(counts).toEqual([1000, 1000, 500]);
});
