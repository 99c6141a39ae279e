/**
 * Drifts: what an audit finds where Redis, the journal and Postgres do not say the same, or where
 * something stands in Redis that belongs to nobody.
 *
 * A drift names its place, what is, what should be, and what puts it right. Most are put right by
 * one thing: the run is rebuilt from its journal under a new epoch, which writes its hash anew,
 * emits its tokens again and makes void whatever stood there before. What belongs to no run is
 * removed.
 */

export type DriftKind =
  | "counter"
  | "field"
  | "epoch"
  | "status"
  | "suspect"
  | "run_missing"
  | "run_unknown"
  | "ended_unknown"
  | "not_released"
  | "entry_missing"
  | "entry_lost"
  | "entry_double"
  | "timer_missing"
  | "timer_due"
  | "wait_missing"
  | "waiter_orphan"
  | "waiter_place"
  | "signal_kept"
  | "signal_id"
  | "child_missing"
  | "map_missing"
  | "map_counts"
  | "element_missing"
  | "element_unknown"
  | "blob_missing"
  | "key_foreign"
  | "held_left"
  | "pause_unlisted"
  | "orphan_entry"
  | "orphan_pending"
  | "orphan_timer"
  | "orphan_key"
  | "orphan_listed";

/** rebuild: the run, from its journal. remove: what is named. wait: it passes by itself. */
export type Remedy = "rebuild" | "remove" | "release" | "wait";

export interface Drift {
  kind: DriftKind;
  /** The run it is about; null: what was found names none. */
  runId: string | null;
  /** Name of the element or map, where it is not the run itself (sdk/unit.ts). */
  unit?: string;
  /** Id of the node, and the token's scope. */
  node?: string;
  scope?: string;
  /** The key, stream entry, timer or field in question. */
  key?: string;
  member?: string;
  is: string;
  expected: string;
  remedy: Remedy;
  /** It does no harm and may pass by itself: told, but no reason for alarm. */
  harmless?: true;
}

const REMEDIES: { [remedy in Remedy]: string } = {
  rebuild: "the run is rebuilt from its journal",
  remove: "it is removed",
  release: "it is put on the list of what is released",
  wait: "it passes by itself",
};

/** "entry_missing run 0198…, node pay 7:2: no entry; expected one entry in a queue (remedy: …)" */
export function driftText(drift: Drift): string {
  const { kind, runId, unit, node, scope, key, member, is, expected, remedy } = drift;
  const place = [
    runId === null ? "" : `run ${unit ?? runId}`,
    node === undefined
      ? ""
      : `node ${node}${scope === undefined || scope === "" ? "" : ` ${scope}`}`,
    key ?? "",
    member ?? "",
  ].filter((part) => part !== "");
  return `${kind} ${place.join(", ")}: ${is}; expected ${expected} (remedy: ${REMEDIES[remedy]})`;
}

/** Two findings of the same thing are equal in this. */
export function driftKey({ kind, runId, unit, node, scope, key, member }: Drift): string {
  return [kind, runId, unit, node, scope, key, member].join("\n");
}
