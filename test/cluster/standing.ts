/** Where everything stands when a test of the cluster has failed: what a hang leaves to go by. */
import { connectionAt, globalKeys, inTime, partitionKeys, type Redis } from "../../sdk/internal.ts";
import { definitionsByHash, readJournal, type Database } from "../../sdk/postgres/index.ts";
import type { Ir } from "../../compiler/index.ts";
import { whyRun } from "../../supervisor/index.ts";
import type { TestNode } from "../support/redis-cluster.ts";

interface Standing {
  redis: Redis;
  db: Database;
  nodes: readonly TestNode[];
  deployment: { id: string; partitions: number };
}

const OPEN = {
  name: "standing_open",
  text: `SELECT id, status, partition, ir_hash AS ir FROM runs
    WHERE status NOT IN ('COMPLETED', 'FAILED', 'CANCELLED') ORDER BY created_at_ms, id`,
};
const CURSORS = { name: "standing_cursors", text: "SELECT * FROM cursors ORDER BY partition" };
const RUNS_TOLD = 5;
const LAST_EVENTS = 10;
const ANSWER_MS = 2000;

type Open = { id: string; status: string; partition: number; ir: string };

/** Says it in lines; what does not answer in time says so. */
export async function standing(of: Standing): Promise<string[]> {
  const { redis, db, nodes } = of;
  const told = async (what: string, ask: () => Promise<unknown>): Promise<string> => {
    const asked = ask().catch((error: unknown) => `fails: ${String(error)}`);
    return `${what}: ${JSON.stringify(await inTime(asked, ANSWER_MS, "no answer"))}`;
  };
  const open = await db.query<Open>(OPEN);
  const partitions = [...new Set(open.map(({ partition }) => partition))];
  return Promise.all([
    ...nodes.map((node) =>
      told(`node ${node.port}`, async () => String(await node.redis.cluster("NODES")).split("\n")),
    ),
    told("submissions", () => redis.xinfo("GROUPS", globalKeys.submissions)),
    told("cursors", () => db.query(CURSORS)),
    told("open", () => Promise.resolve(open.map(({ id, status }) => `${id} ${status}`))),
    ...partitions.map((p) => told(`partition ${p}`, () => partitionOfRedis(redis, p))),
    ...open
      .slice(0, RUNS_TOLD)
      .flatMap((run) => [
        told(`why ${run.id}`, () => why(of, run)),
        told(`hash ${run.id}`, () => redis.hgetall(partitionKeys(run.partition).run(run.id))),
        told(`journal ${run.id}`, async () => (await readJournal(db, run.id)).slice(-LAST_EVENTS)),
      ]),
  ]);
}

async function partitionOfRedis(redis: Redis, partition: number): Promise<object> {
  const keys = partitionKeys(partition);
  const at = connectionAt(redis, keys.meta);
  const meta = await at.hgetall(keys.meta);
  const timers = await at.zrange(keys.timers, 0, LAST_EVENTS, "WITHSCORES");
  const queues: { [key: string]: unknown } = {};
  for (let cursor = "0"; ;) {
    const [next, found] = await at.scan(cursor, "MATCH", keys.pattern, "COUNT", 1000);
    for (const key of found.filter((name) => name.includes(":q:"))) {
      queues[key] = [await at.xlen(key), await at.xinfo("GROUPS", key)];
    }
    cursor = next;
    if (cursor === "0") {
      return { meta, timers, queues };
    }
  }
}

async function why({ redis, db, deployment }: Standing, { id }: Open): Promise<unknown> {
  const irOf = async (hash: string): Promise<Ir | null> => {
    const [definition] = await definitionsByHash(db, [hash]);
    return definition === undefined ? null : (JSON.parse(definition.ir) as Ir);
  };
  return (await whyRun({ redis, db, deployment, runId: id, irOf }))?.reasons;
}
