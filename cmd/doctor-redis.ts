/**
 * `gavotte doctor`: what servers of Redis say of themselves, one alone or the nodes of a cluster. What
 * makes one refuse writes comes first: calls that it refuses are waited for, so all else looks well.
 */
import { addressText, SLOTS, type ClusterTopology } from "../sdk/internal.ts";
import { TIGHT_SHARE } from "../supervisor/index.ts";
import type { Check } from "./doctor-checks.ts";

const REDIS_MIN = [7, 0] as const;
const VALKEY_MIN = [7, 2] as const;
const EVICTS = ": it would throw runs away; set noeviction";
const UNLINKED =
  " that copies nothing: if its primary goes, what it has missed is lost in Redis; look at its log " +
  "and at the way to its primary";
const UNLIMITED = ": nothing slows down before the machine has no memory left; set maxmemory";

/** What one server says of itself (INFO); `isOne`: there is no other, so all is written to it. */
export function serverChecks(info: Info, isOne = true): Check[] {
  const aof = info.aof_enabled === "1";
  return [
    versionCheck(info, isOne),
    memoryCheck(info),
    unwritten(info) ?? {
      name: "persistence",
      state: aof ? "ok" : "warning",
      text: aof ? "AOF is on" : "AOF is off: a restart rolls back, runs are rebuilt from Postgres",
    },
  ];
}

function versionCheck(info: Info, isOne: boolean): Check {
  const valkey = info.valkey_version;
  const [product, version, min] =
    valkey === undefined
      ? (["Redis", info.redis_version ?? "0", REDIS_MIN] as const)
      : (["Valkey", valkey, VALKEY_MIN] as const);
  const isOld = isOlder(version, min);
  const needs = isOld ? `: ${min.join(".")} or newer is needed` : "";
  const isReplica = isOne && info.role === "slave";
  const of = isReplica
    ? `: it is a replica of ${info.master_host ?? "?"}:${info.master_port ?? "?"} and takes no ` +
      "writes; set redis_url to its primary"
    : "";
  const state = isOld || isReplica ? "bad" : "ok";
  return { name: "redis", state, text: `${product} ${version}${needs}${of}` };
}

function memoryCheck(info: Info): Check {
  const policy = info.maxmemory_policy ?? "unknown";
  const evicts = policy !== "noeviction" && policy !== "unknown";
  const isOpen = info.maxmemory === "0";
  const limit = isOpen ? "no limit" : (info.maxmemory_human ?? "unknown limit");
  const remedy = evicts ? EVICTS : isOpen ? UNLIMITED : "";
  const share = Number(info.used_memory) / Number(info.maxmemory);
  const isTight = Number.isFinite(share) && share > TIGHT_SHARE;
  const used = isTight ? `, ${Math.round(share * 100)} % used: no new run begins` : "";
  return {
    name: "memory",
    state: evicts ? "bad" : isTight || isOpen ? "warning" : "ok",
    text: `${policy}, ${limit}${used}${remedy}`,
  };
}

/** Why it refuses every write (MISCONF), as what it was told cannot be kept; null: it can. */
function unwritten(info: Info): Check | null {
  const refuses = "and Redis refuses all writes until it can be: nothing goes on; ";
  const look = "look at its disk (full? read-only?) and at its log";
  const why =
    info.aof_last_write_status === "err"
      ? `the AOF cannot be written, ${refuses}${look}`
      : info.rdb_last_bgsave_status === "err"
        ? `the last snapshot could not be written, ${refuses}${look}; only ` +
          "stop-writes-on-bgsave-error no lets it go on all the same"
        : null;
  return why === null ? null : { name: "persistence", state: "bad", text: why };
}

/** The cluster as a whole, then every node of it. */
export async function clusterChecks(topology: ClusterTopology): Promise<Check[]> {
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
      const remedy = "start it, or have the cluster forget it";
      checks.push({ name: "node", state: "bad", text: `${where} does not answer; ${remedy}` });
      continue;
    }
    const facts = parseInfo(info);
    const slots = node.ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    const role = node.ranges.length > 0 ? `primary of ${slots} slots` : "replica";
    const isCopying = facts.master_link_status !== "down" || facts.master_sync_in_progress === "1";
    const isCut = node.ranges.length === 0 && !isCopying;
    const cut = isCut ? UNLINKED : "";
    checks.push({ name: "node", state: isCut ? "bad" : "ok", text: `${where}, ${role}${cut}` });
    // Each says of which: whoever reads what is bad alone sees no line before it.
    serverChecks(facts, false).forEach(({ name, state, text }) =>
      checks.push({ name, state, text: `${where}: ${text}` }),
    );
  }
  return checks;
}

export interface Info {
  [name: string]: string | undefined;
}

/** Of the text that INFO answers. */
export function parseInfo(text: string): Info {
  const lines = text.split("\r\n").filter((line) => line.includes(":"));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
  );
}

function isOlder(version: string, [minMajor, minMinor]: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < minMajor || (major === minMajor && minor < minMinor);
}
