/** The audit of a partition whose archive is behind: what it reads does not grow with its runs. */
import type { PoolClient } from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { partitionKeys } from "../../sdk/internal.ts";
import { auditContext, auditPartition } from "../../supervisor/index.ts";
import { intercepted, waitFor } from "../support/index.ts";
import { findDrifts } from "../../supervisor/audit/audit-run.ts";
import { Audited, waits } from "./audited.fixture.ts";

const RUNS = 6;
const { ev, run } = partitionKeys(0);
let on: Audited;

beforeAll(async () => {
  on = await Audited.start();
});
afterAll(() => on.stop());

/** Nothing is archived until it is released. */
async function lockedCursor(): Promise<PoolClient> {
  const client = await on.engine.db.pool.connect();
  await client.query("BEGIN");
  await client.query("SELECT seq FROM cursors WHERE partition = 0 FOR UPDATE");
  return client;
}

/** A run that waits for its signal, as its hash says. */
async function waiting(): Promise<string> {
  const id = await on.client.submit({ workflow: waits as never, input: {} });
  const record = async (): Promise<string | null> => on.engine.redis.hget(run(id), "n1");
  await waitFor(async () => (await record())?.startsWith("w"), { describe: `${id} does not wait` });
  return id;
}

it("reads the stream behind the cursor once for all runs, and judges each by it", async ({
  skip,
}) => {
  skip(on.engine.db.singleSession, "PGlite is one session: nothing waits for a lock");
  const { redis, db } = on.engine;
  const before = await waiting();
  const locked = await lockedCursor();
  try {
    const runs = [before];
    while (runs.length < RUNS) {
      runs.push(await waiting());
    }
    let read = 0;
    const counting = intercepted(redis, (name, call) => {
      const counted: typeof call = async (...args) => {
        const entries = (await call(...args)) as unknown[];
        read += args[0] === ev ? entries.length : 0;
        return entries;
      };
      return name === "xrange" ? counted : call;
    });
    await redis.hset(run(runs[2] as string), "n0", "c1||2");
    const { drifts } = await auditPartition(auditContext({ redis: counting, db }), 0);
    const wrong = drifts.filter(({ harmless }) => harmless !== true);
    expect([...new Set(wrong.map(({ runId }) => runId))]).toEqual([runs[2]]);
    expect(read).toBeGreaterThan(RUNS);
    expect(read).toBeLessThanOrEqual(await redis.xlen(ev));
  } finally {
    await locked.query("COMMIT");
    locked.release();
  }
});

it("does not miss a run whose end is not archived, as after a restore, nor where nothing is certified", async ({
  skip,
}) => {
  skip(on.engine.db.singleSession, "PGlite is one session: nothing waits for a lock");
  const { redis, db } = on.engine;
  const kinds = async (id: string, asked = redis): Promise<string[]> => {
    const found = await findDrifts({ ...auditContext({ redis: asked, db }) }, 0, id);
    return found.map(({ kind }) => kind);
  };
  const [ended, lost] = [await waiting(), await waiting()];
  await waitFor(async () => (await on.client.status(lost)).nodes.w?.status === "waiting");
  const locked = await lockedCursor();
  try {
    await on.client.signal(ended, "go", {});
    const status = (): Promise<string | null> => redis.hget(run(ended), "s");
    await waitFor(async () => (await status()) === "completed");
    await redis.del(run(ended), run(lost));
    expect(await kinds(ended)).toEqual([]);
    expect(await kinds(lost)).toEqual(["run_missing"]);
    const raised = intercepted(redis, (name, call) =>
      name === "hmget" ? () => Promise.resolve(["999", "1"]) : call,
    );
    expect(await kinds(lost, raised)).toEqual([]);
  } finally {
    await locked.query("COMMIT");
    locked.release();
  }
});
