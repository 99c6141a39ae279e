/** What an audit of one run looks at: all that Redis holds of it, read at one moment. */
import type { ReadyToken } from "../entry.ts";
import type { Hash } from "./units.ts";

/** An entry as it stands in a stream, or held with its paused run. */
export interface StandingEntry {
  token: ReadyToken;
  /** lost: delivered, and in nobody's hands. */
  state: "queued" | "pending" | "held" | "lost";
  consumer?: string;
}

export interface RunSnapshot {
  runId: string;
  /** The run, its maps, and their elements that have not ended, by name. */
  units: Map<string, Hash>;
  /** Names on the run's list of maps. */
  maps: ReadonlySet<string>;
  signals: Hash;
  /** Fields of its hash of blobs. */
  blobs: ReadonlySet<string>;
  /** Due times of those of its timers that are armed. */
  timers: ReadonlyMap<string, number>;
  entries: readonly StandingEntry[];
  /** Hashes of the children that its tokens wait for; absent: not in Redis. */
  children: ReadonlyMap<string, Hash>;
  /** It is on the partition's lists. */
  isListedPaused: boolean;
  isListedRelease: boolean;
  /** The partition's tail at that moment. */
  seq: number;
  /** The partition's time then, ms: by it timers are due. */
  nowMs: number;
}

/** Name of an armed timer of a run as its snapshot looks for it. */
export const finishPrefix = (unit: string, epoch: string): string => `finish|${unit}|${epoch}|`;
