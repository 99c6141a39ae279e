import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  cancelRun,
  completeTokens,
  fireTimers,
  parseEntry,
  partitionKeys,
  resumeRun,
  Profiles,
  suspectRun,
  timerMember,
  type Service,
} from "../sdk/internal.ts";
import {
  listDeadLetters,
  markSuspects,
  readCursor,
  readJournal,
  readRun,
  suspectRuns,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { waitFor } from "../test/support/index.ts";
import { Certifier } from "./certify.ts";
import { scriptsOf, type Rollback, type SupervisorContext } from "./context.ts";
import { createPartition } from "./partition.ts";
import { Timers } from "./timers.ts";
import { chainIr, contextOf, startRuns, startStack, work, type Stack } from "./stack.fixture.ts";

const keys = partitionKeys(0);
const ir = chainIr(["a", "b"]);
let stack: Stack;
let context: SupervisorContext & { close(): void };
let partition: Service;
let rollbacks: Rollback[];
let count = 0;
const newId = (): string => `run-${++count}`;

beforeAll(async () => {
  stack = await startStack();
});

afterAll(async () => {
  await stack.close();
});

beforeEach(async () => {
  rollbacks = [];
  const onRollback = (rollback: Rollback): Promise<void> => {
    rollbacks.push(rollback);
    return Promise.resolve();
  };
  context = await contextOf(stack, { onRollback });
  partition = createPartition(context, 0);
  await partition.start();
});

afterEach(async () => {
  await partition.stop(5000);
  context.close();
});

async function ended(id: string): Promise<RunRow> {
  return waitFor(async () => {
    const row = await readRun(stack.db, id);
    return row !== null && row.endedAtMs !== null ? row : null;
  });
}

async function tailSeq(): Promise<number> {
  return Number(await stack.redis.hget(keys.meta, "seq"));
}

/** Holds the partition's cursor, so that nobody moves it; reading it stays possible. */
async function lockCursor(): Promise<{ release(): Promise<void> }> {
  const client = await stack.db.pool.connect();
  await client.query("BEGIN");
  await client.query("SELECT seq FROM cursors WHERE partition = 0 FOR UPDATE");
  return {
    async release() {
      await client.query("COMMIT");
      client.release();
    },
  };
}

/** Sessions that stand at the locked cursor. */
async function waitingForCursor(): Promise<number> {
  const waiting = {
    name: "test_waiting",
    text: `SELECT count(*)::int AS n FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  };
  return (await stack.db.query<{ n: number }>(waiting))[0]?.n ?? 0;
}

async function restart(): Promise<void> {
  await partition.stop(5000);
  partition = createPartition(context, 0);
  await partition.start();
}

describe("archiver", () => {
  it("copies each transition once, although archivers die and two run at once", async () => {
    const ids = Array.from({ length: 40 }, newId);
    const scripts = scriptsOf(context, 0);
    const loaded = async (): Promise<number[]> => {
      const epoch = (await stack.redis.hget(scripts.keys.meta, "epoch")) ?? "";
      return (await stack.redis.script("EXISTS", ...scripts.shas(epoch))) as number[];
    };
    await waitFor(async () => !(await loaded()).includes(0));
    const rival = createPartition(context, 0);
    await rival.start();
    for (let i = 0; i < ids.length; i += 10) {
      await startRuns(context, ir, "h-ab", ids.slice(i, i + 10));
      const settling = work(stack, ir, "h-ab");
      await restart();
      await settling;
    }
    await Promise.all(ids.map(ended));
    await rival.stop(5000);
    for (const id of ids) {
      const events = (await readJournal(stack.db, id)).map(({ transition }) => transition.e);
      const once = ["run.started", "node.completed", "node.completed", "run.completed"];
      expect(events).toEqual(once);
    }
    await waitFor(async () => (await stack.redis.zcard(keys.release)) === 0);
    expect(rollbacks).toEqual([]);
  });

  it("X15: three that finalise at once close each run exactly once", async () => {
    const ids = Array.from({ length: 60 }, newId);
    const closings = `CREATE TABLE closings AS SELECT id FROM runs WHERE false;
      CREATE FUNCTION closing() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO closings VALUES (NEW.id); RETURN NULL; END';
      CREATE TRIGGER closing AFTER UPDATE ON runs FOR EACH ROW
        WHEN (NEW.status = 'COMPLETED') EXECUTE FUNCTION closing()`;
    await stack.db.pool.query(closings);
    const rivals = [createPartition(context, 0), createPartition(context, 0)];
    await Promise.all(rivals.map((rival) => rival.start()));
    for (let i = 0; i < ids.length; i += 10) {
      await startRuns(context, ir, "h-ab", ids.slice(i, i + 10));
      await work(stack, ir, "h-ab");
    }
    await Promise.all(ids.map(ended));
    await Promise.all(rivals.map((rival) => rival.stop(5000)));
    const { rows } = await stack.db.pool.query<{ id: string }>("SELECT id FROM closings");
    await stack.db.pool.query("DROP TRIGGER closing ON runs; DROP TABLE closings");
    expect(rows.map(({ id }) => id).sort()).toEqual([...ids].sort());
    for (const id of ids) {
      const events = (await readJournal(stack.db, id)).map(({ transition }) => transition.e);
      expect(events.filter((event) => event === "run.completed")).toHaveLength(1);
    }
  });

  it("C6: releases runs whose end was committed by an archiver that died before releasing", async () => {
    const id = newId();
    await startRuns(context, ir, "h-ab", [id]);
    await work(stack, ir, "h-ab");
    await ended(id);
    await waitFor(async () => (await stack.redis.exists(keys.run(id))) === 0);
    await stack.redis.hset(keys.run(id), "s", "completed", "d1", "emit|x|||||");
    await stack.redis.zadd(keys.release, 1, id);
    await restart();
    await waitFor(async () => (await stack.redis.exists(keys.run(id))) === 0);
    expect(await stack.redis.zscore(keys.tombs, id)).not.toBeNull();
  });

  it("gives a failed run its error, and keeps the dead token", async () => {
    const id = newId();
    await startRuns(context, ir, "h-ab", [id]);
    const value = '{"error":{"code":"BOOM","message":"no","node":"a"}}';
    await work(stack, ir, "h-ab", () => ({ op: "X", value, extra: ',"dl":1,"ms":1' }));
    const row = await ended(id);
    expect(row.status).toBe("FAILED");
    expect(JSON.parse(row.error ?? "")).toMatchObject({ code: "BOOM", node: "a" });
    const letters = await listDeadLetters(stack.db, { runId: id, limit: 5 });
    expect(letters).toMatchObject([{ kind: "token", node: "a", attempts: 1, state: "open" }]);
  });

  it("names the nodes that failed when a run went on and failed at its end", async () => {
    const id = newId();
    const single = chainIr(["only"]);
    await startRuns(context, single, "h-only", [id]);
    const value = '{"error":{"code":"BOOM","message":"no"}}';
    await work(stack, single, "h-only", () => ({ op: "U", value }));
    expect(JSON.parse((await ended(id)).error ?? "")).toMatchObject({
      code: "BOOM",
      message: "1 node(s) failed: only",
      node: "only",
      details: { nodes: [{ id: "only", error: { code: "BOOM" } }] },
    });
  });

  it("repairs a run in which a script failed half-way", async () => {
    const id = newId();
    await startRuns(context, ir, "h-suspect", [id]);
    const place = { partition: 0, namespace: "", priority: "normal" } as const;
    // The successor's queue is of a wrong type: XADD fails after the run was written.
    const queue = keys.entryQueue(ir.queues[0] as string, "normal");
    const [entry] = await stack.redis.xrange(queue, "-", "+");
    const token = parseEntry(queue, entry?.[0] ?? "", entry?.[1] ?? []);
    const profile = new Profiles().add(ir, "h-suspect", place);
    await stack.redis.set("gv:{0}:q:wrong:normal", "no stream");
    const broken = { ...profile, key: "broken", queueKeys: ["gv:{0}:q:wrong:normal"] };
    const result = { node: 0, scope: "", attempt: 1, op: "C" as const, value: "1", edges: "L" };
    const plan = profile.planner.end(0, "L", false);
    const item = {
      ...{ profile: broken, runId: id, epoch: "1", queue: 0, entryId: null },
      results: [{ ...result, extra: "", delayMs: 0, plan }],
    };
    expect(await completeTokens(scriptsOf(context, 0), [item])).toEqual([-6]);
    await stack.redis.xdel(queue, token?.entryId ?? "");
    await waitFor(async () => (await stack.redis.hget(keys.run(id), "e")) === "2");
    await work(stack, ir, "h-suspect", () => ({ op: "C", value: "2" }));
    expect(await ended(id)).toMatchObject({ status: "COMPLETED", output: "2" });
  });

  it.each(["cancelled", "over its time"])(
    "ends a run once that is %s while it is to be repaired, and not before",
    async (how) => {
      const id = newId();
      const timed = miniIr(["only"], [], { timeoutMs: 60_000 });
      await partition.stop(5000); // nothing is archived before the run's end has been tried
      await startRuns(context, timed, "h-frozen", [id]);
      const scripts = scriptsOf(context, 0);
      await suspectRun(scripts, { runId: id, status: "running", epoch: "1" });
      const timer = (epoch: number): string => timerMember({ kind: "run", runId: id, epoch });
      const end = async (epoch: number): Promise<unknown> => {
        if (how === "cancelled") {
          return cancelRun(scripts, id, "enough");
        }
        await stack.redis.zadd(keys.timers, 1, timer(epoch));
        return fireTimers(scripts);
      };
      const refused = how === "cancelled" ? "busy" : expect.objectContaining({ fired: 0 });
      expect(await end(1)).toEqual(refused);
      await restart();
      await waitFor(async () => (await stack.redis.hget(keys.run(id), "e")) === "2");
      expect(await stack.redis.hget(keys.run(id), "s")).toBe("running");
      expect(await stack.redis.zscore(keys.timers, timer(2))).not.toBeNull();
      await end(2);
      const status = how === "cancelled" ? "CANCELLED" : "FAILED";
      expect(await ended(id)).toMatchObject({ status });
      await waitFor(async () => (await stack.redis.exists(keys.run(id))) === 0);
      const journal = (await readJournal(stack.db, id)).map(({ transition }) => transition.e);
      expect(journal).toEqual(["run.started", "run.suspect", `run.${status.toLowerCase()}`]);
    },
  );

  it("finds a run whose repair was cut off, and repairs it", async () => {
    const id = newId();
    await startRuns(context, ir, "h-cut", [id]);
    await waitFor(async () => (await readRun(stack.db, id))?.status === "RUNNING");
    // As a supervisor that died after the commit and before the repair has left it.
    await stack.redis.hset(keys.run(id), "s", "suspect");
    await markSuspects(stack.db, [id]);
    await restart();
    await waitFor(async () => (await stack.redis.hget(keys.run(id), "e")) === "2");
    await waitFor(async () => (await suspectRuns(stack.db, 0, "", 9)).length === 0);
    await work(stack, ir, "h-cut", () => ({ op: "C", value: "2" }));
    expect(await ended(id)).toMatchObject({ status: "COMPLETED", output: "2" });
  });

  it("fires a retry when it is due", async () => {
    const timers = new Timers(context, 0);
    await timers.start();
    const id = newId();
    await startRuns(context, ir, "h-ab", [id]);
    const error = '{"error":{"code":"BOOM","message":"no"}}';
    const retry = { op: "R", value: error, edges: "", delayMs: 30 } as const;
    await work(stack, ir, "h-ab", (_, attempt) => (attempt === 1 ? retry : {}));
    await waitFor(async () => {
      await work(stack, ir, "h-ab", (node, attempt) =>
        node.id === "b" && attempt === 1 ? retry : {},
      );
      return (await readRun(stack.db, id))?.status === "COMPLETED";
    });
    const journal = await readJournal(stack.db, id);
    const fired = journal.find(({ transition }) => transition.e === "node.activated");
    const armed = journal.find(({ transition }) => transition.e === "node.retrying");
    const lateMs = (fired?.t ?? 0) - (armed?.transition.due ?? 0);
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(250);
    await timers.stop(1000);
  });

  it("pauses a run that fails again and again before it commits what says so", async ({ skip }) => {
    skip(stack.db.singleSession, "PGlite is one session: nothing waits for a lock");
    const settings = { ...ir.settings, pause_after_errors: 2 };
    const careful = { ...ir, settings };
    const [twice, once] = [newId(), newId()];
    await startRuns(context, careful, "h-careful", [twice]);
    const value = '{"error":{"code":"E","message":"no"}}';
    const fail = (): Promise<number> =>
      work(stack, careful, "h-careful", () => ({ op: "R", value, edges: "", delayMs: 1 }));
    await fail();
    await waitFor(async () => {
      await fireTimers(scriptsOf(context, 0));
      return (await stack.redis.hget(keys.run(twice), "n0"))?.startsWith("a2");
    });
    await startRuns(context, careful, "h-careful", [once]);
    await waitFor(async () => (await readCursor(stack.db, 0))?.seq === (await tailSeq()));
    const locked = await lockCursor();
    await fail();
    await waitFor(async () => (await stack.redis.hget(keys.run(twice), "s")) === "paused");
    expect(await stack.redis.hget(keys.run(once), "s")).toBe("running");
    await locked.release();
    await waitFor(async () => (await readRun(stack.db, twice))?.status === "PAUSED");
  });

  it("does not pause it once more when its commit is repeated: who resumed it meanwhile is right", async ({
    skip,
  }) => {
    skip(stack.db.singleSession, "PGlite is one session: nothing waits for a lock");
    const careful = { ...ir, settings: { ...ir.settings, pause_after_errors: 1 } };
    const id = newId();
    await startRuns(context, careful, "h-careful-1", [id]);
    await waitFor(async () => (await readCursor(stack.db, 0))?.seq === (await tailSeq()));
    const locked = await lockCursor();
    const value = '{"error":{"code":"E","message":"no"}}';
    await work(stack, careful, "h-careful-1", () => ({ op: "R", value, edges: "", delayMs: 1e6 }));
    const status = (): Promise<string | null> => stack.redis.hget(keys.run(id), "s");
    await waitFor(async () => (await status()) === "paused");
    expect(await resumeRun(scriptsOf(context, 0), id, "errors")).toEqual({ kind: "resumed" });
    await waitFor(async () => (await waitingForCursor()) > 0);
    await stack.db.query({
      name: "test_end_waiting",
      text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    });
    await locked.release();
    await waitFor(async () => (await readCursor(stack.db, 0))?.seq === (await tailSeq()));
    expect(await status()).toBe("running");
  });

  it("keeps a bounded tail of the stream, in which the cursor's record still is", async () => {
    await waitFor(async () => (await stack.redis.hget(keys.meta, "epoch")) !== null);
    const meta = await stack.redis.hgetall(keys.meta);
    let prev = meta.nonce as string;
    const first = Number(meta.seq) + 1;
    const pipeline = stack.redis.pipeline();
    for (let seq = first; seq < first + 3000; seq++) {
      const chain = ["seq", String(seq), "nonce", `n${seq}`, "prev", prev];
      pipeline.xadd(keys.ev, "*", "v", "1", ...chain, "t", "1", "b", "[]");
      prev = `n${seq}`;
    }
    pipeline.hset(keys.meta, "seq", first + 2999, "nonce", prev);
    await pipeline.exec();
    await waitFor(async () => (await readCursor(stack.db, 0))?.seq === first + 2999);
    await waitFor(async () => (await stack.redis.xlen(keys.ev)) < 2000);
    expect(await stack.redis.xlen(keys.ev)).toBeGreaterThanOrEqual(1000);
    const id = (await readCursor(stack.db, 0))?.streamId ?? "";
    expect(await stack.redis.xrange(keys.ev, id, id)).toHaveLength(1);
  });
});

describe("certification", () => {
  it("lets a Redis that restarted with its data go on, without a rollback", async () => {
    const id = newId();
    await startRuns(context, ir, "h-ab", [id]);
    await stack.restartRedis({ empty: false });
    await work(stack, ir, "h-ab");
    expect((await ended(id)).status).toBe("COMPLETED");
    expect(rollbacks).toEqual([]);
  });

  it("lets nobody write while an archiver may commit what the restarted Redis has lost", async ({
    skip,
  }) => {
    skip(stack.db.singleSession, "PGlite is one session: nothing waits for a lock");
    const [lost, accepted] = [newId(), newId()];
    await startRuns(context, ir, "h-ab", [newId()]);
    await work(stack, ir, "h-ab");
    await waitFor(async () => (await readCursor(stack.db, 0))?.seq === (await tailSeq()));
    await stack.redis.save();
    const locked = await lockCursor();
    await startRuns(context, ir, "h-ab", [lost]);
    await waitFor(async () => (await waitingForCursor()) === 1, { describe: "nothing to commit" });
    await stack.restartRedis({ empty: false, stale: true });
    let isAccepted = false;
    const start = startRuns(context, ir, "h-ab", [accepted]);
    const starting = start.then(() => (isAccepted = true));
    await waitFor(async () => isAccepted || (await waitingForCursor()) === 2);
    await locked.release();
    await starting;
    await waitFor(() => rollbacks.length > 0, { describe: "the lost records are not noticed" });
    await work(stack, ir, "h-ab");
    expect((await ended(accepted)).status).toBe("COMPLETED");
    expect(rollbacks).toHaveLength(1);
    expect((await readJournal(stack.db, lost)).map(({ transition }) => transition.e)).toEqual([
      "run.started",
    ]);
  });

  it("takes the output of a run from its journal where its hash was rolled back meanwhile", async () => {
    const two = miniIr(["a", "b"], []);
    const id = newId();
    await startRuns(context, two, "h-two", [id]);
    const value = '{"error":{"code":"E","message":"no"}}';
    await work(stack, two, "h-two", ({ id }) => (id === "b" ? { op: "R", value } : {}));
    await waitFor(async () => (await readCursor(stack.db, 0))?.seq === (await tailSeq()));
    await partition.stop(5000);
    await fireTimers(scriptsOf(context, 0));
    await work(stack, two, "h-two");
    // As another history has it, which is to be written: what was archived before is still true.
    await stack.redis.hset(keys.run(id), { s: "running", c: "1", n0: "a1||", n1: "c1||7" });
    await restart();
    const output = JSON.stringify({ a: { from: "a" }, b: { from: "b" } });
    expect(await ended(id)).toMatchObject({ status: "COMPLETED", output });
  });

  it("A8: notices a record that does not continue the chain", async () => {
    await waitFor(async () => (await stack.redis.hget(keys.meta, "epoch")) !== null);
    const before = await readCursor(stack.db, 0);
    const seq = String((before?.seq ?? 0) + 1);
    const fields = ["v", "1", "seq", seq, "nonce", "x", "prev", "other", "t", "1", "b", "[]"];
    await stack.redis.xadd(keys.ev, "*", ...fields);
    const [rollback] = await waitFor(() => (rollbacks.length > 0 ? rollbacks : null));
    // It is not archived either, and its number is never another's.
    const { epoch = 0, nonce } = before ?? {};
    expect(rollback?.cursor).toMatchObject({ epoch: epoch + 1, nonce });
    expect(rollback?.cursor.seq).toBeGreaterThan(Number(seq));
    await waitFor(async () => (await stack.redis.hget(keys.meta, "epoch")) !== null);
    expect(await stack.redis.exists(keys.ev)).toBe(0);
  });

  it("is not rolled back for what was read under an epoch that is over", async () => {
    await waitFor(async () => (await stack.redis.hget(keys.meta, "epoch")) !== null);
    const before = await readCursor(stack.db, 0);
    const certifier = new Certifier(context, 0);
    await certifier.rollBack((before?.epoch ?? 0) - 1, "a record of the next epoch");
    expect(await readCursor(stack.db, 0)).toEqual(before);
    expect(rollbacks).toEqual([]);
  });

  it("notices a tail that moved without a record behind the cursor", async () => {
    await waitFor(async () => (await stack.redis.hget(keys.meta, "epoch")) !== null);
    await stack.redis.hset(keys.meta, "seq", 999_999, "nonce", "other");
    await waitFor(() => rollbacks.length > 0);
  });

  it("raises the epoch of an emptied Redis, whose partition then works again", async () => {
    const before = await readCursor(stack.db, 0);
    await stack.restartRedis({ empty: true });
    await waitFor(() => rollbacks.length > 0);
    const id = newId();
    await startRuns(context, ir, "h-ab", [id]);
    await work(stack, ir, "h-ab");
    expect((await ended(id)).status).toBe("COMPLETED");
    expect((await readCursor(stack.db, 0))?.epoch).toBe((before?.epoch ?? 0) + 1);
  });
});
