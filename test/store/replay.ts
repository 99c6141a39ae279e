/**
 * The archive made anew from its own journal: the records are put into an empty Redis, and the
 * archiver copies them into an empty database that knows nothing but what was submitted.
 */
import { connectionAt, partitionKeys, type Transition } from "../../sdk/internal.ts";
import { readCursor, type ArchivedTransition, type Database } from "../../sdk/postgres/index.ts";
import { parseSegment } from "../../sdk/postgres/journal.ts";
import { Archiver } from "../../supervisor/archiver.ts";
import { Certifier } from "../../supervisor/certify.ts";
import { Children } from "../../supervisor/children.ts";
import { Releaser } from "../../supervisor/release.ts";
import { startContext, type Supervised } from "../../supervisor/stack.fixture.ts";
import type { Starter } from "../../supervisor/starter.ts";
import { waitFor } from "../support/index.ts";

/** One record of a partition's journal, as it was in Redis. */
export interface ReplayedRecord {
  seq: number;
  t: number;
  /** In their order, with the index that each had. */
  members: { index: number; transition: Transition }[];
}

const SEGMENTS = {
  name: "replay_segments",
  text: `SELECT run_id AS "runId", transitions FROM journal WHERE partition = $1`,
};
/** What was given from outside: all else of a row is the journal's. */
const GIVEN: { [table: string]: string } = {
  definitions: "SELECT hash, name, version, ir, source, created_at_ms, tags FROM definitions",
  blobs: "SELECT sha256, data, created_at_ms FROM blobs",
  runs: `SELECT id, tenant, workflow, version, ir_hash, partition, namespace, priority,
    'QUEUED' AS status, input, idempotency_key, request_hash, created_at_ms, bindings,
    created_at_ms AS updated_at_ms FROM runs WHERE strpos(id, '~') = 0`,
  run_blobs: `SELECT b.run_id, b.sha256 FROM run_blobs b JOIN runs r ON r.id = b.run_id
    WHERE strpos(r.id, '~') = 0 AND strpos(r.input, b.sha256) > 0`,
};

/** The records of a partition, in their order. */
export async function recordsOf(db: Database, partition: number): Promise<ReplayedRecord[]> {
  const rows = await db.query<{ runId: string; transitions: string }>(SEGMENTS, [partition]);
  const records = new Map<number, ReplayedRecord>();
  const add = ({ position, t, transition }: ArchivedTransition): void => {
    const [seq = 0, index = 0] = position.split(".").map(Number);
    const record = records.get(seq) ?? { seq, t, members: [] };
    record.members.push({ index, transition });
    records.set(seq, record);
  };
  rows.forEach(({ runId, transitions }) => parseSegment(runId, transitions).forEach(add));
  records.forEach(({ members }) => members.sort((a, b) => a.index - b.index));
  return [...records.values()].sort((a, b) => a.seq - b.seq);
}

/** Replays the journal of `db`, of so many partitions. */
export async function replay(db: Database, partitions: number): Promise<Supervised> {
  const on = await startContext();
  for (const [table, text] of Object.entries(GIVEN)) {
    const rows = await db.query({ name: `replay_given_${table}`, text });
    const insert = `INSERT INTO ${table} (${Object.keys(rows[0] ?? {}).join(", ")})
      SELECT ${Object.keys(rows[0] ?? {}).join(", ")} FROM json_populate_recordset(NULL::${table}, $1)`;
    await on.context.db.query({ name: `replay_put_${table}`, text: insert }, [
      JSON.stringify(rows),
    ]);
  }
  const all = Array.from({ length: partitions }, (_, p) => p);
  await Promise.all(all.map(async (p) => replayPartition(on, p, await recordsOf(db, p))));
  return on;
}

async function replayPartition(
  { context }: Supervised,
  partition: number,
  records: readonly ReplayedRecord[],
): Promise<void> {
  const certifier = new Certifier(context, partition);
  await certifier.start();
  await waitFor(() => certifier.epoch !== null);
  const cursor = await readCursor(context.db, partition);
  const keys = partitionKeys(partition);
  const releaser = new Releaser(context, partition);
  const children = new Children(context, partition);
  // What a replayed failure has undone is in the journal already.
  const starter = { deadlines: () => Promise.reject(new Error("a replay starts nothing")) };
  const own = { certifier, releaser, children, starter: starter as never as Starter };
  const archiver = new Archiver({ context, partition, ...own });
  await archiver.start();
  const until = (seq: number): Promise<unknown> =>
    waitFor(async () => (await readCursor(context.db, partition))?.seq === seq, {
      timeoutMs: 60_000,
      describe: `the replay of partition ${partition} does not come to record ${seq}`,
    });
  let prev = cursor?.nonce ?? "";
  for (const { seq, t, members } of records) {
    if (members.some(({ transition }) => isCompensation(transition))) {
      await until(seq - 1);
    }
    const nonce = `n${seq}`;
    const texts = members.map(({ transition: { r, ...rest } }) => JSON.stringify({ r, ...rest }));
    const fields = { v: 1, seq, nonce, prev, t, b: `[${texts.join(",\n")}]` };
    const entry = Object.entries(fields).flat();
    await connectionAt(context.redis, keys.ev)
      .multi()
      .xadd(keys.ev, "*", ...entry)
      .hset(keys.meta, { seq, nonce })
      .exec();
    prev = nonce;
  }
  await until(records.at(-1)?.seq ?? 0);
  await archiver.stop(5000);
  await certifier.stop(5000);
}

/** Begins a run that undoes another: only once the end of that one is committed. */
function isCompensation({ r, e, dep }: Transition): boolean {
  return e === "run.started" && r.includes("~") && dep === undefined;
}
