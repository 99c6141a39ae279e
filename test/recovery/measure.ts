/**
 * `npm run recovery -- [--runs 10000] [--seed 1] [--out FILE]`: how long it takes until an emptied Redis has all
 * unfinished runs again and accepts work. Every run has two finished steps and stands at a signal;
 * in the end some of them, drawn by the seed, are sent theirs, to see that they still move.
 */
import { writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { uuidv7 } from "uuidv7";
import { createClient } from "../../sdk/client.ts";
import { globalKeys, partitionKeys } from "../../sdk/internal.ts";
import { readCursor } from "../../sdk/postgres/index.ts";
import { ChaosStack } from "../chaos/stack.ts";
import { seeded } from "../harness/random.ts";
import { waitFor } from "../support/wait-for.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
    out: { type: "string" },
  },
});
const runs = Number(values.runs);
const seed = Number(values.seed);
const SUBMIT_BATCH = 500;
const MOVED = 50;
const LIMIT = { timeoutMs: 300_000 };
const keys = partitionKeys(0);

const rounded = (value: number): number => Math.round(value * 10) / 10;
const secondsSince = (ms: number): number => rounded((performance.now() - ms) / 1000);
const git = ["rev-parse", "--short", "HEAD"];
const commit = execFileSync("git", git, { encoding: "utf8" }).trim();

const echo = (id: string): object => ({
  ...{
    id,
    type: "function",
    config: { function_name: "builtin.echo", params: { id, n: "${input.n}" } },
  },
});
const workflow = {
  name: "standing",
  nodes: [echo("a"), echo("b"), { id: "w", type: "wait", config: { signal: "go" } }, echo("c")],
  edges: [
    { from: "a", to: "b" },
    { from: "b", to: "w" },
    { from: "w", to: "c" },
  ],
};

const stack = await ChaosStack.start();
try {
  await stack.spawn("supervisor");
  await stack.spawn("worker");
  const begun = performance.now();
  const ids = Array.from({ length: runs }, () => uuidv7());
  for (let from = 0; from < runs; from += SUBMIT_BATCH) {
    const pipeline = stack.redis.pipeline();
    ids.slice(from, from + SUBMIT_BATCH).forEach((id, i) => {
      const text = JSON.stringify({ workflow, run_id: id, input: { n: from + i } });
      pipeline.xadd(globalKeys.submissions, "*", "submission", text);
    });
    await pipeline.exec();
  }
  const waiting = {
    name: "recovery_waiting",
    text: `SELECT count(*)::int AS n FROM journal WHERE transitions LIKE '%node.waiting%'
      OR transitions LIKE '%"e":"node.parked"%'`,
  };
  await waitFor(
    async () => {
      const [row] = await stack.db.query<{ n: number }>(waiting);
      return (row?.n ?? 0) >= runs;
    },
    { ...LIMIT, describe: "not all runs stand at their signal" },
  );
  const before = (await readCursor(stack.db, 0))?.epoch ?? 0;
  const secondsToPrepare = secondsSince(begun);
  const load = loadavg().map((value) => Math.round(value * 10) / 10);
  const started = performance.now();
  await stack.redis.flushall();
  await waitFor(async () => Number(await stack.redis.hget(keys.meta, "epoch")) > before, LIMIT);
  const seconds = secondsSince(started);
  const hashes = await Promise.all(ids.map((id) => stack.redis.exists(keys.run(id))));
  const back = hashes.filter((found) => found === 1).length;
  const client = await createClient({ redisUrl: stack.box.url, database: stack.db });
  const random = seeded(seed);
  const moved = Array.from({ length: MOVED }, () => ids[Math.floor(random() * runs)] as string);
  await Promise.all(moved.map((id) => client.signal(id, "go", {})));
  const rows = await Promise.all(moved.map((id) => client.ended(id, { timeoutMs: 60_000 })));
  await client.close();
  const ended = rows.filter(({ status }) => status === "COMPLETED").length;
  const secondsToMove = secondsSince(started) - seconds;
  const info = await stack.redis.info("server");
  const report = {
    ...{ date: new Date().toISOString(), commit, seed, runs, back, seconds },
    ...{ moved: `${ended} of ${MOVED}`, secondsToPrepare, secondsToMove: rounded(secondsToMove) },
    machine: {
      ...{ cores: cpus().length, model: cpus()[0]?.model, gigabytes: rounded(totalmem() / 1e9) },
      ...{ system: release(), node: process.version, load },
      redis: /(?:valkey|redis)_version:\S+/.exec(info)?.[0],
    },
  };
  const text = `${JSON.stringify(report, null, 2)}\n`;
  process.stdout.write(text);
  if (values.out !== undefined) {
    writeFileSync(values.out, text);
  }
  process.exitCode = back === runs && ended === MOVED ? 0 : 1;
} finally {
  await stack.stop();
}
