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
  anyAdmission,
  anyWaiting,
  cleanAdmissions,
  endingRuns,
  forgetStarts,
  lookAtLimits,
  NO_GATE,
  runsById,
  settleEnded,
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
import { RateDues } from "./rate-dues.ts";
import type { Deadlines } from "./start-deadlines.ts";
import type { Starter } from "./starter.ts";

/** How soon a waiting run that another supervisor accepted is known of. */
const LOOK_MS = 500;
const SWEEP_MS = 5000;
const GATES_MAX = 1000;
/** Gates of a tenant in one transaction: who is accepted meanwhile waits for its lock. */
const LOOKED_MAX = 50;
const ENDING_MAX = 500;
const CLEAN_MAX = 1000;
const SETTLED_MAX = 1000;
const HINTS_MAX = 20_000;
const WAIT_MS_MIN = 1;

export class LimitWatch extends Loop {
  readonly #context: SupervisorContext;
  readonly #starter: Starter;
  readonly #tenantRunsMax: number;
  readonly #apart = new Apart();
  /** Runs whose ends are archived, since the last look. */
  #ended = new Set<string>();
  readonly #dues = new RateDues();
  #mayWait = false;
  /** Whether ends have anything to settle. */
  #mayCount = false;
  #lookAtMs = 0;
  #sweepAtMs = 0;
  /** The last gate of the sweep's last page. */
  #sweptTo = NO_GATE;
  /** The last admission of its last page of those that it cleans. */
  #cleanedTo = 0;

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
    const isTold = this.#mayCount && runIds.length > 0 && this.#ended.size < HINTS_MAX;
    runIds.forEach((id) => isTold && this.#ended.add(id));
    if (isTold && this.#mayWait) {
      this.wake();
    }
  }

  /** Starts what was admitted, cancels what is to end, remembers when to look again. */
  async settle({ admitted, ending, dues }: LimitEffects, deadlines: Deadlines): Promise<void> {
    this.#mayWait = true;
    this.#mayCount = true;
    const now = this.#context.clock.monotonicMs();
    for (const { inMs, ...gate } of dues) {
      this.#dues.add(gate, now + inMs);
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
    const cleaned = await cleanAdmissions(db, this.#cleanedTo, CLEAN_MAX);
    this.#cleanedTo = cleaned.place;
    await this.#look(cleaned.gates);
    await forgetStarts(db, CLEAN_MAX);
    this.#mayCount = this.#mayWait || (await anyAdmission(db));
    const last = gates.length === GATES_MAX ? gates.at(-1) : undefined;
    this.#sweptTo = last ?? NO_GATE;
    return last === undefined;
  }

  async #step(): Promise<number> {
    const freed = await this.#settleEnded();
    const now = this.#context.clock.monotonicMs();
    await this.#look([...freed, ...this.#dues.take(now)]);
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
    const next = Math.min(this.#lookAtMs, this.#dues.nextMs);
    return this.#mayWait && this.#ended.size > 0 ? 0 : Math.max(WAIT_MS_MIN, next - now);
  }

  /** What was told of; the gates at which it had places. */
  async #settleEnded(): Promise<Gate[]> {
    const ids = [...this.#ended];
    this.#ended = new Set();
    const gates: Gate[] = [];
    for (let at = 0; at < ids.length; at += SETTLED_MAX) {
      gates.push(...(await settleEnded(this.#context.db, ids.slice(at, at + SETTLED_MAX))));
    }
    return gates;
  }

  async #look(gates: readonly Gate[]): Promise<void> {
    const byTenant = new Map<string, Set<string>>();
    for (const { tenant, gate } of gates) {
      byTenant.set(tenant, (byTenant.get(tenant) ?? new Set<string>()).add(gate));
    }
    const { db } = this.#context;
    for (const [tenant, of] of this.#mayWait ? byTenant : []) {
      for (let all = [...of]; all.length > 0; all = all.slice(LOOKED_MAX)) {
        const deadlines = await this.#starter.deadlines();
        const gates = all.slice(0, LOOKED_MAX);
        const look = { tenant, gates, tenantMax: this.#maxOf(tenant) };
        const done = await db.transaction((tx) => lookAtLimits(tx, look));
        await this.settle({ ...done, ending: [] }, deadlines);
      }
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
