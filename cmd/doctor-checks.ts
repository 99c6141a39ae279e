/** What `gavotte doctor` looks at, one function per thing. Reads only. */
import {
  addressText,
  clusterOf,
  driftText,
  partitionKeys,
  ScriptRunner,
  SLOTS,
  type ClusterTopology,
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
import { TIGHT_SHARE, type KeptFinding } from "../supervisor/index.ts";
import { why } from "./commands/status.ts";
import type { Config } from "./config.ts";
import { askedUntil } from "./doctor-moment.ts";
import { formatMs } from "./output.ts";
import type { Stack } from "./stack.ts";
import { leftOut, whereServed } from "./where-served.ts";

export interface Check {
  name: string;
  state: "ok" | "warning" | "bad";
  text: string;
}

const REDIS_MIN = [7, 0] as const;
const VALKEY_MIN = [7, 2] as const;
const POSTGRES_MIN = 14;
const RUNS_SHOWN = 20;
const EVICTS = ": it would throw runs away; set noeviction";
const UNLIMITED = ": nothing slows down before the machine has no memory left; set maxmemory";

/** Version, memory policy and persistence of Redis or Valkey. */
export async function checkRedis(stack: Stack): Promise<Check[]> {
  const { redis } = await stack.client();
  const topology = clusterOf(redis);
  return topology === null ? serverChecks(parseInfo(await redis.info())) : clusterChecks(topology);
}

/** What one server says of itself (INFO). */
export function serverChecks(info: Info): Check[] {
  const valkey = info.valkey_version;
  const [product, version, min] =
    valkey === undefined
      ? (["Redis", info.redis_version ?? "0", REDIS_MIN] as const)
      : (["Valkey", valkey, VALKEY_MIN] as const);
  const isOld = isOlder(version, min);
  const needs = isOld ? `: ${min.join(".")} or newer is needed` : "";
  const policy = info.maxmemory_policy ?? "unknown";
  const evicts = policy !== "noeviction" && policy !== "unknown";
  const isOpen = info.maxmemory === "0";
  const limit = isOpen ? "no limit" : (info.maxmemory_human ?? "unknown limit");
  const remedy = evicts ? EVICTS : isOpen ? UNLIMITED : "";
  const share = Number(info.used_memory) / Number(info.maxmemory);
  const isTight = Number.isFinite(share) && share > TIGHT_SHARE;
  const used = isTight ? `, ${Math.round(share * 100)} % used: no new run begins` : "";
  const aof = info.aof_enabled === "1";
  return [
    { name: "redis", state: isOld ? "bad" : "ok", text: `${product} ${version}${needs}` },
    {
      name: "memory",
      state: evicts ? "bad" : isTight || isOpen ? "warning" : "ok",
      text: `${policy}, ${limit}${used}${remedy}`,
    },
    {
      name: "persistence",
      state: aof ? "ok" : "warning",
      text: aof ? "AOF is on" : "AOF is off: a restart rolls back, runs are rebuilt from Postgres",
    },
  ];
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
    const kept = await whereServed(client.redis, partition, () => client.redis.hvals(findings));
    for (const { atMs, drifts } of (kept ?? []).map((text) => JSON.parse(text) as KeptFinding)) {
      const when = `${formatMs(Math.max(0, Date.now() - atMs))} ago`;
      drifts.forEach((drift) => {
        checks.push({ name: "audit", state: "bad", text: `${when}: ${driftText(drift)}` });
      });
    }
  }
  return checks;
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

/** The cluster as a whole, then every node of it. */
async function clusterChecks(topology: ClusterTopology): Promise<Check[]> {
  await topology.refresh();
  const nodes = [...topology.nodes].sort(
    (a, b) => (a.ranges[0]?.[0] ?? SLOTS) - (b.ranges[0]?.[0] ?? SLOTS),
  );
  const primaries = nodes.filter((node) => node.ranges.length > 0);
  const covered = topology.coverage();
  const replicas = nodes.length - primaries.length;
  const missing = covered < SLOTS ? `; ${SLOTS - covered} slots have no primary that answers` : "";
  const text = `${primaries.length} primaries, ${replicas} replicas, ${covered} of ${SLOTS} slots`;
  const checks: Check[] = [
    { name: "cluster", state: covered < SLOTS ? "bad" : "ok", text: text + missing },
  ];
  for (const node of nodes) {
    const where = addressText(node.address);
    const info = await topology.info(node.address);
    if (info === null || node.isFailed) {
      checks.push({ name: "node", state: "bad", text: `${where} does not answer` });
      continue;
    }
    const slots = node.ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    const role = node.ranges.length > 0 ? `primary of ${slots} slots` : "replica";
    checks.push({ name: "node", state: "ok", text: `${where}, ${role}` });
    checks.push(...serverChecks(parseInfo(info)));
  }
  return checks;
}

export interface Info {
  [name: string]: string | undefined;
}

function parseInfo(text: string): Info {
  const lines = text.split("\r\n").filter((line) => line.includes(":"));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
  );
}

function isOlder(version: string, [minMajor, minMinor]: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < minMajor || (major === minMajor && minor < minMinor);
}
