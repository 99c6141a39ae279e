/**
 * What leaves a lane's hands without a result.
 *
 * It is held no more before Redis hears of it: what its handler answers from then on is nobody's
 * result, for the entry may be another worker's by then. And it is looked for soon, unless it was handed
 * back for a fault of its own: nobody else is told of it, and looks by the clock are half a lease apart.
 */
import type { ReadyToken } from "../sdk/internal.ts";
import { giveBack } from "./give-back.ts";
import type { LaneOptions } from "./lane-options.ts";
import type { Held } from "./leases.ts";

type Options = Pick<LaneOptions, "scripts" | "consumer" | "leaseMs" | "logger" | "leases"> & {
  unreadable: Pick<LaneOptions["unreadable"], "idleOf">;
};

export class HandBacks {
  /** Something waits for a look for stale entries. Whoever begins one says that it does no more. */
  isLookDue = false;
  readonly #o: Options;

  constructor(options: Options) {
    this.#o = options;
  }

  /** `error`: of the one entry, if it is why. Never fails. */
  async giveBack(entries: readonly Held[], error: unknown = null): Promise<void> {
    entries.forEach((held) => this.#o.leases.drop(held));
    const tokens = entries.map(({ token }) => token);
    const isCharged = await giveBack(this.#o, tokens, error);
    this.isLookDue ||= entries.length > 0 && !isCharged;
  }

  /** Tokens that are not held: read under an epoch that is over by now. Never fails. */
  async giveUp(tokens: readonly ReadyToken[]): Promise<void> {
    await giveBack(this.#o, tokens);
    this.isLookDue = true;
  }

  /** One that may begin in so long: it is stale by then, and its deliveries before still count. */
  putOff(held: Held, ms: number): void {
    this.#o.leases.drop(held);
    void giveBack(this.#o, [held.token], null, Math.max(0, Math.floor(this.#o.leaseMs - ms)));
  }

  /** One that is for the other workers: it is not looked for here. */
  leave(token: ReadyToken, held: Held): void {
    const { leases, unreadable } = this.#o;
    leases.drop(held);
    void giveBack(this.#o, [token], null, unreadable.idleOf(token, held.idleMs));
  }
}
