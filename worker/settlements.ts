/**
 * Tokens of a lane of which the outcome is known: on their way to Redis, and what Redis answers.
 *
 * Each is held until it is settled; then it is held no more, or its entry stands for the next token of
 * its chain, which goes on here while that is fair to others. An answer that leaves open what the entry
 * stands for now has it looked up.
 */
import { COMPLETION, type CompletionItem, type ReadyToken } from "../sdk/internal.ts";
import { CompletionBatcher } from "./batcher.ts";
import { CHAIN_MS_MAX, CHAIN_NODES_MAX, chainNext, nextPrepared } from "./chain.ts";
import { isElsewhere } from "./entry-place.ts";
import { settleOutput } from "./finish.ts";
import type { HandBacks } from "./hand-backs.ts";
import type { ExecutionError } from "./kinds/kind.ts";
import type { LaneOptions } from "./lane-options.ts";
import { LazyAbort } from "./lazy-abort.ts";
import type { Held } from "./leases.ts";
import { BATCH_CHARS_MAX, BATCH_EFFECTS_MAX, BATCH_MAX } from "./options.ts";
import { settlingOf, type Settling } from "./output-template.ts";
import type { Prepared } from "./prepared.ts";
import type { Waiting } from "./waiting.ts";

type Options = Pick<
  LaneOptions,
  "scripts" | "consumer" | "counts" | "leases" | "elements" | "outputBytesMax" | "logger" | "nowMs"
>;

/** What of its lane it works with. */
export interface SettlementsLane {
  waiting: Pick<Waiting, "addFirst" | "pump">;
  handBacks: Pick<HandBacks, "giveBack">;
  lookUp(token: ReadyToken, held: Held): void;
  /** Nothing new is begun, the next token of a chain neither. */
  isIdle(): boolean;
}

interface Sent {
  item: CompletionItem;
  token: ReadyToken;
  held: Held;
  /** Set if its chain goes on here with this node. */
  chain: { p: Prepared; next: number } | null;
}

export class Settlements {
  readonly #o: Options;
  readonly #lane: SettlementsLane;
  readonly #batcher: CompletionBatcher<Sent>;
  readonly #settling: Settling;

  constructor(options: Options, lane: SettlementsLane) {
    this.#o = options;
    this.#lane = lane;
    this.#settling = settlingOf(options.scripts, options.outputBytesMax);
    this.#batcher = new CompletionBatcher({
      scripts: options.scripts,
      consumer: options.consumer,
      itemsMax: BATCH_MAX,
      effectsMax: BATCH_EFFECTS_MAX,
      charsMax: BATCH_CHARS_MAX,
      onSettled: (sent, codes, takeovers) => {
        options.counts.batch(sent, codes);
        sent.forEach((one, i) => {
          one.held.takeovers = takeovers;
          this.#settled(one, codes[i] as number);
        });
        lane.waiting.pump();
      },
      onError: (error, items) => options.logger.error({ err: error, items }, "batch not settled"),
    });
  }

  /** Items on their way. */
  get pending(): number {
    return this.#batcher.pending;
  }

  /** Takeovers in the partition, as far as is known (CompletionBatcher). */
  get takeovers(): number | undefined {
    return this.#batcher.takeovers;
  }

  /** Resolves when nothing handed over so far is on its way. */
  drain(): Promise<void> {
    return this.#batcher.drain();
  }

  /** What is not sent yet will not be. */
  forsake(): void {
    this.#batcher.forsake();
  }

  /** Sends the item of a token that was executed; its chain goes on here if the item allows it. */
  settle(p: Prepared, held: Held, item: CompletionItem): void {
    const isOver =
      this.#lane.isIdle() ||
      held.nodes >= CHAIN_NODES_MAX ||
      this.#o.nowMs() - held.sinceMs > CHAIN_MS_MAX;
    const isBound = isOver || isElsewhere(p.token, p.profile);
    const next = isBound ? null : chainNext(item, p.token.scope);
    if (next === null) {
      this.send(item, p.token, held);
      return;
    }
    item.keeps = true;
    if (held.takeovers !== undefined) {
      item.takeovers = held.takeovers;
    }
    this.#batcher.add({ item, token: p.token, held, chain: { p, next } });
  }

  /** Sends an item that ends its entry. */
  send(item: CompletionItem, token: ReadyToken, held: Held): void {
    this.#batcher.add({ item, token, held, chain: null });
  }

  /**
   * Settles the output that a token asks for, or gives it up with this failure. The token has an entry
   * of its own; without one (null), it is what has just been settled.
   */
  finish(
    { profile, token }: Pick<Prepared, "profile" | "token">,
    held: Held,
    entryId: string | null,
    failure: ExecutionError | null = null,
  ): void {
    const { logger, leases, elements } = this.#o;
    settleOutput(this.#settling, elements, profile, token, entryId, failure)
      .catch((error: unknown) => {
        logger.error({ err: error, run: token.runId }, "output not settled: it is tried again");
        // Without an entry the run's timer sees to that.
        return entryId === null ? undefined : this.#lane.handBacks.giveBack([held], error);
      })
      .finally(() => leases.drop(held));
  }

  #settled({ item, token, held, chain }: Sent, code: number): void {
    if (code === COMPLETION.goOn && chain !== null) {
      this.#goOn(chain.p, held, item, chain.next);
      return;
    }
    if (code === COMPLETION.entryYours) {
      // The entry is ours: it may stand for a later token of its chain by now.
      this.#lane.lookUp(token, held);
      return;
    }
    if (code === COMPLETION.finish) {
      this.finish({ profile: item.profile, token }, held, null);
      return;
    }
    this.#o.leases.drop(held);
    if (code === COMPLETION.planFailed || code === COMPLETION.applyFailed) {
      this.#o.logger.error({ run: token.runId, node: token.node, code }, "token not settled");
    }
  }

  /** The next token of a chain. */
  #goOn(p: Prepared, held: Held, item: CompletionItem, next: number): void {
    held.nodes += 1;
    held.isRedelivered = false; // the token is new
    held.deliveries = 1;
    held.abort = new LazyAbort();
    const { prepared, isWhole } = nextPrepared(p, item, next);
    if (!this.#o.leases.has(held)) {
      // Forsaken, or another worker's, meanwhile.
    } else if (this.#lane.isIdle()) {
      void this.#lane.handBacks.giveBack([held]);
    } else if (isWhole) {
      this.#lane.waiting.addFirst(prepared, held);
    } else {
      this.#lane.lookUp(prepared.token, held);
    }
  }
}
