/** Rows that a block makes besides those of the journal and of runs. Pure. */
import { nodeAt, rootOf, scopeJoin } from "../sdk/internal.ts";
import {
  parseSegment,
  type ApprovalChanges,
  type AskedToken,
  type ClosedApproval,
  type NewChild,
  type NewDeadLetter,
  type RunRedriven,
} from "../sdk/postgres/index.ts";
import { voidApprovals } from "./fold-approvals.ts";
import { transitionsOf, type BlockFold, type DeadToken } from "./block-fold.ts";
import type { StoredIr } from "./ir-store.ts";

type Irs = ReadonlyMap<string, StoredIr>;

/** Runs whose children the block may have left behind. */
export function parentsIn(fold: BlockFold, irs: Irs): string[] {
  return [...fold.leaveChildren].filter((runId) => (irs.get(runId)?.references.length ?? 0) > 0);
}

/**
 * What the block says about approvals, and that those of its ended runs and places are over; to be
 * written in this order: what it says of those that were open before, then of those that it asks for.
 */
export function approvalsIn(fold: BlockFold, irs: Irs): [ApprovalChanges, ApprovalChanges] {
  const { opened, decisions } = fold.approvals;
  const closed: ClosedApproval[] = [...fold.approvals.closed];
  for (const run of fold.runs.values()) {
    const stored = irs.get(run.runId);
    if (stored?.asksInside === true) {
      closed.push(...voidApprovals(stored.ir, parseSegment(run.runId, transitionsOf(run))));
    }
  }
  for (const { runId, endedAtMs } of fold.ended) {
    if (irs.get(runId)?.hasApprovals === true) {
      closed.push({ runId, token: null, within: "", state: "cancelled", atMs: endedAtMs ?? 0 });
    }
  }
  const isBefore = (token: AskedToken | null): boolean => token?.id === null;
  return [
    {
      opened: [],
      decisions: decisions.filter(isBefore),
      closed: closed.filter(({ token }) => isBefore(token)),
    },
    {
      opened,
      decisions: decisions.filter((one) => !isBefore(one)),
      closed: closed.filter(({ token }) => !isBefore(token)),
    },
  ];
}

/** Redrives, with the ids of the nodes that they undo. */
export function redrivenIn(fold: BlockFold, irs: Irs): RunRedriven[] {
  return fold.redriven.map(({ undone, ...run }) => {
    const nodes = irs.get(run.id)?.ir.nodes ?? [];
    const named = undone.map((index) => ({ id: nodes[index]?.id ?? String(index), index }));
    return { ...run, nodes: named };
  });
}

/** Dead tokens as letters, with their nodes' ids as the workflows have them. */
export function lettersIn(partition: number, fold: BlockFold, irs: Irs): NewDeadLetter[] {
  const nameOf = ({ runId, home, node }: DeadToken): string => {
    const ir = irs.get(runId)?.ir;
    return (ir && nodeAt(ir, home, node)?.id) ?? String(node);
  };
  return fold.dead.map((token) => ({
    id: `${partition}-${token.position}`,
    kind: "token",
    runId: token.runId,
    node: nameOf(token),
    scope: scopeJoin(token.home, token.scope),
    attempts: token.attempts,
    error: JSON.stringify(token.error),
    payload: null,
    createdAtMs: token.atMs,
  }));
}

/**
 * Roots of trees whose dead letters may be nobody's business any more: a run has completed that may
 * have elements or children, or a child's letter has come later than that.
 */
export function treesToSettle({ ended, dead }: BlockFold, irs: Irs): string[] {
  const well = ended.filter(({ runId, status }) => {
    const stored = irs.get(runId);
    const isAlone = stored !== undefined && !stored.hasMaps && stored.references.length === 0;
    return status === "COMPLETED" && !isAlone;
  });
  const late = dead.filter(({ runId }) => runId.includes("~"));
  return [...new Set([...well, ...late].map(({ runId }) => rootOf(runId)))];
}

/** Ids of runs that may have a parent, and have ended. */
export function childrenEnded({ ended }: BlockFold): string[] {
  return ended.filter(({ runId }) => runId.includes("~")).map(({ runId }) => runId);
}

/** Rows of the children that were started. */
export function childrenIn(partition: number, { children }: BlockFold): NewChild[] {
  return children.map((child) => ({ ...child, partition }));
}
