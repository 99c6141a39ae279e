/**
 * Reads a lane's queues, as long as it is not told to be quiet and there is room.
 *
 * What has been read goes on only under the epoch that the read was sent under. Under another one the
 * server may have lost what the tokens rest on: they are given up, and looked for as stale ones are.
 */
import { Trouble, type ReadyToken } from "../sdk/internal.ts";
import type { HandBacks } from "./hand-backs.ts";
import type { LaneOptions } from "./lane-options.ts";
import type { LookUps } from "./look-ups.ts";
import { quarantine } from "./quarantine.ts";
import type { Room } from "./room.ts";
import type { Settlements } from "./settlements.ts";

const BLOCK_MS = 1000;
/** After a read that failed for want of what is there now. */
const PAUSE_MS = 200;
const SAYS = { fails: "tokens not read", goesOn: "tokens are read again" };

type Options = Pick<LaneOptions, "redis" | "scripts" | "counts" | "logger" | "nowMs"> & {
  preparer: { news: Pick<LaneOptions["preparer"]["news"], "nowMs"> };
  reader: Pick<LaneOptions["reader"], "read" | "endWait" | "mend" | "isStopped">;
};

/** What of its lane it works with. */
export interface ReadLoopLane {
  room: Room;
  settlements: Pick<Settlements, "takeovers">;
  lookUps: Pick<LookUps, "admit">;
  handBacks: Pick<HandBacks, "giveUp">;
}

export class ReadLoop {
  readonly #o: Options;
  readonly #lane: ReadLoopLane;
  readonly #trouble: Trouble;
  #isQuiet = false;
  /** The read under way, until what it brought is in this lane's hands. */
  #reading: Promise<void> = Promise.resolve();

  constructor(options: Options, lane: ReadLoopLane) {
    this.#o = options;
    this.#trouble = new Trouble({ ...options, says: SAYS });
    this.#lane = lane;
  }

  get isQuiet(): boolean {
    return this.#isQuiet;
  }

  /** Reads until told to be quiet. Errors are reported and slept over. */
  async run(pause: (ms: number) => Promise<void>): Promise<void> {
    const { redis, reader } = this.#o;
    const { room } = this.#lane;
    while (!this.#isQuiet) {
      try {
        const count = room.toRead;
        if (count <= 0) {
          await room.wait();
          continue;
        }
        const reading = this.#read(count);
        this.#reading = reading.catch(() => undefined);
        await reading;
        this.#trouble.over();
      } catch (error) {
        if (!this.#isQuiet) {
          const isMended = await reader.mend(redis, error);
          await pause(isMended ? PAUSE_MS : this.#trouble.meet(error));
        }
      }
    }
  }

  /** Nothing more is read; what the read under way brings is still admitted. */
  quiet(): void {
    this.#isQuiet = true;
    this.#lane.room.wake();
  }

  /** Ends the wait of the read under way; resolves when what it brought is in this lane's hands. */
  async endRead(): Promise<void> {
    await this.#o.reader.endWait(this.#o.redis, this.#reading);
  }

  /** Entry ids begin with the time of Redis at which they were added. */
  #count(tokens: readonly ReadyToken[]): void {
    const [first] = tokens;
    const { counts, preparer } = this.#o;
    const waitMs =
      first === undefined ? 0 : preparer.news.nowMs() - Number.parseInt(first.entryId, 10);
    counts.read(tokens.length, waitMs);
  }

  async #read(count: number): Promise<void> {
    const { scripts, reader } = this.#o;
    const { settlements, lookUps, handBacks } = this.#lane;
    if (scripts.knownEpoch === null) {
      await scripts.look();
    }
    const epoch = scripts.knownEpoch;
    const { takeovers } = settlements;
    const batch = await reader.read(count, BLOCK_MS);
    this.#count(batch.tokens);
    try {
      if (batch.tokens.length > 0) {
        await scripts.look();
        if (scripts.knownEpoch === epoch && !reader.isStopped) {
          await lookUps.admit(batch.tokens, { takeovers });
        } else {
          void handBacks.giveUp(batch.tokens);
        }
      }
    } finally {
      // Nearly never any; and a turn more between two reads lets others go before what has just ended.
      if (batch.garbage.length > 0) {
        await quarantine(this.#o, batch.garbage);
      }
    }
  }
}
