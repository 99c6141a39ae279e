/**
 * A run as its waking would write it into Redis (rebuild.ts), kept instead of sent: what there is to say
 * of a sleeping run is said of this.
 */
import {
  parseEntry,
  parseRunKey,
  type Hash,
  type PartitionKeys,
  type StandingEntry,
} from "../../sdk/internal.ts";
import { heldEntries, type Snapshot } from "../audit/snapshot-reader.ts";
import type { Writer } from "../emitter.ts";

export class WrittenRun implements Writer {
  readonly #keys: PartitionKeys;
  readonly #runId: string;
  readonly #units = new Map<string, Hash>();
  readonly #timers = new Map<string, number>();
  readonly #entries: StandingEntry[] = [];

  constructor(keys: PartitionKeys, runId: string) {
    this.#keys = keys;
    this.#runId = runId;
    this.#units.set(runId, {}); // the run before its elements
  }

  get snapshot(): Snapshot {
    return {
      ...{ runId: this.#runId, units: this.#units, timers: this.#timers, entries: this.#entries },
      ...{ maps: new Set(), signals: {}, blobs: new Set(), children: new Map(), seq: 0, nowMs: 0 },
      ...{ isListedPaused: false, isListedRelease: false, isWhole: true },
    };
  }

  hset(key: string, fields: Hash): void {
    const part = parseRunKey(this.#keys, key)?.part;
    if (part === "run" || part === "unit") {
      const unit = key.slice(this.#keys.run("").length);
      this.#units.set(unit, { ...this.#units.get(unit), ...fields });
    }
  }

  zadd(_key: string, score: number, member: string): void {
    this.#timers.set(member, score);
  }

  rpush(_key: string, item: string): void {
    this.#entries.push(...heldEntries([item]));
  }

  /** Only a paused run sleeps with tokens that are ready: whatever is ready is held. */
  xadd(key: string, _id: "*", _field: string, packed: string): void {
    const token = parseEntry(key, "", ["t", packed]);
    void (token !== null && this.#entries.push({ token, state: "held" }));
  }

  del(): void {}

  sadd(): void {}

  xgroup(): void {}
}
