/**
 * Tokens of a lane that can be executed, and wait for a slot.
 *
 * Who came first begins first; only the next token of a chain goes ahead of all, for its run is on its
 * way already. A token begins only while its entry is held, and while what was read about its run is no
 * older than STALE_MS (21 B1). In a lane that is stopped nothing waits: it is handed back.
 */
import type { ReadyToken } from "../sdk/internal.ts";
import type { HandBacks } from "./hand-backs.ts";
import type { LaneOptions } from "./lane-options.ts";
import type { Held } from "./leases.ts";
import type { Prepared } from "./prepared.ts";
import type { Room } from "./room.ts";

/** What has waited for longer is looked up again: its run may be over. */
export const STALE_MS = 1000;

type Options = Pick<LaneOptions, "nowMs"> & {
  slots: Pick<LaneOptions["slots"], "free">;
  leases: Pick<LaneOptions["leases"], "has">;
  reader: Pick<LaneOptions["reader"], "isStopped">;
};

/** What of its lane it works with. */
export interface WaitingLane {
  /** What begins makes some. */
  room: Pick<Room, "changed">;
  handBacks: Pick<HandBacks, "giveBack">;
  begin(p: Prepared, held: Held): void;
  lookUp(token: ReadyToken, held: Held): void;
}

export class Waiting {
  readonly #o: Options;
  readonly #lane: WaitingLane;
  readonly #tokens: { prepared: Prepared; held: Held; lookedMs: number }[] = [];

  constructor(options: Options, lane: WaitingLane) {
    this.#o = options;
    this.#lane = lane;
  }

  get size(): number {
    return this.#tokens.length;
  }

  /** One that has just been looked up. */
  add(prepared: Prepared, held: Held): void {
    this.#tokens.push({ prepared, held, lookedMs: this.#o.nowMs() });
  }

  /** The next of a chain: the step before it has just been accepted. */
  addFirst(prepared: Prepared, held: Held): void {
    this.#tokens.unshift({ prepared, held, lookedMs: this.#o.nowMs() });
  }

  /** Nothing of it waits any more. */
  takeAll(): Held[] {
    return this.#tokens.splice(0).map(({ held }) => held);
  }

  /** Begins what there are slots for. */
  pump(): void {
    const { slots, leases, reader, nowMs } = this.#o;
    if (reader.isStopped) {
      void this.#lane.handBacks.giveBack(this.takeAll());
    }
    while (slots.free > 0) {
      const next = this.#tokens.shift();
      if (next === undefined) {
        break;
      }
      const { prepared, held, lookedMs } = next;
      if (!leases.has(held)) {
        // Forsaken, or another worker's, meanwhile.
      } else if (nowMs() - lookedMs > STALE_MS) {
        this.#lane.lookUp(prepared.token, held);
      } else {
        this.#lane.begin(prepared, held);
      }
    }
    this.#lane.room.changed();
  }
}
