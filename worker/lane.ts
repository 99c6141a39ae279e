/**
 * One worker's work in one partition: read, prepare, execute, settle; keep leases; take over; stop.
 *
 * A token's way: reader → preparer → (buffer) → executions → batcher → complete_tokens. It
 * is held in `leases` from the read until its item is settled. Nothing here needs to survive a
 * crash: an unsettled entry stays pending in Redis and another worker takes it over.
 */
import {
  COMPLETION,
  type CompletionItem,
  holdTokens,
  isServerTrouble,
  type ReadyToken,
  removeConsumer,
  type RunProfile,
} from "../sdk/internal.ts";
import { CompletionBatcher } from "./batcher.ts";
import { CHAIN_MS_MAX, CHAIN_NODES_MAX, chainNext, nextPrepared } from "./chain.ts";
import { Executions } from "./executions.ts";
import type { Prepared } from "./prepared.ts";
import { itemOf } from "./results.ts";
import { settleOutput } from "./finish.ts";
import { giveBack } from "./give-back.ts";
import { ExecutionError } from "./kinds/kind.ts";
import { timedOut } from "./kinds/wait.ts";
import {
  STALE_MS,
  type Admission,
  type LaneOptions,
  type Sent,
  type Waiting,
} from "./lane-options.ts";
import type { Held } from "./leases.ts";
import { BATCH_CHARS_MAX, BATCH_EFFECTS_MAX, BATCH_MAX } from "./options.ts";
import { LazyAbort } from "./lazy-abort.ts";
import { settlingOf, type Settling } from "./output-template.ts";
import { isElsewhere, type Preparation } from "./prepare.ts";
import { quarantine } from "./quarantine.ts";
import { Room } from "./room.ts";
import { Takeover } from "./takeover.ts";
import { within } from "./within.ts";

const BLOCK_MS = 1000;
/** Finished tokens on their way to Redis: two calls under way and the next one full. */
const UNSETTLED_MAX = 3 * BATCH_MAX;

export class Lane {
  /** Entries that were handed back wait for a look for stale ones. */
  hasGivenUp = false;
  readonly #o: LaneOptions;
  readonly #batcher: CompletionBatcher<Sent>;
  readonly #buffer: Waiting[] = [];
  readonly #executions: Executions;
  readonly #takeover: Takeover;
  #quiet = false;
  /** A redelivered token is being executed: nothing new is read. */
  #alone = false;
  /** The read under way, until what it brought is in this lane's hands. */
  #reading: Promise<void> = Promise.resolve();
  readonly #room = new Room(() => this.#roomNow());
  readonly #settling: Settling;

  constructor(options: LaneOptions) {
    this.#o = options;
    this.#settling = settlingOf(options.scripts, options.outputBytesMax);
    options.slots.join(() => this.#pump());
    this.#executions = new Executions(options, {
      settle: (p, held, item) => this.#settle(p, held, item),
      giveBack: (held, error) => void this.#giveBack([held], error),
      goOn: () => options.slots.offer(),
    });
    this.#takeover = new Takeover(options, {
      isQuiet: () => this.#isIdle,
      room: () => this.#room.now,
      makeRoom: (count, ms) =>
        this.#room.make(Math.min(count, options.slots.max), ms, () => this.#isIdle),
      withdraw: async (ms) => {
        this.#alone = true;
        await options.reader.endWait(options.redis, this.#reading);
        const youngest = Math.max(...options.leases.all().map(({ sinceMs }) => sinceMs));
        await within(youngest + ms - options.nowMs(), this.#idle());
      },
      execute: async ({ tokens, idleMs }, { poison, waitMs, turn }) => {
        const held = await this.#admit(tokens, { redelivered: true, poison, idleMs, turn });
        this.#room.keep(0);
        await within(waitMs, options.leases.whenGone(held));
        return held.filter((one) => options.leases.has(one));
      },
      readOn: () => {
        this.#alone = false;
        this.#room.keep(0);
      },
      lookSoon: () => (this.hasGivenUp = true),
    });
    this.#batcher = new CompletionBatcher({
      scripts: options.scripts,
      consumer: options.consumer,
      itemsMax: BATCH_MAX,
      effectsMax: BATCH_EFFECTS_MAX,
      charsMax: BATCH_CHARS_MAX,
      onSettled: (sent, codes, takeovers) => {
        sent.forEach((one, i) => {
          one.held.takeovers = takeovers;
          this.#settled(one, codes[i] as number);
        });
        this.#pump();
      },
      onError: (error, items) => options.logger.error({ err: error, items }, "batch not settled"),
    });
  }

  /** Tokens in execution or waiting in this process. */
  get inFlight(): number {
    return this.#o.leases.size;
  }

  /** Reads and executes until told to be quiet. Errors are reported and slept over. */
  async readLoop(pause: (ms: number) => Promise<void>): Promise<void> {
    while (!this.#quiet) {
      try {
        const room = this.#room.toRead;
        if (room <= 0 || this.#alone) {
          await this.#room.wait();
          continue;
        }
        const reading = this.#read(room);
        this.#reading = reading.catch(() => undefined);
        await reading;
      } catch (error) {
        if (!this.#quiet) {
          const isMended = await this.#o.reader.mend(this.#o.redis, error);
          void (isMended || this.#o.logger.warn({ err: error }, "tokens not read"));
          await pause(200);
        }
      }
    }
  }

  async #read(room: number): Promise<void> {
    const { scripts, reader } = this.#o;
    if (scripts.knownEpoch === null) {
      await scripts.look();
    }
    const epoch = scripts.knownEpoch;
    const { takeovers } = this.#batcher;
    const batch = await reader.read(room, BLOCK_MS);
    try {
      if (batch.tokens.length > 0) {
        await scripts.look();
        if (scripts.knownEpoch === epoch && !reader.isStopped) {
          await this.#admit(batch.tokens, { takeovers });
        } else {
          void this.#giveUp(batch.tokens);
        }
      }
    } finally {
      // Nearly never any; and a turn more between two reads lets others go before what has just ended.
      if (batch.garbage.length > 0) {
        await quarantine(this.#o, batch.garbage);
      }
    }
  }

  /**
   * How many tokens to read. What handlers that answer at once have finished must not pile up in
   * front of the script calls: a run would advance by one step per pass through the whole backlog.
   */
  #roomNow(): number {
    const free = this.#o.slots.free - this.#buffer.length;
    return Math.min(free, UNSETTLED_MAX - this.#batcher.pending);
  }

  /** One look for stale entries, or the one under way. */
  async takeOver(): Promise<void> {
    if (!this.#takeover.isLooking) {
      // One that is under way may have asked before the last of them was handed back.
      this.hasGivenUp = false;
    }
    const isLeft = await this.#takeover.look();
    this.hasGivenUp ||= isLeft;
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
      this.#pump();
    } else if (wasStopped) {
      this.hasGivenUp = true; // what was handed back is looked for at once
    }
  }

  /** Nothing new is begun here. */
  get #isIdle(): boolean {
    return this.#quiet || this.#o.reader.isStopped;
  }

  /** Takes no new work. */
  quiet(): void {
    this.#quiet = true;
    this.#room.wake();
  }

  /** After quiet: waits for work in execution, hands back what does not end within `deadlineMs`. */
  async stop(deadlineMs: number): Promise<void> {
    await this.#giveBack(this.#buffer.splice(0).map(({ held }) => held));
    const ended = await Promise.race([
      this.#idle().then(() => true),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(false), deadlineMs).unref()),
    ]);
    if (!ended) {
      const open = this.#o.leases.all();
      await this.#giveBack(open);
      open.forEach((held) => held.abort.abort(new Error("the worker stops")));
    }
    await this.#batcher.drain();
  }

  /** The partition has a new epoch: gives up what was read before (Leases.forsake). */
  forsake(): void {
    this.#buffer.splice(0);
    this.#batcher.forsake();
    void this.#giveBack(this.#o.leases.forsake());
    this.#room.wake();
  }

  /** Removes this consumer from the groups, where nothing is pending for it. */
  async forget(): Promise<void> {
    const { scripts, reader, consumer } = this.#o;
    await Promise.allSettled(
      reader.queueKeys.map((key) => removeConsumer(scripts.redis, key, consumer)),
    );
  }

  /** `error`: of the one entry, if it is why. What is not to blame itself is looked for soon. */
  async #giveBack(entries: readonly Held[], error: unknown = null): Promise<void> {
    entries.forEach((held) => this.#o.leases.drop(held));
    const tokens = entries.map(({ token }) => token);
    const isCharged = await giveBack(this.#o, tokens, error);
    this.hasGivenUp ||= entries.length > 0 && !isCharged;
  }

  /** Tokens that are not held: read under an epoch that is over by now, as `forsake` gives up. */
  async #giveUp(tokens: readonly ReadyToken[]): Promise<void> {
    await giveBack(this.#o, tokens);
    this.hasGivenUp = true;
  }

  async #admit(tokens: readonly ReadyToken[], how: Admission): Promise<Held[]> {
    const { takeovers, idleMs } = how;
    const held = tokens.map((token, i) => this.#o.leases.hold(token, takeovers, idleMs?.[i]));
    await this.#admitHeld(held, how);
    return held;
  }

  async #admitHeld(held: readonly Held[], how: Admission): Promise<void> {
    const { redelivered = false, poison = false } = how;
    const tokens = held.map(({ token }) => token);
    let preparations;
    try {
      preparations = await this.#o.preparer.prepare(tokens, redelivered, !redelivered);
    } catch (error) {
      const [only] = held.length === 1 ? held : [];
      if (redelivered && only === undefined && !isServerTrouble(error)) {
        // Whose fault it is shows when each is looked at by itself.
        await Promise.allSettled(held.map((one) => this.#admitHeld([one], how)));
        return;
      }
      if (!poison || only === undefined || !this.#poisonUnread(only, error)) {
        await this.#giveBack(held, only === undefined ? null : error);
      }
      throw error;
    }
    if (how.turn?.goesOn() === false) {
      await this.#giveBack(held);
      return;
    }
    preparations.forEach((preparation, i) => {
      const one = held[i] as Held;
      try {
        this.#route(preparation, one.token, one, poison);
        if (redelivered && preparation.kind === "drop") {
          this.#executions.leave(preparation);
        }
      } catch (error) {
        this.#o.logger.error({ err: error, run: one.token.runId }, "token handed back");
        void this.#giveBack([one], error);
      }
    });
    this.#pump();
  }

  /** What becomes of a token that has been looked up. */
  #route(preparation: Preparation, token: ReadyToken, held: Held, poison: boolean): void {
    if (!this.#o.leases.has(held)) {
      // Forsaken meanwhile.
    } else if (preparation.kind === "unknown") {
      this.#leave(token, held);
      void this.#o.unreadable.met(token, new Error("its workflow is stored nowhere"), held.idleMs);
    } else if (preparation.kind === "later") {
      // Looked for as soon as it can be executed, and not before.
      const readable = this.#o.unreadable.isReadable(token, preparation.loading, held.idleMs);
      void readable.then((isReadable) => (this.hasGivenUp ||= isReadable));
      this.#leave(token, held);
    } else if (preparation.kind === "drop") {
      const node = preparation.profile.ir.nodes[token.node];
      if (node !== undefined) {
        this.#send(itemOf({ ...preparation, node }), token, held);
      }
    } else if (preparation.kind === "hold") {
      this.#putAside(preparation.token, held);
    } else if (preparation.kind === "late") {
      const { prepared } = preparation;
      this.#poison(prepared, held, timedOut(prepared.node, { kind: "timeout", of: "queue" }));
    } else if (poison && token.kind !== "skip") {
      this.#poison(preparation.prepared, held, this.#poisoned());
    } else {
      this.#buffer.push({ prepared: preparation.prepared, held, lookedMs: this.#o.nowMs() });
    }
  }

  /** To the others. */
  #leave(token: ReadyToken, held: Held): void {
    this.#o.leases.drop(held);
    void giveBack(this.#o, [token], null, this.#o.unreadable.idleOf(token, held.idleMs));
  }

  /** A token of a paused run waits with its run; if that goes on by now, it is looked at again. */
  #putAside(token: ReadyToken, held: Held): void {
    holdTokens(this.#o.scripts, [token]).then(
      ([answer]) => {
        if (answer === "not_paused") {
          this.#lookUp(token, held);
        } else {
          this.#o.leases.drop(held);
        }
      },
      (error: unknown) => {
        this.#o.logger.warn({ err: error, run: token.runId }, "token not put aside: handed back");
        void this.#giveBack([held], error);
      },
    );
  }

  #pump(): void {
    if (this.#o.reader.isStopped) {
      void this.#giveBack(this.#buffer.splice(0).map(({ held }) => held));
    }
    while (this.#o.slots.free > 0) {
      const next = this.#buffer.shift();
      if (next === undefined) {
        break;
      }
      if (!this.#o.leases.has(next.held)) {
        // Forsaken, or another worker's, meanwhile.
      } else if (this.#o.nowMs() - next.lookedMs > STALE_MS) {
        this.#lookUp(next.prepared.token, next.held);
      } else {
        this.#execute(next.prepared, next.held);
      }
    }
    this.#room.changed(!this.#alone);
  }

  #execute(p: Prepared, held: Held): void {
    if (p.token.kind === "finish") {
      this.#finish(p.profile, p.token, held, p.token.entryId);
    } else {
      this.#executions.begin(p, held);
    }
  }

  #poisoned(reason = ""): ExecutionError {
    const message = `delivered ${this.#o.deliveriesMax} times without a result${reason}`;
    return new ExecutionError("POISON", message, { retryable: false });
  }

  /** One that cannot even be looked at, for a reason of its own; false: it cannot be failed, either. */
  #poisonUnread(held: Held, error: unknown): boolean {
    const p = isServerTrouble(error) ? null : this.#o.preparer.unread(held.token);
    if (p === null) {
      return false;
    }
    this.#poison(p, held, this.#poisoned(`: ${String(error)}`));
    return true;
  }

  /** What ends a token that is not executed any more: its failure, or what needs no execution. */
  #poison(p: Prepared, held: Held, error: ExecutionError): void {
    if (p.token.kind === "finish") {
      this.#finish(p.profile, p.token, held, p.token.entryId, error);
    } else {
      const { executor } = this.#o;
      const isSkip = p.token.kind === "skip";
      this.#send(isSkip ? executor.spread(p) : this.#executions.failed(p, error), p.token, held);
    }
  }

  /** Sends a token's item; its chain goes on here if the item allows it. */
  #settle(p: Prepared, held: Held, item: CompletionItem): void {
    const isOver =
      this.#isIdle ||
      held.nodes >= CHAIN_NODES_MAX ||
      this.#o.nowMs() - held.sinceMs > CHAIN_MS_MAX;
    const isBound = isOver || isElsewhere(p.token, p.profile);
    const next = isBound ? null : chainNext(item, p.token.scope);
    if (next === null) {
      this.#send(item, p.token, held);
      return;
    }
    item.keeps = true;
    if (held.takeovers !== undefined) {
      item.takeovers = held.takeovers;
    }
    this.#batcher.add({ item, token: p.token, held, chain: { p, next } });
  }

  #send(item: CompletionItem, token: ReadyToken, held: Held): void {
    this.#batcher.add({ item, token, held, chain: null });
  }

  #settled({ item, token, held, chain }: Sent, code: number): void {
    if (code === COMPLETION.goOn && chain !== null) {
      this.#goOn(chain.p, held, item, chain.next);
      return;
    }
    if (code === COMPLETION.entryYours) {
      // The entry is ours: it may stand for a later token of its chain by now.
      this.#lookUp(token, held);
      return;
    }
    if (code === COMPLETION.finish) {
      this.#finish(item.profile, token, held, null);
      return;
    }
    this.#o.leases.drop(held);
    if (code === COMPLETION.planFailed || code === COMPLETION.applyFailed) {
      this.#o.logger.error({ run: token.runId, node: token.node, code }, "token not settled");
    }
  }

  /** The next token of a chain, ahead of what waits: its run is on its way already. */
  #goOn(p: Prepared, held: Held, item: CompletionItem, next: number): void {
    held.nodes += 1;
    held.abort = new LazyAbort();
    const { prepared, isWhole } = nextPrepared(p, item, next);
    if (!this.#o.leases.has(held)) {
      // Forsaken, or another worker's, meanwhile.
    } else if (this.#isIdle) {
      void this.#giveBack([held]);
    } else if (isWhole) {
      this.#buffer.unshift({ prepared, held, lookedMs: this.#o.nowMs() });
    } else {
      this.#lookUp(prepared.token, held);
    }
  }

  /** As if it was redelivered: should it be done already, the entry may stand for a later token. */
  #lookUp(token: ReadyToken, held: Held): void {
    this.#o.preparer.prepare([token], true).then(
      ([preparation]) => {
        this.#route(preparation as Preparation, token, held, false);
        this.#pump();
      },
      (error: unknown) => {
        this.#o.logger.warn({ err: error, run: token.runId }, "token not looked up: handed back");
        void this.#giveBack([held], error);
      },
    );
  }

  /** Settles an output, as an entry or what has just been settled (null) asks for, or gives it up. */
  #finish(
    profile: RunProfile,
    token: ReadyToken,
    held: Held,
    entryId: string | null,
    failure: ExecutionError | null = null,
  ): void {
    const { logger, leases, elements } = this.#o;
    settleOutput(this.#settling, elements, profile, token, entryId, failure)
      .catch((error: unknown) => {
        logger.error({ err: error, run: token.runId }, "output not settled: it is tried again");
        // Without an entry the run's timer sees to that.
        return entryId === null ? undefined : this.#giveBack([held], error);
      })
      .finally(() => leases.drop(held));
  }

  /** Resolves when nothing is in this worker's hands here. */
  async #idle(): Promise<void> {
    await this.#o.leases.whenEmpty();
    await this.#batcher.drain();
  }
}
