/**
 * The floor's archiver: copies the journal into Postgres, folded by run, one transaction per block
 * with its cursor, and then removes from Redis what has been copied and what has ended.
 */
import { connectRedis } from "../../sdk/internal.ts";
import { connectPostgres } from "../../sdk/postgres/index.ts";
import type { RolePart } from "../roles.ts";
import { EV, runKey, type FloorOptions } from "./names.ts";

const BLOCK_RECORDS = 100;

const TABLES = {
  name: "floor_tables",
  text: `CREATE TABLE IF NOT EXISTS floor_journal (
    run_id text, seq bigint, transitions text, PRIMARY KEY (run_id, seq))`,
};
const CURSOR_TABLE = {
  name: "floor_cursor_table",
  text: "CREATE TABLE IF NOT EXISTS floor_cursor (seq bigint, stream_id text)",
};
const CURSOR_ROW = { name: "floor_cursor_row", text: "INSERT INTO floor_cursor VALUES (0, '0-0')" };
const EMPTY = { name: "floor_empty", text: "TRUNCATE floor_journal, floor_cursor" };
const INSERT = {
  name: "floor_insert",
  text: "INSERT INTO floor_journal SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])",
};
const ADVANCE = {
  name: "floor_advance",
  text: "UPDATE floor_cursor SET seq = $2, stream_id = $3 WHERE seq = $1 RETURNING seq",
};

type StreamReply = [string, [string, string[]][]][] | null;
interface Transition {
  r: string;
  e: string;
}

/** Starts it; `report` is told how many ended runs have been committed. */
export async function floorArchiver(
  options: FloorOptions,
  report: (ended: number) => void,
): Promise<RolePart> {
  const { redisUrl, databaseUrl: url, singleSession } = options;
  const redis = connectRedis({ url: redisUrl }, "floor:archiver");
  const reader = connectRedis({ url: redisUrl }, "floor:journal");
  const db = connectPostgres({ url, singleSession, name: "floor", connectionsMax: 2 });
  for (const statement of [TABLES, CURSOR_TABLE, EMPTY, CURSOR_ROW]) {
    await db.query(statement);
  }
  let stopped = false;
  let seq = 0;
  let ended = 0;

  const commit = async (entries: [string, string[]][]): Promise<void> => {
    const byRun = new Map<string, Transition[]>();
    const over: string[] = [];
    for (const [, fields] of entries) {
      for (const transition of JSON.parse(fields[1] ?? "[]") as Transition[]) {
        const list = byRun.get(transition.r);
        if (list === undefined) {
          byRun.set(transition.r, [transition]);
        } else {
          list.push(transition);
        }
        if (transition.e === "run.completed") {
          over.push(transition.r);
        }
      }
    }
    const to = seq + entries.length;
    const [lastId = "0-0"] = entries.at(-1) ?? [];
    const bodies = [...byRun.values()].map((list) => JSON.stringify(list));
    await db.transaction(async (tx) => {
      const rows = [[...byRun.keys()], bodies.map(() => to), bodies];
      const [, moved] = await Promise.all([
        tx.query(INSERT, rows),
        tx.query(ADVANCE, [seq, to, lastId]),
      ]);
      if (moved.length !== 1) {
        throw new Error(`the floor's cursor is not at ${seq}: another archiver runs`);
      }
    });
    seq = to;
    ended += over.length;
    report(ended);
    void redis.xtrim(EV, "MINID", lastId).catch(() => 0);
    void (over.length > 0 ? redis.unlink(over.map(runKey)) : Promise.resolve(0)).catch(() => 0);
  };

  const loop = async (): Promise<void> => {
    let from = "0-0";
    let committing = Promise.resolve();
    while (!stopped) {
      const read = ["COUNT", BLOCK_RECORDS, "BLOCK", 100, "STREAMS", EV, from];
      const reply = (await reader.call("XREAD", ...read)) as StreamReply;
      const entries = reply?.[0]?.[1] ?? [];
      // The next block is read while this one is committed.
      await committing;
      if (entries.length > 0) {
        from = entries.at(-1)?.[0] ?? from;
        committing = commit(entries);
      }
    }
    await committing;
  };
  const looping = loop();
  return {
    async stop() {
      stopped = true;
      await looping;
      reader.disconnect();
      redis.disconnect();
      await db.close();
    },
  };
}
