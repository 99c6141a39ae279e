/**
 * What Postgres cannot take of what a run says: none of it stops the archive of the run's partition.
 * The records are appended as scripts would write them.
 */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { connectionAt, partitionKeys, type Service } from "../sdk/internal.ts";
import {
  insertSegments,
  listApprovals,
  listAudit,
  readCursor,
  readJournal,
  readRun,
  suspectRuns,
} from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { createPartition } from "./partition.ts";
import { repairSuspects } from "./repair.ts";
import { REPAIRS_MAX } from "./repair-tries.ts";
import { chainIr, startContext, startRuns, type Supervised } from "./stack.fixture.ts";

const ir = chainIr(["a", "b"]);
const keys = partitionKeys(0);
/** A key of an index takes less than 3 KB, and this does not become shorter by compression. */
const TOO_LONG = randomBytes(20_000).toString("base64");
let on: Supervised;
let partition: Service;

beforeAll(async () => {
  on = await startContext();
  partition = createPartition(on.context, 0);
  await partition.start();
  await startRuns(on.context, ir, "h-refused", ["one", "other"]);
});

afterAll(async () => {
  await partition.stop(5000);
  await on.close();
});

/** Appends records, which some block holds together, and waits until they are archived. */
async function archive(...records: object[][]): Promise<void> {
  const { redis, db } = on.stack;
  const { seq = "0", nonce = "" } = await redis.hgetall(keys.meta);
  const chain = connectionAt(redis, keys.meta).multi();
  let last = { seq: Number(seq), nonce };
  for (const members of records) {
    const next = { seq: last.seq + 1, nonce: `n${last.seq + 1}` };
    const body = `[${members.map((member) => JSON.stringify(member)).join(",\n")}]`;
    const facts = ["v", "1", "seq", next.seq, "nonce", next.nonce, "prev", last.nonce, "t", 1000];
    chain.xadd(keys.ev, "*", ...facts, "b", body);
    last = next;
  }
  chain.hset(keys.meta, "seq", last.seq, "nonce", last.nonce);
  await chain.exec();
  await waitFor(async () => ((await readCursor(db, 0))?.seq ?? 0) >= last.seq);
}

const asked = (r: string, more: object, due?: number): object => {
  const w = { kind: "approval", token: `${r}.0-secret`, node: "a", title: "Go on?", ...more };
  return { r, e: "node.parked", n: 0, s: "", a: 1, w, ...(due === undefined ? {} : { due }) };
};
const decided = (r: string, actor: string): object => {
  const v = { actor, approved: true, data: null, at: 1000 };
  return { r, e: "approval.decided", n: 0, s: "", a: 1, v };
};
const paused = (r: string, by: string): object => ({ r, e: "run.paused", ps: "manual", by });
const eventsOf = async (id: string): Promise<string[]> =>
  (await readJournal(on.stack.db, id)).map(({ transition }) => transition.e);

it("archives times and counts beyond what a column holds, and texts with U+0000", async () => {
  await archive([asked("one", { title: "a\u0000b", required: 3e9 }, 1e19)]);
  const [row] = await listApprovals(on.stack.db, { runId: "one", limit: 1 });
  expect(row).toMatchObject({ title: "a\ufffdb", required: 2 ** 31 - 1 });
  expect(row?.expiresAtMs).toBe(Number.MAX_SAFE_INTEGER);
  await archive([paused("other", "x\u0000y")], [{ r: "other", e: "run.resumed", ps: "" }]);
  expect((await listAudit(on.stack.db, { runId: "other", limit: 1 }))[0]?.who).toBe("x\ufffdy");
});

it("archives the sleep of a run that is to wake in a time that no clock reaches", async () => {
  await startRuns(on.context, ir, "h-refused", ["sleeper"]);
  await archive([{ r: "sleeper", e: "run.hibernated", due: 1e300, ps: "" }]);
  const row = await readRun(on.stack.db, "sleeper");
  expect(row).toMatchObject({ asleepSinceMs: 1000, wakesAtMs: Number.MAX_SAFE_INTEGER });
});

it("leaves out a row that is refused, and nothing of what stands beside it", async () => {
  await startRuns(on.context, ir, "h-refused", ["p", "q"]);
  await archive(
    [asked("p", {}), asked("q", {})],
    [decided("p", "ann"), decided("p", TOO_LONG), decided("q", "bob")],
    [decided("q", "cid")],
  );
  const actors = async (runId: string): Promise<string[]> =>
    (await listApprovals(on.stack.db, { runId, limit: 1 }))[0]?.decisions.map((d) => d.actor) ?? [];
  expect([await actors("p"), await actors("q")]).toEqual([["ann"], ["bob", "cid"]]);
  const told = ["run.started", "node.parked", "approval.decided", "approval.decided"];
  expect([await eventsOf("p"), await eventsOf("q")]).toEqual([told, told]);
});

it("says that a run has ended whose archived journal cannot be read, and of others how", async () => {
  await startRuns(on.context, ir, "h-refused", ["damaged", "whole"]);
  await waitFor(async () => (await eventsOf("damaged")).length === 1);
  const place = { partition: 0, runId: "damaged", seqFrom: 1_000_000, seqTo: 1_000_000 };
  await insertSegments(on.stack.db, [{ ...place, tFrom: 1, tTo: 1, transitions: "[[" }]);
  const failed = { r: "whole", e: "node.failed", n: 0, s: "", a: 1, x: "", dl: 1 };
  await archive([
    { ...failed, err: { error: { code: "TOLD", message: "as it was" } } },
    { r: "damaged", e: "run.failed" },
    { r: "whole", e: "run.failed" },
  ]);
  expect(await readRun(on.stack.db, "damaged")).toMatchObject({ status: "FAILED", error: null });
  const { status, error } = (await readRun(on.stack.db, "whole")) ?? {};
  expect([status, JSON.parse(error ?? "null")]).toMatchObject(["FAILED", { code: "TOLD" }]);
});

it.each([
  ["an event that is none", { e: 5 }],
  ["no event", { n: 0 }],
  ["a wait that is none", { e: "node.parked", n: 0, s: "", a: 1, w: null }],
  ["an edge list that is none", { e: "node.failed", n: 0, s: "", a: 1, x: 7, dl: 1 }],
  ["a redrive without its nodes", { e: "run.redriven", ep: 2, at: 2, rd: { u: 1 } }],
  ["a place in a map that is none", { e: "node.failed", m: 5, n: 0, s: "", a: 1, x: "", dl: 1 }],
])("sets apart what cannot be folded, at the cost of its run alone: %s", async (what, damage) => {
  const [bad, good] = [`bad ${what}`, `good ${what}`];
  await startRuns(on.context, ir, "h-refused", [bad, good]);
  const raw = { r: bad, ...damage };
  await archive([asked(good, {}), raw, decided(good, "ann")], [{ r: good, e: "run.cancelled" }]);
  const told = ["run.started", "node.parked", "approval.decided", "run.cancelled"];
  expect(await eventsOf(good)).toEqual(told);
  expect((await readRun(on.stack.db, good))?.status).toBe("CANCELLED");
  expect((await eventsOf(bad)).slice(0, 2)).toEqual(["run.started", "run.suspect"]);
  expect(await suspectRuns(on.stack.db, 0, "", 99)).toContain(bad);
  const [entry] = await listAudit(on.stack.db, { runId: bad, limit: 9 });
  expect(entry).toMatchObject({
    action: "run.set_apart",
    before: JSON.stringify(JSON.stringify(raw)),
  });
});

it("ends a run of which something was set apart: what state it is in nobody can say", async () => {
  const id = "with a gap";
  await startRuns(on.context, ir, "h-refused", [id]);
  await archive([{ r: id, e: 5 }]);
  const key = keys.run(id);
  await waitFor(async () => (await eventsOf(id)).length === 3); // and the mark of who froze it
  await waitFor(async () => Number(await on.stack.redis.hget(key, "rp")) > 0);
  expect(await on.stack.redis.hget(key, "s")).toBe("suspect");
  await on.stack.redis.hset(key, "rp", REPAIRS_MAX);
  await repairSuspects(on.context, 0);
  await waitFor(async () => (await readRun(on.stack.db, id))?.status === "FAILED");
  expect((await readRun(on.stack.db, id))?.error).toContain("its journal has a gap");
});
