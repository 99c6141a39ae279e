/** What a block of the journal says about approvals: asked, decided, over. Pure. */
import type { Ir } from "../compiler/ir.ts";
import {
  nodeAt,
  scopeJoin,
  type Decision,
  type EventName,
  type Transition,
  type WaitAnswer,
} from "../sdk/internal.ts";
import type { ApprovalChanges, ArchivedTransition, ClosedApproval } from "../sdk/postgres/index.ts";

/** A loop decides with its latch: its round is over, whether another one begins or none. */
const ROUND_OVER: ReadonlySet<EventName> = new Set([
  "node.completed",
  "node.failed",
  "node.cancelled",
]);
/** After these the elements that a map had are void: those of its next attempt are others. */
const ELEMENTS_OVER: ReadonlySet<EventName> = new Set([
  ...ROUND_OVER,
  ...(["map.gather", "node.skipped", "node.retrying", "node.activated", "node.resumed"] as const),
]);

export interface ApprovalFold extends ApprovalChanges {
  /** What each token has asked for last in this block, by run and token: the approval's id. */
  asked: Map<string, string>;
}

/** Adds what one transition says. `home` is the map element that it is about, "" the run itself. */
export function foldApproval(
  changes: ApprovalFold,
  t: Transition,
  home: string,
  position: string,
  atMs: number,
): void {
  const { r: runId, n: nodeIndex = -1, s: scope = "", a: attempt = 1 } = t;
  const key = [runId, home, nodeIndex, scope, attempt].join("\0");
  const token = { home, nodeIndex, scope, attempt, id: changes.asked.get(key) ?? null };
  if (t.e === "node.parked" && typeof t.w === "object" && t.w.kind === "approval") {
    const { token: id = "", node = "", title = "", description = null, form, required = 1 } = t.w;
    changes.opened.push({
      ...{ ...token, id, runId, node, title, description, required },
      assignees: JSON.stringify(t.w.assignees ?? []),
      form: form === undefined ? null : JSON.stringify(form),
      openedAtMs: atMs,
      expiresAtMs: t.due ?? null,
    });
    changes.asked.set(key, id);
  } else if (t.e === "approval.decided") {
    const { actor, approved, data, at } = t.v as Decision;
    const said = { actor, approved, data: JSON.stringify(data), decidedAtMs: at, position };
    changes.decisions.push({ runId, ...token, ...said });
  } else if (t.e === "node.cancelled") {
    changes.closed.push({ runId, token, state: "cancelled", atMs });
  } else if (t.e === "node.resumed" && typeof t.v === "object") {
    const state = stateOf(t.v as WaitAnswer);
    if (state !== null) {
      changes.closed.push({ runId, token, state, atMs });
    }
  }
}

/** How an approval ends by this answer; null: an answer that approvals do not get. */
function stateOf(answer: WaitAnswer): ClosedApproval["state"] | null {
  switch (answer.kind) {
    case "approval":
      return answer.approved ? "approved" : "rejected";
    case "timeout":
      return "expired";
    case "manual":
      return "cancelled";
    default:
      return null;
  }
}

/**
 * Approvals whose tokens are void though the run goes on: in a round that is over, in an element that
 * has failed, in a map that no longer waits for its elements. Nobody tells of these tokens one by one.
 */
export function voidApprovals(
  ir: Ir,
  transitions: readonly ArchivedTransition[],
): ClosedApproval[] {
  return transitions.flatMap(({ t: atMs, transition: t }) => {
    const within = placeOver(ir, t);
    return within === null
      ? []
      : [{ runId: t.r, token: null, within, state: "cancelled" as const, atMs }];
  });
}

/** The place whose tokens are void after a transition, as ClosedApproval has it; null: there is none. */
function placeOver(ir: Ir, { e, m = "", n = -1, s = "", i = -1 }: Transition): string | null {
  const node = nodeAt(ir, m, n);
  const path = scopeJoin(m, s);
  if (e === "map.element") {
    return `${scopeJoin(path, `${n}#${i}`)}/`;
  }
  if (node?.type === "map" && ELEMENTS_OVER.has(e)) {
    return scopeJoin(path, `${n}#`);
  }
  return typeof node?.latch_of === "number" && ROUND_OVER.has(e) ? `${path}/` : null;
}
