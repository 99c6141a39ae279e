/**
 * The watch over runs that wait for a limit: whatever frees a place admits the next.
 *
 * Nothing polls in the normal case: an end that is archived names its run, a rate's next start is a
 * timer, and the intake admits at once what has a place. All of these are hints that die with the
 * process; while anybody waits, a sweep looks at every gate, a page of them at a time. The decision
 * itself is the transaction's (limit-looks.ts), so looking too often, or in several supervisors, does
 * nothing. What is admitted and not started, because its supervisor died in between, the start sweep
 * starts.
 */
import { errorCode } from "../sdk/internal.ts";
import {
  anyWaiting,
  cleanAdmissions,
  endingRuns,
  gatesOfRuns,
  lookAtLimits,
  NO_GATE,
  runsById,
  waitingGates,
  type AdmissionGate,
  type Gate,
  type LimitEffects,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { Apart, byPartition, inTurn } from "./apart.ts";
import type { SupervisorContext } from "./context.ts";
import { endRun } from "./end-run.ts";
import { Loop } from "./loop.ts";
import type { Deadlines, Starter } from "./starter.ts";

/** How soon a waiting run that another supervisor accepted is known of. */
const LOOK_MS = 500;
const SWEEP_MS = 5000;
const GATES_MAX = 1000;
const ENDING_MAX = 500;
const CLEAN_MAX = 1000;
const HINTS_MAX = 20_000;
const WAIT_MS_MIN = 1;

export class LimitWatch extends Loop {
  readonly #context: SupervisorContext;
  readonly #starter: Starter;
  readonly #tenantRunsMax: number;
  readonly #apart = new Apart();
  /** Runs whose ends are archived, since the last look. */
  #ended = new Set<string>();
  /** When rates have their next start, by this process' monotonic clock. */
  readonly #dues = new Map<string, Gate & { atMs: number }>();
  #mayWait = false;
  #lookAtMs = 0;
  #sweepAtMs = 0;
  /** The last gate of the sweep's last page. */
  #sweptTo = NO_GATE;

  /** `tenantRunsMax`: runs in progress of one named tenant; 0: no end. */
  constructor(context: SupervisorContext, starter: Starter, tenantRunsMax = 0) {
    super({
      name: "limits",
      logger: context.logger,
      step: () => this.#step(),
    });
    this.#context = context;
    this.#starter = starter;
    this.#tenantRunsMax = tenantRunsMax;
  }

  /** Whether named tenants have a number of places. */
  get hasTenantMax(): boolean {
    return this.#tenantRunsMax > 0;
  }

  /** For one transaction that accepts runs; what it admits is handed to `keep`. */
  gate(keep: (effects: LimitEffects) => void): AdmissionGate {
    return {
      tenantMax: (tenant) => this.#maxOf(tenant),
      nowMs: this.#context.clock.nowMs(),
      told: keep,
    };
  }

  /** These runs have ended: their places are free. */
  ended(runIds: readonly string[]): void {
    if (this.#mayWait && runIds.length > 0 && this.#ended.size < HINTS_MAX) {
      runIds.forEach((id) => this.#ended.add(id));
      this.wake();
    }
  }

  /** Starts what was admitted, cancels what is to end, remembers when to look again. */
  async settle({ admitted, ending, dues }: LimitEffects, deadlines: Deadlines): Promise<void> {
    this.#mayWait = true;
    const now = this.#context.clock.monotonicMs();
    for (const { tenant, gate, inMs } of dues) {
      this.#dues.set(`${gate}\0${tenant}`, { tenant, gate, atMs: now + inMs });
      this.wake();
    }
    await this.#start(admitted, deadlines);
    await this.#end(ending);
  }

  /** Looks at the next page of gates; false: there are more. Hints are served between two pages. */
  async #sweep(): Promise<boolean> {
    const { db } = this.#context;
    await this.#end(await endingRuns(db, ENDING_MAX));
    const gates = await waitingGates(db, this.#sweptTo, GATES_MAX);
    await this.#look(gates);
    await cleanAdmissions(db, CLEAN_MAX);
    const last = gates.length === GATES_MAX ? gates.at(-1) : undefined;
    this.#sweptTo = last ?? NO_GATE;
    return last === undefined;
  }

  async #step(): Promise<number> {
    const ids = [...this.#ended];
    this.#ended = new Set();
    const freed = ids.length === 0 ? [] : await gatesOfRuns(this.#context.db, ids);
    const now = this.#context.clock.monotonicMs();
    const due = [...this.#dues].filter(([, { atMs }]) => atMs <= now);
    due.forEach(([key]) => this.#dues.delete(key));
    await this.#look([...freed, ...due.map(([, gate]) => gate)]);
    if (now >= this.#lookAtMs) {
      const was = this.#mayWait;
      this.#mayWait = await anyWaiting(this.#context.db);
      this.#lookAtMs = now + LOOK_MS;
      // What ended while nobody was known to wait gave no hint.
      this.#sweepAtMs = this.#mayWait && !was ? now : this.#sweepAtMs;
    }
    if (now >= this.#sweepAtMs) {
      this.#sweepAtMs = now + ((await this.#sweep()) ? SWEEP_MS : LOOK_MS);
    }
    const next = Math.min(this.#lookAtMs, ...[...this.#dues.values()].map(({ atMs }) => atMs));
    return this.#ended.size > 0 ? 0 : Math.max(WAIT_MS_MIN, next - now);
  }

  async #look(gates: readonly Gate[]): Promise<void> {
    const byTenant = new Map<string, Set<string>>();
    for (const { tenant, gate } of gates) {
      byTenant.set(tenant, (byTenant.get(tenant) ?? new Set<string>()).add(gate));
    }
    for (const [tenant, of] of byTenant) {
      const deadlines = await this.#starter.deadlines();
      const look = { tenant, gates: [...of], tenantMax: this.#maxOf(tenant) };
      const { db } = this.#context;
      const done = await db.transaction((tx) => lookAtLimits(tx, look));
      await this.settle({ ...done, ending: [] }, deadlines);
    }
  }

  #maxOf(tenant: string): number | null {
    return tenant === "" || this.#tenantRunsMax === 0 ? null : this.#tenantRunsMax;
  }

  async #start(runIds: readonly string[], deadlines: Deadlines): Promise<void> {
    const start = async (until: Deadlines): Promise<void> => {
      const rows = await runsById(this.#context.db, runIds);
      const open = rows.filter(({ status, held }) => status === "QUEUED" && !held);
      await (open.length > 0 ? this.#starter.start(open, until) : undefined);
    };
    await start(deadlines).catch(async (error: unknown) => {
      if (errorCode(error) !== "GV_PARTITION_UNCERTIFIED") {
        throw error;
      }
      await start(await this.#starter.deadlines());
    });
  }

  /**
   * Cancels runs that a newer one of their key takes the place of; one that is asleep is woken, for
   * the sweep to find.
   */
  async #end(runIds: readonly string[]): Promise<void> {
    const message = "cancelled for a newer run of the same key (settings.concurrency)";
    const end = async (row: RunRow): Promise<void> => {
      if (await endRun(this.#context, row, message)) {
        this.ended([row.id]);
      }
    };
    const rows = byPartition(await runsById(this.#context.db, runIds));
    await this.#apart.run(rows.map(([partition, list]) => [partition, () => inTurn(list, end)]));
  }
}
