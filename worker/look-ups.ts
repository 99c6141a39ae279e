/**
 * Tokens that a lane looks up: from their entries, held at once, to the one way that each goes on.
 *
 * It waits to be begun; or it is settled without being executed, put aside with its paused run, left to
 * workers that can read its workflow, or handed back. Where the lookup of several fails, each is
 * looked up by itself at once: it is no token's fault until that has failed, and no other waits for it.
 */
import { holdTokens, isServerTrouble, type ReadyToken } from "../sdk/internal.ts";
import type { Executions } from "./executions.ts";
import type { HandBacks } from "./hand-backs.ts";
import { ExecutionError } from "./kinds/kind.ts";
import { timedOut } from "./kinds/wait.ts";
import type { LaneOptions } from "./lane-options.ts";
import type { Held } from "./leases.ts";
import type { Preparation } from "./prepare.ts";
import type { Prepared } from "./prepared.ts";
import { itemOf } from "./results.ts";
import type { Settlements } from "./settlements.ts";
import type { Turn } from "./turn.ts";
import type { Waiting } from "./waiting.ts";

const NOT_LOOKED_UP = "token not looked up: handed back";

type Options = Pick<LaneOptions, "scripts" | "deliveriesMax" | "logger"> & {
  leases: Pick<LaneOptions["leases"], "hold" | "has" | "drop">;
  preparer: Pick<LaneOptions["preparer"], "prepare" | "unread">;
  executor: Pick<LaneOptions["executor"], "spread">;
  unreadable: Pick<LaneOptions["unreadable"], "met" | "isReadable">;
};

/** What of its lane it works with. */
export interface LookUpsLane {
  waiting: Pick<Waiting, "add" | "pump">;
  executions: Pick<Executions, "failed" | "leave">;
  settlements: Pick<Settlements, "send" | "finish">;
  handBacks: HandBacks;
}

/** How tokens came into a lane. */
export interface Admission {
  redelivered?: boolean;
  /** Delivered too often: it fails without being executed. */
  poison?: boolean;
  /** See Held. */
  takeovers?: number | undefined;
  /** Of each of them; see Held. */
  idleMs?: readonly number[];
  deliveries?: readonly number[];
  /** If it is over when they could begin, they are handed back. */
  turn?: Turn | null;
}

export class LookUps {
  readonly #o: Options;
  readonly #lane: LookUpsLane;

  constructor(options: Options, lane: LookUpsLane) {
    this.#o = options;
    this.#lane = lane;
  }

  /** Holds tokens, looks them up, and sends each on its way; fails if they cannot be looked up. */
  async admit(tokens: readonly ReadyToken[], how: Admission): Promise<Held[]> {
    const { takeovers, idleMs, deliveries, redelivered = false } = how;
    const held = tokens.map((token, i) => this.#o.leases.hold(token, takeovers, idleMs?.[i]));
    held.forEach((one, i) => {
      one.isRedelivered = redelivered;
      one.deliveries = deliveries?.[i] ?? 1;
    });
    await this.#admitHeld(held, how);
    return held;
  }

  /** As if it was redelivered: should it be done already, the entry may stand for a later token. */
  again(token: ReadyToken, held: Held): void {
    this.#o.preparer.prepare([token], true).then(
      ([preparation]) => {
        this.#route(preparation as Preparation, token, held, false);
        this.#lane.waiting.pump();
      },
      (error: unknown) => {
        this.#o.logger.warn({ err: error, run: token.runId }, NOT_LOOKED_UP);
        void this.#lane.handBacks.giveBack([held], error);
      },
    );
  }

  async #admitHeld(held: readonly Held[], how: Admission): Promise<void> {
    const { redelivered = false, poison = false } = how;
    const { handBacks, waiting } = this.#lane;
    const tokens = held.map(({ token }) => token);
    let preparations;
    try {
      preparations = await this.#o.preparer.prepare(tokens, redelivered, !redelivered);
    } catch (error) {
      const [only] = held.length === 1 ? held : [];
      if (only === undefined && !isServerTrouble(error)) {
        // Whose fault it is shows when each is looked at by itself.
        await Promise.all(held.map((one) => this.#admitAlone(one, how)));
        return;
      }
      if (!poison || only === undefined || !this.#poisonUnread(only, error)) {
        await handBacks.giveBack(held, only === undefined ? null : error);
      }
      throw error;
    }
    if (how.turn?.goesOn() === false) {
      await handBacks.giveBack(held);
      return;
    }
    preparations.forEach((preparation, i) => {
      const one = held[i] as Held;
      try {
        this.#route(preparation, one.token, one, poison);
        if (redelivered && preparation.kind === "drop") {
          this.#lane.executions.leave(preparation);
        }
      } catch (error) {
        this.#o.logger.error({ err: error, run: one.token.runId }, "token handed back");
        void handBacks.giveBack([one], error);
      }
    });
    waiting.pump();
  }

  async #admitAlone(held: Held, how: Admission): Promise<void> {
    try {
      await this.#admitHeld([held], how);
    } catch (error) {
      this.#o.logger.warn({ err: error, run: held.token.runId }, NOT_LOOKED_UP);
    }
  }

  /** What becomes of a token that has been looked up. */
  #route(preparation: Preparation, token: ReadyToken, held: Held, poison: boolean): void {
    const { waiting, settlements, handBacks } = this.#lane;
    if (!this.#o.leases.has(held)) {
      // Forsaken meanwhile.
    } else if (preparation.kind === "unknown") {
      handBacks.leave(token, held);
      void this.#o.unreadable.met(token, new Error("its workflow is stored nowhere"), held.idleMs);
    } else if (preparation.kind === "later") {
      // Looked for as soon as it can be executed, and not before.
      const readable = this.#o.unreadable.isReadable(token, preparation.loading, held.idleMs);
      void readable.then((isReadable) => (handBacks.isLookDue ||= isReadable));
      handBacks.leave(token, held);
    } else if (preparation.kind === "drop") {
      const node = preparation.profile.ir.nodes[token.node];
      if (node !== undefined) {
        settlements.send(itemOf({ ...preparation, node }), token, held);
      }
    } else if (preparation.kind === "hold") {
      this.#putAside(preparation.token, held);
    } else if (preparation.kind === "late") {
      const { prepared } = preparation;
      this.#poison(prepared, held, timedOut(prepared.node, { kind: "timeout", of: "queue" }));
    } else if (poison && token.kind !== "skip") {
      this.#poison(preparation.prepared, held, this.#poisoned());
    } else {
      const { prepared } = preparation;
      if (held.isRedelivered) {
        prepared.isRedelivered = true;
      }
      waiting.add(prepared, held);
    }
  }

  /** A token of a paused run waits with its run; if that goes on by now, it is looked at again. */
  #putAside(token: ReadyToken, held: Held): void {
    holdTokens(this.#o.scripts, [token]).then(
      ([answer]) => {
        if (answer === "not_paused") {
          this.again(token, held);
        } else {
          this.#o.leases.drop(held);
        }
      },
      (error: unknown) => {
        this.#o.logger.warn({ err: error, run: token.runId }, "token not put aside: handed back");
        void this.#lane.handBacks.giveBack([held], error);
      },
    );
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
    const { executions, settlements } = this.#lane;
    if (p.token.kind === "finish") {
      settlements.finish(p, held, p.token.entryId, error);
    } else {
      const isSkip = p.token.kind === "skip";
      const item = isSkip ? this.#o.executor.spread(p) : executions.failed(p, error);
      settlements.send(item, p.token, held);
    }
  }
}
