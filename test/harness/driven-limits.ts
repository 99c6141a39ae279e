/**
 * Nodes with a circuit breaker or a rate limit in the hands of a driver: the worker's own code asks
 * before an execution, and tells afterwards - at once, late, or never, when its worker has died.
 */
import pino from "pino";
import {
  closeCircuit,
  openCircuit,
  ScriptRunner,
  type Clock,
  type CompletionItem,
} from "../../sdk/internal.ts";
import { beginLimited } from "../../worker/beginnings.ts";
import { Circuits, type Pass } from "../../worker/circuits.ts";
import type { Begun, Executor } from "../../worker/execute.ts";
import type { LaneOptions } from "../../worker/lane-options.ts";
import type { Held } from "../../worker/leases.ts";
import type { Prepared } from "../../worker/prepared.ts";
import { RateTurns } from "../../worker/rate-turns.ts";
import type { Outcome } from "../../worker/run-kind.ts";
import { CircuitModel } from "./circuit-model.ts";
import { clockedRedis } from "./clocked-scripts.ts";
import type { TestPartition } from "./partition.ts";
import { RateModel } from "./rate-model.ts";
import { dies, type Schedule } from "./schedule.ts";

/** How long the place of a probe is kept for a worker that says nothing. */
const LEASE_MS = 150;
/** Of the list of names that is for people. */
const CLOCK: Clock = { nowMs: () => 0, monotonicMs: () => 0 };

/** Let through, with the pass of its circuit if it has one; or settled in another way. */
type Beginning = { pass: Pass | null } | { item: CompletionItem | null };

export class DrivenLimits {
  /** What is expected of circuits, and was seen of them. */
  readonly model = new CircuitModel();
  readonly #s: Schedule;
  readonly #lane: LaneOptions;
  readonly #circuits: AwaitedCircuits;
  /** What slow workers have yet to tell. */
  readonly #late: (() => Promise<void>)[] = [];
  #wrong: Error | null = null;

  constructor(p: TestPartition, schedule: Schedule, executor: Executor) {
    this.#s = schedule;
    const rates = new RateModel();
    const redis = clockedRedis(p, (call) => {
      try {
        (call.name === "takeSlot" ? rates : this.model).heard(call);
      } catch (error) {
        this.#wrong ??= error as Error; // the worker goes on without its circuit's answer
      }
    });
    const logger = pino({ level: "silent" });
    this.#circuits = new AwaitedCircuits({ redis, leaseMs: LEASE_MS, clock: CLOCK, logger });
    const scripts = new ScriptRunner({ redis, deployment: "test", partition: p.scripts.partition });
    const lane = {
      ...{ redis, scripts, executor, logger, circuits: this.#circuits },
      // Nobody waits in the worker: time stands still there, and goes on in Redis.
      turns: new RateTurns({ nowMs: () => 0, holdMs: 0, pause: () => Promise.resolve() }),
      leases: { has: () => true },
      reader: { isStopped: false },
    };
    this.#lane = lane as unknown as LaneOptions;
  }

  /** Asks for leave to execute the token. */
  async begin(p: Prepared, begun: Begun): Promise<Beginning> {
    if (this.#s.random() < 0.5) {
      await this.#circuits.renew();
    }
    const beginning = await new Promise<Beginning>((resolve, reject) => {
      const held = { token: p.token } as Held;
      const settle = (make: (() => CompletionItem) | null): void =>
        resolve({ item: make === null ? null : make() });
      // Of none here a worker may have died.
      const putOff = (): void => reject(new Error("put off"));
      const beginning = { p, held, begun, settle, giveBack: reject, putOff };
      beginLimited(this.#lane, beginning, (pass) => resolve({ pass }));
    });
    await this.#circuits.idle();
    this.#check();
    return beginning;
  }

  /** What the execution has come to; null: its worker has died in it. */
  async ended(pass: Pass | null, outcome: Outcome | null): Promise<void> {
    if (pass === null) {
      return;
    }
    if (outcome === null || dies(this.#s)) {
      this.#circuits.forget(pass);
    } else if (this.#s.random() < this.#s.late) {
      this.#late.push(() => this.#circuits.ended(pass, outcome));
    } else {
      await this.#circuits.ended(pass, outcome);
    }
    if (this.#s.random() < 0.3) {
      await this.catchUp(1);
    }
    this.#check();
  }

  /** Somebody opens or closes a circuit by hand; `openMs` null: until it is closed by hand. */
  async byHand(name: string, action: "open" | "close", openMs: number | null): Promise<void> {
    const { redis } = this.#lane;
    await (action === "open" ? openCircuit(redis, name, openMs) : closeCircuit(redis, name));
    this.#check();
  }

  /** Tells so much of what is told late. */
  async catchUp(count: number): Promise<void> {
    for (const tell of this.#late.splice(0, count)) {
      await tell();
    }
    this.#check();
  }

  #check(): void {
    if (this.#wrong !== null) {
      throw this.#wrong;
    }
  }
}

/** Circuits whose tellings can be waited for, so that a seed has one order of them. */
class AwaitedCircuits extends Circuits {
  #told: Promise<void> = Promise.resolve();

  override async ended(pass: Pass, outcome: Outcome | null): Promise<void> {
    const told = super.ended(pass, outcome);
    this.#told = Promise.all([this.#told, told]).then(() => undefined);
    await told;
  }

  /** Until all is told that was to be told. */
  idle(): Promise<void> {
    return this.#told;
  }
}
