/** What is taken of the limits of a tenant, counted under its lock. */
import type { Candidate, Starts, Taken } from "./admission-rules.ts";
import { bigintArray, textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";

export const LOCK_CLASS = 0x6777;
// Who waits is read in order and no further than is asked. Statistics from before a flood promise so
// few that it looks cheaper to fetch all of them and sort.
export const LOCK = {
  name: "admissions_lock",
  text: `SELECT pg_advisory_xact_lock($1, hashtext($2)), set_config('enable_bitmapscan', 'off', true)`,
};
export const OPEN = "('QUEUED', 'RUNNING', 'PAUSED', 'FINISHING')";
export const TAKEN = "('admitted', 'ending')";
/** Its ended attempt is being redriven; `$2` is now. */
export const CLAIMED = "(a.claimed_until_ms > $2 AND a.claimed_attempt = r.attempt)";

/** Which places of a tenant to look at; `gates`: ids of keys and rates. */
export interface LimitLook {
  tenant: string;
  gates: readonly string[];
  /** Runs that the tenant may have in progress; null: no end. */
  tenantMax: number | null;
}

const KEYS = {
  name: "admissions_keys",
  text: `SELECT a.key AS gate, count(*)::integer AS count
    FROM admissions a JOIN runs r ON r.id = a.run_id
    WHERE a.key = ANY($1::text[]) AND a.state IN ${TAKEN}
      AND (r.status IN ${OPEN} OR ${CLAIMED}) GROUP BY a.key`,
};
const RATES = {
  name: "admissions_rates",
  text: `SELECT u.gate, u.ms, count(*)::integer AS count, min(admitted_at_ms) AS "firstMs"
    FROM admissions a JOIN unnest($1::text[], $2::bigint[]) AS u(gate, ms) ON a.rate = u.gate
    WHERE a.admitted_at_ms > $3 - u.ms GROUP BY u.gate, u.ms`,
};
const TENANT = {
  name: "admissions_tenant",
  text: `SELECT count(*)::integer AS count FROM admissions a JOIN runs r ON r.id = a.run_id
    WHERE a.tenant = $1 AND a.state IN ${TAKEN} AND r.status IN ${OPEN}`,
};

/** Counts of one look: each is made once, and is what was there before anything is decided. */
export class LimitCounts {
  readonly #tx: Queryable;
  readonly #look: LimitLook;
  readonly nowMs: number;
  readonly #keys = new Map<string, number>();
  readonly #rates: Taken["rates"] = new Map();
  #tenant: number | null = null;

  constructor(tx: Queryable, look: LimitLook, nowMs: number) {
    this.#tx = tx;
    this.#look = look;
    this.nowMs = nowMs;
  }

  /** Places that are taken, by key. */
  async keys(asked: Iterable<string>): Promise<ReadonlyMap<string, number>> {
    const fresh = [...new Set(asked)].filter((key) => !this.#keys.has(key));
    fresh.forEach((key) => this.#keys.set(key, 0));
    if (fresh.length > 0) {
      const rows = await this.#tx.query<CountRow>(KEYS, [textArray(fresh), this.nowMs]);
      rows.forEach(({ gate, count }) => this.#keys.set(gate, count));
    }
    return this.#keys;
  }

  /** Starts within each of these times, by rate. */
  async rates(windows: readonly { gate: string; ms: number }[]): Promise<Taken["rates"]> {
    const fresh = windows.filter(({ gate, ms }) => {
      const own = this.#rates.get(gate) ?? new Map<number, Starts>();
      this.#rates.set(gate, own);
      return !own.has(ms) && own.set(ms, { count: 0, firstMs: this.nowMs });
    });
    if (fresh.length > 0) {
      const [gates, times] = [fresh.map(({ gate }) => gate), fresh.map(({ ms }) => ms)];
      const values = [textArray(gates), bigintArray(times), this.nowMs];
      for (const { gate, ms, ...starts } of await this.#tx.query<StartsRow>(RATES, values)) {
        this.#rates.get(gate)?.set(ms, starts as Starts);
      }
    }
    return this.#rates;
  }

  /** Places of the tenant that are taken; 0 where it has no number of them. */
  async tenant(): Promise<number> {
    const { tenant, tenantMax } = this.#look;
    if (this.#tenant === null) {
      const rows = tenantMax === null ? [] : await this.#tx.query<CountRow>(TENANT, [tenant]);
      this.#tenant = rows[0]?.count ?? 0;
    }
    return this.#tenant;
  }

  /** All that these wait for, to be counted on. */
  async takenBy(asked: readonly Candidate[]): Promise<Taken> {
    const keys = await this.keys(asked.flatMap(({ key }) => key ?? []));
    const rates = await this.rates(
      asked.flatMap(({ rate, rateMs }) => (rate === null ? [] : [{ gate: rate, ms: rateMs }])),
    );
    const copies = [...rates].map(([gate, own]) => [gate, new Map(own)] as const);
    const { tenantMax } = this.#look;
    const tenant = await this.tenant();
    return { keys: new Map(keys), rates: new Map(copies), tenant, tenantMax, nowMs: this.nowMs };
  }
}

type CountRow = { gate: string; count: number; [column: string]: unknown };
type StartsRow = Starts & { gate: string; ms: number; [column: string]: unknown };
