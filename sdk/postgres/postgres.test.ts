import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seeded } from "../../test/harness/random.ts";
import { testDatabase } from "../../test/support/index.ts";
import { admitRuns } from "./admission.ts";
import { bigintArray, integerArray, textArray } from "./arrays.ts";
import { connectPostgres, type Database, type PostgresTarget } from "./connect.ts";
import { insertDeadLetters, listDeadLetters, settleDeadLetter } from "./dead-letters.ts";
import { definitionByRef, insertDefinitions } from "./definitions.ts";
import { advanceCursor, ensureCursor, ensureDeployment, raiseEpoch } from "./deployment.ts";
import { insertSegments, journalPages, readJournal } from "./journal.ts";
import { assertSchema, migrate, migrationNames } from "./migrate.ts";
import { whileDatabaseAway } from "./retry.ts";
import { changeRuns, insertRuns, readRun, type NewRun } from "./runs.ts";
import {
  listWorkers,
  livingWorkers,
  removeDeadWorkers,
  removeWorker,
  reportWorker,
} from "./workers.ts";
import { databaseTimeMs } from "./time.ts";

const ODD = '{"zero":"\\u0000","half":"\\ud800","slash":"\\\\u0000"}';
const sql = (text: string) => ({ name: `t${randomBytes(4).toString("hex")}`, text });

interface Server {
  target: PostgresTarget;
  close(): Promise<void>;
}

async function pglite(): Promise<Server> {
  const dir = await mkdtemp(join(tmpdir(), "gv-postgres-"));
  const db = await PGlite.create();
  const path = join(dir, ".s.PGSQL.5432");
  const server = new PGLiteSocketServer({ db, path, maxConnections: 20 });
  await server.start();
  const config = { host: dir, port: 5432, user: "postgres", database: "postgres", password: "x" };
  return {
    target: { config, singleSession: true },
    async close() {
      await server.stop();
      await db.close();
      await rm(dir, { recursive: true });
    },
  };
}

/** What the tests run on: a Postgres with sessions where there is one. */
async function service(): Promise<Server> {
  return testDatabase({ migrated: false });
}

const servers = { PGlite: pglite, "the tests' service": service };

describe.each(Object.entries(servers))("on %s", (_, open) => {
  let server: Server;
  let db: Database;

  beforeAll(async () => {
    server = await open();
    db = connectPostgres(server.target);
  });

  afterAll(async () => {
    await db.close();
    await server.close();
  });

  it("refuses to work without its schema, and says what to do", async () => {
    await expect(assertSchema(db)).rejects.toThrow(
      /lacks \d+ migrations, 0001_\S+ to \d{4}_\S+; run "gavotte migrate" first/,
    );
  });

  it("migrates once, whoever asks and however often", async () => {
    const others = db.singleSession ? [] : [0, 1, 2].map(() => connectPostgres(server.target));
    const applied = await Promise.all([db, ...others].map((each) => migrate(each)));
    expect(applied.flat().sort()).toEqual(migrationNames());
    expect(await migrate(db)).toEqual([]);
    await assertSchema(db);
    await Promise.all(others.map((each) => each.close()));
  });

  it("refuses a schema that is newer than the program", async () => {
    const add = "INSERT INTO schema_migrations (name, run_on) VALUES ('9999_later', now())";
    await db.query(sql(add));
    await expect(assertSchema(db)).rejects.toThrow(/9999_later.*start the newer version/);
    await expect(migrate(db)).rejects.toThrow(/9999_later.*start the newer version/);
    await db.query(sql("DELETE FROM schema_migrations WHERE name = '9999_later'"));
  });

  it("passes arrays in binary, with nulls, quotes and all of Unicode", async () => {
    const texts = ['a"b\\{},', null, "", "💃 é", "NULL"];
    const numbers = [1, null, -5, Number.MAX_SAFE_INTEGER];
    const text = `SELECT $1::text[] AS t, array_to_json($2::bigint[])::text AS b,
      array_to_json($3::integer[])::text AS i`;
    const values = [textArray(texts), bigintArray(numbers), integerArray([7, null])];
    const [row] = await db.query<{ t: string[]; b: string; i: string }>(sql(text), values);
    expect(row?.t).toEqual(texts);
    expect(row?.b).toBe(JSON.stringify(numbers));
    expect(row?.i).toBe("[7,null]");
  });

  it("has one deployment, the first", async () => {
    const first = await ensureDeployment(db, { id: "one", partitions: 4, layout: 1 });
    expect(await ensureDeployment(db, { id: "two", partitions: 8, layout: 1 })).toEqual(first);
  });

  it("B10: moves a cursor only from where it stands", async () => {
    const cursor = await ensureCursor(db, 3, "start");
    const to = { ...cursor, seq: 5, nonce: "n5", streamId: "9-1" };
    expect(await advanceCursor(db, cursor, to)).toBe(true);
    expect(await advanceCursor(db, cursor, to)).toBe(false);
    const raised = await raiseEpoch(db, 3, 1);
    expect(raised).toEqual({ ...to, epoch: 2, streamId: "0-0", seq: raised?.seq });
    expect(raised?.seq).toBeGreaterThan(to.seq); // what Redis has lost had numbers
    expect(await raiseEpoch(db, 3, 1)).toBeNull();
    expect(await advanceCursor(db, to, { ...to, seq: 6 })).toBe(false);
  });

  it("admits each id and each idempotency key once, and tells conflicts", async () => {
    await insertDefinitions(db, [definition("h1")]);
    const keyed = { ...run("r1"), idempotencyKey: "k", requestHash: "same" };
    const batch = [keyed, { ...keyed, id: "r2" }, { ...keyed, id: "r3", requestHash: "else" }];
    const [one, two, three] = await admitRuns(db, [], batch);
    expect(one).toMatchObject({ accepted: true, runId: "r1", created: true });
    expect(two).toMatchObject({ accepted: true, runId: "r1", created: false });
    expect(three).toMatchObject({ accepted: false });
    const [again] = await admitRuns(db, [], [{ ...keyed, id: "r4" }]);
    expect(again).toMatchObject({ accepted: true, runId: "r1", created: false, status: "QUEUED" });
    const [other] = await admitRuns(db, [], [{ ...keyed, id: "r5", tenant: "other" }]);
    expect(other).toMatchObject({ runId: "r5", created: true });
  });

  it("answers each tenant with its own run, also where others use the same key", async () => {
    const ours = { ...run("t1"), tenant: "t1", idempotencyKey: "shared", requestHash: "same" };
    const theirs = { ...ours, id: "t2", tenant: "t2", requestHash: "else" };
    await admitRuns(db, [], [ours, theirs]);
    const again = await admitRuns(
      db,
      [],
      [
        { ...theirs, id: "t3" },
        { ...ours, id: "t4" },
      ],
    );
    expect(again).toMatchObject([
      { accepted: true, runId: "t2", created: false },
      { accepted: true, runId: "t1", created: false },
    ]);
  });

  it("leaves the row of an ended run as it is", async () => {
    await insertRuns(db, [run("r10")]);
    await changeRuns(db, [change("r10", "COMPLETED", "1")]);
    await changeRuns(db, [change("r10", "FAILED", "2")]);
    expect(await readRun(db, "r10")).toMatchObject({ status: "COMPLETED", output: "1" });
  });

  it("keeps what jsonb cannot hold, and shows it in the views all the same", async () => {
    await insertRuns(db, [{ ...run("r20"), input: ODD }]);
    await insertSegments(db, [segment("r20")]);
    await changeRuns(db, [change("r20", "RUNNING", ODD)]);
    expect(await readRun(db, "r20")).toMatchObject({ input: ODD, output: ODD });
    const [done] = await readJournal(db, "r20");
    expect(done?.transition.o).toEqual(JSON.parse(ODD));

    const read = "SELECT node, status, duration_ms, worker, output FROM node_executions";
    const [row] = await db.query(sql(`${read} WHERE run_id = 'r20'`));
    expect(row).toMatchObject({ node: "second", status: "completed", duration_ms: 4, worker: "w" });
    expect(row?.output).toEqual({ zero: "\uFFFD", half: "\uFFFD", slash: "\\u0000" });
    const counts = "SELECT nodes_completed, retries FROM run_statistics WHERE run_id = 'r20'";
    expect((await db.query(sql(counts)))[0]).toEqual({ nodes_completed: 1, retries: 0 });
    const events = "SELECT event, position FROM event_log WHERE run_id = 'r20'";
    expect(await db.query(sql(events))).toEqual([{ event: "node.completed", position: "12.0" }]);
    const active = await db.query(sql("SELECT input FROM active_runs WHERE run_id = 'r20'"));
    expect(active).toHaveLength(1);
  });

  it("reads all of a run's journal, by pages that are bounded in rows and in bytes", async () => {
    const fill = `INSERT INTO journal
      SELECT 0, run, i, i, 1, 1, '[["' || i || '.0",1,{"e":"counter.adjusted","d":0,"why":"' ||
        repeat('x', bytes) || '"}]]'
      FROM (VALUES ('long', 12345, 0), ('wide', 5, 3000000)) AS runs (run, rows, bytes),
        generate_series(1, rows) AS i`;
    await db.query(sql(fill));
    const long = await readJournal(db, "long");
    expect(long.map(({ position }) => position)).toEqual(
      Array.from({ length: 12_345 }, (_, i) => `${i + 1}.0`),
    );
    expect((await readJournal(db, "long", 11_000))[0]?.position).toBe("11000.0");
    const pages: string[][] = [];
    for await (const page of journalPages(db, "wide")) {
      pages.push(page.map(({ position }) => position));
    }
    expect(pages).toEqual([
      ["1.0", "2.0", "3.0"],
      ["4.0", "5.0"],
    ]);
  });

  it("finds the newest definition of a name, or the version asked for", async () => {
    await insertDefinitions(db, [
      { ...definition("v1"), name: "flow", version: "1", createdAtMs: 1 },
      { ...definition("v2"), name: "flow", version: "2", createdAtMs: 2 },
    ]);
    expect((await definitionByRef(db, "flow", null))?.hash).toBe("v2");
    expect((await definitionByRef(db, "flow", "1"))?.hash).toBe("v1");
    expect(await definitionByRef(db, "flow", "3")).toBeNull();
  });

  it("settles a dead letter once", async () => {
    const empty = { runId: null, node: null, scope: null, attempts: null };
    const letter = { ...empty, id: "l1", error: "{}", payload: "x", createdAtMs: 5 };
    await insertDeadLetters(db, [{ ...letter, kind: "submission" }]);
    await insertDeadLetters(db, [{ ...letter, kind: "submission" }]);
    expect(await listDeadLetters(db, { state: "open", limit: 9 })).toHaveLength(1);
    expect(await settleDeadLetter(db, "l1", "dropped", "by ann", 7)).toBe(true);
    expect(await settleDeadLetter(db, "l1", "retried", "", 8)).toBe(false);
  });

  it("knows how old a dead letter is by its own clock", async () => {
    const empty = { runId: null, node: null, scope: null, attempts: null };
    const createdAtMs = (await databaseTimeMs(db)) - 60_000;
    const letter = { ...empty, id: "l-aged", error: "{}", payload: "x", createdAtMs };
    await insertDeadLetters(db, [{ ...letter, kind: "submission" }]);
    const isOlder = async (olderThanMs: number): Promise<boolean> =>
      (await listDeadLetters(db, { olderThanMs, limit: 9 })).some(({ id }) => id === "l-aged");
    expect([await isOlder(59_000), await isOlder(3_600_000)]).toEqual([true, false]);
  });

  it("forgets workers that were not heard of", async () => {
    const worker = { host: "h", pid: 1, queues: ["a", "b"], concurrency: 2, inFlight: 0 };
    await reportWorker(db, { ...worker, id: "w1", startedAtMs: 1, lastSeenAtMs: 10 });
    await reportWorker(db, { ...worker, id: "w2", startedAtMs: 1, lastSeenAtMs: 10 });
    await reportWorker(db, { ...worker, id: "w2", startedAtMs: 1, lastSeenAtMs: 90 });
    expect(await removeDeadWorkers(db, 50)).toEqual(["w1"]);
    expect(await listWorkers(db)).toMatchObject([{ id: "w2", queues: ["a", "b"] }]);
    await removeWorker(db, "w2");
  });

  it("W14: knows who lives while workers come, stop and are killed", async () => {
    const random = seeded(14);
    const of = { host: "h", pid: 1, queues: ["a"], concurrency: 2, startedAtMs: 0 };
    /** When each that has not stopped was last heard of; the killed are heard of no more. */
    const heard = new Map<string, number>();
    const alive = new Set<string>();
    let nowMs = 1_000_000;
    for (let step = 0; step < 60; step++) {
      const dice = random();
      const [first] = [...alive].toSorted(() => random() - 0.5);
      if (dice < 0.4 || first === undefined) {
        alive.add(`w${step}`);
      } else {
        alive.delete(first);
        // Stopped in order, or killed.
        if (dice < 0.7) {
          heard.delete(first);
          await removeWorker(db, first);
        }
      }
      for (const id of alive) {
        heard.set(id, nowMs);
        await reportWorker(db, { ...of, id, inFlight: step % 3, lastSeenAtMs: nowMs });
      }
      const expected = [...heard].filter(([, at]) => nowMs - at < 15_000).map(([id]) => id);
      const living = await livingWorkers(db, nowMs);
      expect(living.map(({ id }) => id).toSorted()).toEqual(expected.toSorted());
      expect(living.filter(({ id }) => alive.has(id))).toHaveLength(alive.size);
      nowMs += 5000;
    }
    const silent = [...heard].filter(([, at]) => at < nowMs - 15_000).map(([id]) => id);
    expect((await removeDeadWorkers(db, nowMs - 15_000)).toSorted()).toEqual(silent.toSorted());
  });
});

it("outputs that one statement could not take are written by several, each once", async () => {
  const written: { ids: number; bytes: number }[] = [];
  const tx = {
    query: ({ name }: { name: string }, [ids, , , , outputs]: Buffer[]) => {
      expect(name).toBe("runs_change");
      written.push({ ids: ids?.readInt32BE(12) ?? 0, bytes: outputs?.length ?? 0 });
      return Promise.resolve([]);
    },
  };
  const output = "x".repeat(15 * 1024 * 1024);
  const times = { startedAtMs: null, endedAtMs: 1, error: null, atMs: 1 };
  const ids = Array.from({ length: 10 }, (_, i) => `r${i}`);
  const changes = ids.map((id) => ({ id, status: "COMPLETED" as const, output, ...times }));
  await changeRuns(tx as never, changes);
  expect(written.map(({ ids }) => ids)).toEqual([4, 4, 2]);
  written.forEach(({ bytes }) => expect(bytes).toBeLessThanOrEqual(64 * 1024 * 1024));
});

describe("a database that is away", () => {
  it("is reported with a code and waited for", async () => {
    const db = connectPostgres({ url: "postgres://nobody@127.0.0.1:1/none" });
    await expect(db.query(sql("SELECT 1"))).rejects.toMatchObject({
      code: "GV_DATABASE_UNAVAILABLE",
    });
    let tries = 0;
    const ask = async (): Promise<string> => {
      tries++;
      return tries < 3 ? String(await db.query(sql("SELECT 1"))) : "back";
    };
    const { signal } = new AbortController();
    expect(await whileDatabaseAway(ask, { signal, waitMsMin: 1 })).toBe("back");
    await db.close();
  });
});

function definition(hash: string) {
  const ir = JSON.stringify({ nodes: [{ id: "first" }, { id: "second" }] });
  return { hash, name: "n", version: "1", ir, source: null, createdAtMs: 1 };
}

function run(id: string): NewRun {
  const rest = {
    namespace: "",
    priority: "normal",
    idempotencyKey: null,
    requestHash: "",
  } as const;
  const where = { tenant: "", workflow: "n", version: "1", irHash: "h1", partition: 0 };
  return { id, ...where, ...rest, input: "null", createdAtMs: 100 };
}

function change(id: string, status: "RUNNING" | "COMPLETED" | "FAILED", output: string) {
  return { id, status, output, error: null, startedAtMs: 1, endedAtMs: null, atMs: 2 };
}

function segment(runId: string) {
  const done = `{"r":"${runId}","e":"node.completed","n":1,"s":"","a":1,"ms":4,"w":"w","o":${ODD}}`;
  const transitions = `[["12.0",1000,${done}]]`;
  return { partition: 0, runId, seqFrom: 12, seqTo: 12, tFrom: 1000, tTo: 1000, transitions };
}
