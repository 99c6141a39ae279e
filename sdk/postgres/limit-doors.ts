/**
 * Whom a look at limits asks: at each gate as many as it lets in, which is counted first, and more
 * only where those wait for something else. Under the tenant's lock.
 */
import type { Candidate } from "./admission-rules.ts";
import { integerArray, textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
import { OPEN, type LimitCounts, type LimitLook } from "./limit-counts.ts";

/** A gate that may let somebody in. */
export interface Door {
  kind: "key" | "rate" | "tenant";
  gate: string;
  /** How many it lets in at most. */
  free: number;
  /** How many are asked, and how many of them there were. */
  ask: number;
  found: number;
}

/** One that waits. */
export interface Asked extends Candidate {
  /** Its run may be started; else it may have ended. */
  mayGo: boolean;
  isOver: boolean;
  turnMs: number;
  place: number;
}

/** Candidates per gate that one look asks. */
const ASKED_MAX = 200;
/** So many times as many are asked where those that were wait for something else. */
const ASK_MORE = 4;
/** So many that wait for one and the same other gate say that it is all about that one. */
const ALIKE = 16;

const KEY_LIMITS = {
  name: "admissions_key_limits",
  text: `SELECT gate, "limit" FROM (SELECT gate, (SELECT key_limit FROM admissions a
      WHERE a.key = gate AND a.state = 'waiting' ORDER BY key_limit DESC LIMIT 1) AS "limit"
    FROM unnest($1::text[]) AS g(gate)) AS one WHERE "limit" IS NOT NULL`,
};
/** Versions of a workflow may count over different times, so each pair is looked up, one by one. */
const RATE_LIMITS = {
  name: "admissions_rate_limits",
  text: `WITH RECURSIVE pairs(gate, ms, "limit") AS (
      SELECT g.gate, f.rate_ms, f.rate_limit FROM unnest($1::text[]) AS g(gate)
        CROSS JOIN LATERAL (SELECT rate_ms, rate_limit FROM admissions a WHERE a.rate = g.gate
          ORDER BY rate_ms, rate_limit LIMIT 1) AS f
        WHERE (SELECT 1 FROM admissions a WHERE a.rate = g.gate AND a.state = 'waiting'
          ORDER BY a.turn_ms, a.place LIMIT 1) = 1
      UNION ALL SELECT p.gate, f.rate_ms, f.rate_limit FROM pairs p
        CROSS JOIN LATERAL (SELECT rate_ms, rate_limit FROM admissions a WHERE a.rate = p.gate
          AND (a.rate_ms, a.rate_limit) > (p.ms, p."limit") ORDER BY rate_ms, rate_limit LIMIT 1) AS f)
    SELECT gate, ms, "limit" FROM pairs`,
};
// Of admissions alone, in their order, and the runs of those: begun the other way round, on statistics
// from before so many waited, it reads all of them.
const waitingAt = (where: string): string => `SELECT g.gate, c.run_id AS "runId", c.key,
      c.key_limit AS "keyLimit", c.rate, c.rate_limit AS "rateLimit", c.rate_ms AS "rateMs",
      c.turn_ms AS "turnMs", c.place, r.held AND r.status = 'QUEUED' AS "mayGo",
      r.status NOT IN ${OPEN} AS "isOver"
    FROM unnest($1::text[], $2::integer[]) AS g(gate, ask)
    CROSS JOIN LATERAL (SELECT * FROM admissions a WHERE ${where}
      ORDER BY a.turn_ms, a.place LIMIT g.ask) AS c
    JOIN runs r ON r.id = c.run_id`;
const WAITING = {
  key: {
    name: "admissions_waiting_key",
    text: waitingAt("a.key = g.gate AND a.state = 'waiting'"),
  },
  rate: {
    name: "admissions_waiting_rate",
    text: waitingAt("a.rate = g.gate AND a.state = 'waiting'"),
  },
  tenant: {
    name: "admissions_waiting_tenant",
    text: waitingAt("a.tenant = g.gate AND a.state = 'tenant'"),
  },
} as const;

/** Gates, and the tenant, that let somebody in; of full rates that somebody waits for the next start. */
export async function openDoors(
  tx: Queryable,
  look: LimitLook,
  counts: LimitCounts,
): Promise<{ doors: Door[]; dues: Map<string, number> }> {
  const gates = look.gates.filter((gate) => gate !== "");
  const { tenant, tenantMax } = look;
  const free = tenantMax === null ? ASKED_MAX : tenantMax - (await counts.tenant());
  const doors = [doorOf("tenant", tenant, free)];
  const dues = new Map<string, number>();
  if (gates.length > 0) {
    const keys = await tx.query<KeyLimit>(KEY_LIMITS, [textArray(gates)]);
    const taken = await counts.keys(keys.map(({ gate }) => gate));
    for (const { gate, limit } of keys) {
      doors.push(doorOf("key", gate, limit - (taken.get(gate) ?? 0)));
    }
    const rates = await tx.query<RateLimit>(RATE_LIMITS, [textArray(gates)]);
    const starts = await counts.rates(rates);
    for (const [gate, windows] of grouped(rates)) {
      const left = windows.map(({ ms, limit }) => limit - (starts.get(gate)?.get(ms)?.count ?? 0));
      doors.push(doorOf("rate", gate, Math.max(...left)));
      if (Math.max(...left) <= 0) {
        const next = windows.map(({ ms }) => (starts.get(gate)?.get(ms)?.firstMs ?? 0) + ms);
        dues.set(gate, Math.min(...next));
      }
    }
  }
  return { doors: doors.filter(({ ask }) => ask > 0), dues };
}

function doorOf(kind: Door["kind"], gate: string, free: number): Door {
  return { kind, gate, free, ask: Math.min(free, ASKED_MAX), found: 0 };
}

function grouped(rates: readonly RateLimit[]): Map<string, RateLimit[]> {
  const groups = new Map<string, RateLimit[]>();
  rates.forEach((one) => groups.set(one.gate, [...(groups.get(one.gate) ?? []), one]));
  return groups;
}

/** The first at each of these doors, each once, in their turn. */
export async function askAt(tx: Queryable, doors: readonly Door[]): Promise<Asked[]> {
  const all = new Map<string, Asked>();
  for (const kind of ["key", "rate", "tenant"] as const) {
    const own = new Map(doors.filter((door) => door.kind === kind).map((d) => [d.gate, d]));
    own.forEach((door) => (door.found = 0));
    const values = [textArray([...own.keys()]), integerArray([...own.values()].map((d) => d.ask))];
    for (const row of own.size === 0 ? [] : await tx.query<AskedRow>(WAITING[kind], values)) {
      all.set(row.runId, row);
      (own.get(row.gate) as Door).found++;
    }
  }
  return [...all.values()].sort((a, b) => a.turnMs - b.turnMs || a.place - b.place);
}

/**
 * Those of the doors at which more wait than were asked, and that are not used up: who was asked there
 * waits for something else. Not where that is one and the same for many, who will hardly be the last.
 */
export function unusedDoors(
  doors: readonly Door[],
  asked: readonly Asked[],
  admitted: readonly string[],
): Door[] {
  const went = new Set(admitted);
  return doors.filter((door) => {
    if (door.found < door.ask) {
      return false;
    }
    const here = asked.filter((one) => isAt(door, one));
    const stay = here.filter(({ runId }) => !went.has(runId));
    const others = new Set(
      stay.map((one) => (!one.mayGo ? one.runId : door.kind === "key" ? one.rate : one.key)),
    );
    const areAlike = stay.length >= ALIKE && others.size === 1 && !others.has(null);
    return here.length - stay.length < door.free && !areAlike;
  });
}

/** Has more be asked there; false: no more are, in one look. */
export function askMore(doors: readonly Door[]): boolean {
  const before = doors.map(({ ask }) => ask);
  doors.forEach((door) => (door.ask = Math.min(ASKED_MAX, ASK_MORE * door.ask)));
  return doors.some(({ ask }, i) => ask > (before[i] ?? 0));
}

function isAt({ kind, gate }: Door, { key, rate }: Asked): boolean {
  return kind === "tenant" || (kind === "key" ? key : rate) === gate;
}

type KeyLimit = { gate: string; limit: number; [column: string]: unknown };
type RateLimit = { gate: string; ms: number; limit: number; [column: string]: unknown };
type AskedRow = Asked & { gate: string; [column: string]: unknown };
