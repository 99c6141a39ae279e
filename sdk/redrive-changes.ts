/**
 * What a redrive changes, against the journal so far: folding that journal with what is told here
 * gives the state, and the nodes as people see them, that the run goes on from.
 */
import { isDeepStrictEqual } from "node:util";
import type { Ir } from "../compiler/ir.ts";
import { RunView } from "./fold.ts";
import { resultOf } from "./node-views.ts";
import { hotFields, isStateField } from "./hot-fields.ts";
import { HotState } from "./hot-state.ts";
import type { HotToken } from "./hot-tokens.ts";
import type { Redriven } from "./journal.ts";
import type { Placed } from "./redrive-filter.ts";

/**
 * Fields of the run's hashes that are others than those the journal so far gives; null: gone. A token
 * whose record reads as before is told of as well when it waited, or its wait was over: it begins anew.
 */
export function changedFields(
  ir: Ir,
  journal: readonly Placed[],
  after: HotState,
): Pick<Redriven, "f" | "due" | "ch" | "sg"> {
  const before = new HotState(ir);
  journal.forEach(({ transition, t }) => before.apply(transition, t));
  const [signals, signalsNow] = [before, after].map((state) => state.signals.fields(() => null));
  const more = { epoch: 0, irHash: "", input: null, namespace: "", priority: "" };
  const old = hotFields(before, more);
  const now = hotFields(after, more);
  const changed: Redriven["f"] = {};
  const due: NonNullable<Redriven["due"]> = {};
  for (const field of new Set([...Object.keys(old), ...Object.keys(now)])) {
    if (isStateField(field) && old[field] !== now[field]) {
      changed[field] = now[field] ?? null;
    }
  }
  for (const [node, token] of after.tokens) {
    const field = `n${node}`;
    if (field in changed || !isDeepStrictEqual(wayOf(before.tokens.get(node)), wayOf(token))) {
      changed[field] = now[field] ?? null;
      if (token.timer !== null) {
        due[node] = token.timer.dueMs;
      }
    }
  }
  return {
    f: changed,
    ...(Object.keys(due).length > 0 && { due }),
    ...(after.over.size > 0 && { ch: Object.fromEntries(after.over) }),
    ...(!isDeepStrictEqual(signals, signalsNow) && { sg: signalsNow ?? {} }),
  };
}

/** What of a token its record does not say: what it waits for, or what has ended its wait. */
function wayOf(token: HotToken | undefined): Partial<HotToken> {
  const { timer, isResumed, circuit, wait, answer } = token ?? {};
  return { timer, isResumed, circuit, wait, answer } as Partial<HotToken>;
}

/** Nodes that are seen otherwise now: their statuses, and the results that hold again. */
export function changedViews(
  ir: Ir,
  journal: readonly Placed[],
  kept: readonly Placed[],
): Pick<Redriven, "nv" | "rv" | "bs"> {
  const before = new RunView(ir);
  journal.forEach(({ transition, t }) => before.apply(transition, t));
  const after = new RunView(ir);
  kept.forEach(({ transition, t }) => after.apply(transition, t));
  const nv: Redriven["nv"] = {};
  const rv: NonNullable<Redriven["rv"]> = {};
  ir.nodes.forEach(({ id }, index) => {
    const [old, now] = [before.nodes[id], after.nodes[id]];
    if (old === undefined || now === undefined) {
      return;
    }
    if (now.status !== old.status) {
      nv[index] = now.status;
    }
    const isEnded = now.status === "completed" || now.status === "failed";
    if (isEnded && !isDeepStrictEqual(resultOf(now), resultOf(old))) {
      rv[index] = resultOf(now);
    }
  });
  const bs = after.businessStatus;
  return {
    ...{ nv, ...(Object.keys(rv).length > 0 && { rv }) },
    ...(bs !== before.businessStatus && { bs }),
  };
}
