/** What a block of the journal says about things done by hand, and about what was set apart. Pure. */
import { nodeAt, outcomeOf, type ManualAnswer, type Transition } from "../sdk/internal.ts";
import type { AuditEntry } from "../sdk/postgres/index.ts";
import type { StoredIr } from "./ir-store.ts";

/** An entry of the audit whose node is not named yet. */
export interface AuditFold {
  position: string;
  atMs: number;
  who: string;
  action: string;
  runId: string;
  /** Index of the node, null for what concerns the run; home of the map element that it is in. */
  node: number | null;
  home: string;
  scope: string | null;
  reason: string;
  before: string | null;
  after: string | null;
}

const STATES: { [state: string]: string } = {
  a: "ready",
  r: "retrying",
  w: "waiting",
  m: "running",
};
const RUN_ACTIONS: { [event: string]: string } = {
  "run.paused": "run.pause",
  "run.resumed": "run.resume",
  "run.redriven": "run.redrive",
};

/** Who sets apart what cannot be read. */
const ENGINE = "gavotte";
const UNREADABLE = "a transition that cannot be read: its text is kept here and in the journal";

/** The entry that a transition makes; null: nobody's hand was in it. */
export function foldAudit(t: Transition, position: string, atMs: number): AuditFold | null {
  const answer = (typeof t.v === "object" ? t.v : null) as ManualAnswer | null;
  if (answer?.kind === "manual") {
    const { was = "" } = t;
    const status = STATES[was[0] ?? ""] ?? "ready";
    const before = { status, attempt: Number(was.slice(1)) };
    return {
      ...{ position, atMs, who: answer.by, action: `node.${answer.action}`, runId: t.r },
      ...{ node: t.n ?? null, home: t.m ?? "", scope: t.s ?? null, reason: answer.why ?? "" },
      ...{ before: JSON.stringify(before), after: JSON.stringify(outcomeOf(answer)) },
    };
  }
  if (t.raw !== undefined) {
    return {
      ...{ position, atMs, who: ENGINE, action: "run.set_apart", runId: t.r, node: null, home: "" },
      ...{ scope: null, reason: UNREADABLE, before: JSON.stringify(t.raw), after: null },
    };
  }
  const action = RUN_ACTIONS[t.e];
  if (action === undefined || t.by === undefined) {
    return null;
  }
  return {
    ...{ position, atMs, who: t.by, action, runId: t.r, node: null, home: "", scope: null },
    ...{ reason: t.why ?? "", before: null, after: null },
  };
}

/** The rows of these entries, with their nodes' ids as the workflows have them. */
export function auditEntries(
  partition: number,
  folds: readonly AuditFold[],
  irs: ReadonlyMap<string, StoredIr>,
): AuditEntry[] {
  return folds.map(({ position, node, home, ...entry }) => {
    const root = irs.get(entry.runId)?.ir;
    const found = root === undefined || node === null ? undefined : nodeAt(root, home, node);
    const id = node === null ? null : (found?.id ?? String(node));
    return { ...entry, id: `${partition}-${position}`, node: id };
  });
}
