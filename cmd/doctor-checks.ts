/** What `gavotte doctor` looks at, one function per thing. Reads only. */
import {
  clusterOf,
  driftText,
  partitionKeys,
  ScriptRunner,
  unlessForeign,
} from "../sdk/internal.ts";
import {
  assertSchema,
  listPauses,
  migrationNames,
  countAsleep,
  listSuspects,
  quietRuns,
  readDeployment,
  stopOf,
  type RunRow,
} from "../sdk/postgres/index.ts";
import type { KeptFinding } from "../supervisor/index.ts";
import { why } from "./commands/status.ts";
import type { Config } from "./config.ts";
import { foreignText } from "./doctor-foreign.ts";
import { askedUntil } from "./doctor-moment.ts";
import { clusterChecks, parseInfo, serverChecks } from "./doctor-redis.ts";
import { formatMs } from "./output.ts";
import type { Stack } from "./stack.ts";
import { leftOut, whereServed } from "./where-served.ts";

export interface Check {
  name: string;
  state: "ok" | "warning" | "bad";
  text: string;
}

/** No finding. */
const FOREIGN = [""];
const POSTGRES_MIN = 14;
const RUNS_SHOWN = 20;

/** Version, memory policy and persistence of Redis or Valkey. */
export async function checkRedis(stack: Stack): Promise<Check[]> {
  const { redis } = await stack.client();
  const topology = clusterOf(redis);
  return topology === null ? serverChecks(parseInfo(await redis.info())) : clusterChecks(topology);
}

/** Version of Postgres, and whether its schema is this program's. */
export async function checkDatabase(stack: Stack): Promise<Check[]> {
  const text = "SHOW server_version";
  const [row] = await stack.db.query<{ server_version: string }>({ name: "doctor_version", text });
  const version = row?.server_version ?? "0";
  const isOld = Number.parseInt(version, 10) < POSTGRES_MIN;
  const needs = isOld ? `: ${POSTGRES_MIN} or newer is needed` : "";
  const kind = stack.db.singleSession ? "PGlite, " : "";
  await assertSchema(stack.db);
  return [
    { name: "postgres", state: isOld ? "bad" : "ok", text: `${kind}Postgres ${version}${needs}` },
    { name: "schema", state: "ok", text: `up to date (${migrationNames().at(-1) ?? "empty"})` },
  ];
}

/** Whether Redis and Postgres belong together, and a supervisor has certified every partition. */
export async function checkPartitions(stack: Stack, _: unknown, untilMs: number): Promise<Check[]> {
  const known = await readDeployment(stack.db);
  if (known === null) {
    return [{ name: "partitions", state: "bad", text: 'none yet: start "gavotte supervisor"' }];
  }
  const client = await stack.client();
  const { id, partitions } = await client.deployment();
  if (id !== known.id) {
    const text = `Redis belongs to deployment ${id}, the database to ${known.id}`;
    return [{ name: "partitions", state: "bad", text }];
  }
  const ask = (): ReturnType<typeof uncertified> => uncertified(stack, id, partitions);
  const { open, away } = await askedUntil(untilMs, ask, (found) => found.open.length === 0);
  const certified = away.length === 0 ? "all certified" : "the others certified";
  const text =
    open.length === 0
      ? `${partitions}, ${certified}`
      : `${partitions}, not certified: ${open.join(", ")}; is a supervisor running?`;
  return [
    { name: "partitions", state: open.length === 0 ? "ok" : "bad", text },
    ...leftOut("partitions", away, "no work is done"),
  ];
}

async function uncertified(
  stack: Stack,
  id: string,
  partitions: number,
): Promise<{ open: number[]; away: number[] }> {
  const { redis } = await stack.client();
  const open: number[] = [];
  const away: number[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const scripts = new ScriptRunner({ redis, deployment: id, partition });
    const isCertified = await whereServed(redis, partition, () => scripts.isCertified());
    if (isCertified !== true) {
      (isCertified === null ? away : open).push(partition);
    }
  }
  return { open, away };
}

/** Whether somebody has stopped the deployment. */
export async function checkStop(stack: Stack): Promise<Check[]> {
  const stop = stopOf(await listPauses(stack.db));
  if (stop === null) {
    return [];
  }
  const why = stop.reason === "" ? "" : ` (${stop.reason})`;
  const since = new Date(stop.changedAtMs).toISOString();
  const text = `by ${stop.who || "somebody"}${why} since ${since}: "gavotte resume --all" ends it`;
  return [{ name: "stopped", state: "warning", text }];
}

/** What the supervisors' audit has found lately. */
export async function checkFindings(stack: Stack): Promise<Check[]> {
  const client = await stack.client();
  const { partitions } = await client.deployment();
  const checks: Check[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const { findings } = partitionKeys(partition);
    const kept = await whereServed(client.redis, partition, () =>
      unlessForeign(client.redis.hvals(findings), FOREIGN),
    );
    const texts = new Set(
      (kept ?? []).flatMap((text) => findingTexts(text) ?? foreignText(findings)),
    );
    texts.forEach((text) => checks.push({ name: "audit", state: "bad", text }));
  }
  return checks;
}

/** What a finding says; null: it is none. */
function findingTexts(text: string): string[] | null {
  try {
    const { atMs, drifts } = JSON.parse(text) as KeptFinding;
    const when = `${formatMs(Math.max(0, Date.now() - atMs))} ago`;
    return drifts.map((drift) => `${when}: ${driftText(drift)}`);
  } catch {
    return null;
  }
}

/** How many runs wait for so long that they have left Redis. */
export async function checkAsleep(stack: Stack): Promise<Check[]> {
  const count = await countAsleep(stack.db);
  return count === 0 ? [] : [{ name: "asleep", state: "ok", text: `${count} runs` }];
}

/** Runs that are frozen, and why: a repair takes seconds, unless it fails. */
export async function checkFrozen(stack: Stack, config: Config): Promise<Check[]> {
  return runChecks(stack, config, await listSuspects(stack.db, RUNS_SHOWN));
}

/** Runs without news for long, and what they wait for. */
export async function checkRuns(stack: Stack, config: Config): Promise<Check[]> {
  const sinceMs = Date.now() - config.values.stalled_after_ms;
  const checks = await runChecks(stack, config, await quietRuns(stack.db, sinceMs, RUNS_SHOWN));
  return checks.length > 0 ? checks : [{ name: "runs", state: "ok", text: "none stands still" }];
}

/** Each with what it waits for. */
async function runChecks(stack: Stack, config: Config, runs: readonly RunRow[]): Promise<Check[]> {
  const client = await stack.client();
  const checks: Check[] = [];
  for (const run of runs) {
    const { id, partition } = run;
    const reasons = (await whereServed(client.redis, partition, () => why(config, client, id))) ?? [
      `its partition, ${partition}, has no primary`,
    ];
    const age = formatMs(Date.now() - (run.startedAtMs ?? run.createdAtMs));
    const text = `${run.id} (${run.workflow}, for ${age}): ${reasons.join("; ")}`;
    checks.push({ name: "run", state: "warning", text });
  }
  return checks;
}
