/**
 * One worker's work in one partition: its parts, and when it begins, pauses and stops.
 *
 * A token's way: read loop → look-ups → waiting → executions → settlements → complete_tokens. It is held
 * in `leases` from the read until its item is settled, or handed back. Nothing here needs to survive a
 * crash: an unsettled entry stays pending in Redis and another worker takes it over.
 */
import { type ReadyToken, removeConsumer } from "../sdk/internal.ts";
import { Executions } from "./executions.ts";
import { HandBacks } from "./hand-backs.ts";
import type { LaneOptions } from "./lane-options.ts";
import type { Held } from "./leases.ts";
import { LookUps } from "./look-ups.ts";
import { BATCH_MAX } from "./options.ts";
import { ReadLoop } from "./read-loop.ts";
import { Room } from "./room.ts";
import { Settlements } from "./settlements.ts";
import type { Claimed } from "./stale.ts";
import { Takeover, type Executing } from "./takeover.ts";
import { Waiting } from "./waiting.ts";
import { within } from "./within.ts";

/** Finished tokens on their way to Redis: two calls under way and the next one full. */
const UNSETTLED_MAX = 3 * BATCH_MAX;
const GIVEN_UP_TOLD_MAX = 10;

export class Lane {
  readonly #o: LaneOptions;
  readonly #room = new Room(() => this.#roomNow());
  readonly #handBacks: HandBacks;
  readonly #waiting: Waiting;
  readonly #settlements: Settlements;
  readonly #lookUps: LookUps;
  readonly #readLoop: ReadLoop;
  readonly #takeover: Takeover;

  constructor(options: LaneOptions) {
    this.#o = options;
    const room = this.#room;
    const handBacks = new HandBacks(options);
    // A token's way has two ways back: what waits for too long, and a chain's next step, are looked up.
    const lookUp = (token: ReadyToken, held: Held): void => this.#lookUps.again(token, held);
    const isIdle = (): boolean => this.#isIdle;
    const waiting: Waiting = new Waiting(options, {
      ...{ room, handBacks, lookUp },
      begin: (p, held) => {
        if (p.token.kind === "finish") {
          settlements.finish(p, held, p.token.entryId);
        } else {
          executions.begin(p, held);
        }
      },
    });
    const settlements = new Settlements(options, { waiting, handBacks, lookUp, isIdle });
    const executions = new Executions(options, {
      settle: (p, held, item) => settlements.settle(p, held, item),
      giveBack: (held, error) => void handBacks.giveBack([held], error),
      putOff: (held, ms) => handBacks.putOff(held, ms),
      goOn: () => options.slots.offer(),
    });
    const lookUps = new LookUps(options, { waiting, executions, settlements, handBacks });
    this.#handBacks = handBacks;
    this.#waiting = waiting;
    this.#settlements = settlements;
    this.#lookUps = lookUps;
    this.#readLoop = new ReadLoop(options, { room, settlements, lookUps, handBacks });
    this.#takeover = new Takeover(options, {
      ...{ room, handBacks, isIdle },
      withdraw: (ms) => this.#withdraw(ms),
      execute: (claimed, how) => this.#takeIn(claimed, how),
    });
    options.slots.join(() => waiting.pump());
  }

  /** Tokens in execution or waiting in this process. */
  get inFlight(): number {
    return this.#o.leases.size;
  }

  /** Entries wait for a look for stale ones, for instance those that were handed back. */
  get isLookDue(): boolean {
    return this.#handBacks.isLookDue;
  }

  /** Reads and executes until told to be quiet. Errors are reported and slept over. */
  readLoop(pause: (ms: number) => Promise<void>): Promise<void> {
    return this.#readLoop.run(pause);
  }

  /** One look for stale entries, or the one under way. */
  takeOver(): Promise<void> {
    return this.#takeover.look();
  }

  /**
   * Reads these queues no more, or again; names with their namespace. Null: all of them, and what has
   * not begun is handed back.
   */
  pause(queues: ReadonlySet<string> | null): void {
    const { reader } = this.#o;
    const wasStopped = reader.isStopped;
    reader.pause(queues);
    if (reader.isStopped) {
      this.#waiting.pump();
    } else if (wasStopped) {
      this.#handBacks.isLookDue = true; // what was handed back is looked for at once
    }
  }

  /** Takes no new work. */
  quiet(): void {
    this.#readLoop.quiet();
  }

  /** After quiet: waits for work in execution, hands back what does not end within `deadlineMs`. */
  async stop(deadlineMs: number): Promise<void> {
    await this.#handBacks.giveBack(this.#waiting.takeAll());
    const ended = await Promise.race([
      this.#idle().then(() => true),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(false), deadlineMs).unref()),
    ]);
    if (!ended) {
      const open = this.#o.leases.all();
      this.#tellGivenUp(open, deadlineMs);
      await this.#handBacks.giveBack(open);
      open.forEach((held) => held.abort.abort(new Error("the worker stops")));
    }
    await this.#settlements.drain();
  }

  /** What it stops in the middle of begins elsewhere, from its start: somebody may wonder why. */
  #tellGivenUp(open: readonly Held[], deadlineMs: number): void {
    const begun = open.filter(({ executes }) => executes !== null);
    if (begun.length > 0) {
      const first = begun.slice(0, GIVEN_UP_TOLD_MAX);
      const steps = first.map(({ token, executes: node }) => ({ run: token.runId, node }));
      const text = "steps that did not end in time are given up; they begin again elsewhere";
      this.#o.logger.warn({ count: begun.length, steps, deadlineMs }, text);
    }
  }

  /** The partition has a new epoch: gives up what was read before (Leases.forsake). */
  forsake(): void {
    this.#waiting.takeAll();
    this.#settlements.forsake();
    void this.#handBacks.giveBack(this.#o.leases.forsake());
    this.#room.wake();
  }

  /** Removes this consumer from the groups, where nothing is pending for it. */
  async forget(): Promise<void> {
    const { scripts, reader, consumer } = this.#o;
    await Promise.allSettled(
      reader.queueKeys.map((key) => removeConsumer(scripts.redis, key, consumer)),
    );
  }

  /** Nothing new is begun here. */
  get #isIdle(): boolean {
    return this.#readLoop.isQuiet || this.#o.reader.isStopped;
  }

  /**
   * How many tokens to read. What handlers that answer at once have finished must not pile up in
   * front of the script calls: a run would advance by one step per pass through the whole backlog.
   */
  #roomNow(): number {
    const free = this.#o.slots.free - this.#waiting.size;
    return Math.min(free, UNSETTLED_MAX - this.#settlements.pending);
  }

  /** Reads and begins nothing more; resolves when nothing younger than `ms` is in its hands. */
  async #withdraw(ms: number): Promise<void> {
    const { leases, nowMs } = this.#o;
    this.#room.close();
    await this.#readLoop.endRead();
    const youngest = Math.max(...leases.all().map(({ sinceMs }) => sinceMs));
    await within(youngest + ms - nowMs(), this.#idle());
  }

  /** Admits what was taken over; resolves, when it is settled or waited for, to what is not. */
  async #takeIn(claimed: Claimed, how: Executing): Promise<readonly Held[]> {
    const { leases } = this.#o;
    const { poison, waitMs, turn } = how;
    const { tokens, idleMs, deliveries } = claimed;
    const admission = { redelivered: true, poison, idleMs, deliveries, turn };
    const held = await this.#lookUps.admit(tokens, admission);
    this.#room.keep(0);
    await within(waitMs, leases.whenGone(held));
    return held.filter((one) => leases.has(one));
  }

  /** Resolves when nothing is in this worker's hands here. */
  async #idle(): Promise<void> {
    await this.#o.leases.whenEmpty();
    await this.#settlements.drain();
  }
}
