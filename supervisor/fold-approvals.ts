/** What a block of the journal says about approvals: asked, decided, over. Pure. */
import type { Decision, Transition, WaitAnswer } from "../sdk/internal.ts";
import type { ApprovalChanges, ClosedApproval } from "../sdk/postgres/index.ts";

/** Adds what one transition says. `home` is the map element that it is about, "" the run itself. */
export function foldApproval(
  changes: ApprovalChanges,
  t: Transition,
  home: string,
  position: string,
  atMs: number,
): void {
  const { r: runId, n: nodeIndex = -1, s: scope = "", a: attempt = 1 } = t;
  const token = { home, nodeIndex, scope, attempt };
  if (t.e === "node.parked" && typeof t.w === "object" && t.w.kind === "approval") {
    const { token: id = "", node = "", title = "", description = null, form, required = 1 } = t.w;
    changes.opened.push({
      ...{ id, runId, ...token, node, title, description, required },
      assignees: JSON.stringify(t.w.assignees ?? []),
      form: form === undefined ? null : JSON.stringify(form),
      openedAtMs: atMs,
      expiresAtMs: t.due ?? null,
    });
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
