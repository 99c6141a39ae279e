/**
 * What the elements of a run's maps wait for. The report of a run has one entry per node, so what
 * stands still inside elements is told beside them, each with the place of its element.
 *
 * It is read off the folded hot state, which knows what is void: elements of a map that is over, of
 * a round that has ended, of an element that failed.
 */
import type { Ir, IrNode } from "../compiler/ir.ts";
import { waitOf, type ElementReport } from "./client-report.ts";
import { RunView } from "./fold.ts";
import { HotState } from "./hot-state.ts";
import type { HotToken } from "./hot-tokens.ts";
import type { ArchivedTransition } from "./postgres/index.ts";
import { scopeJoin } from "./scope.ts";
import { isTerminal } from "./status.ts";

/** Elements' tokens told at most. */
export const ELEMENTS_TOLD_MAX = 100;

/**
 * The nodes of a run that goes on and what stands still inside its elements (the first 100, by
 * place), in one pass over its journal. Without a map in the workflow only the nodes are folded.
 */
export async function foldWithElements(
  ir: Ir,
  pages: AsyncIterable<ArchivedTransition[]> | Iterable<ArchivedTransition[]>,
): Promise<{ view: RunView; elements: ElementReport[] }> {
  const view = new RunView(ir);
  const hot = ir.nodes.some(({ body }) => body !== undefined) ? new HotState(ir) : null;
  for await (const page of pages) {
    for (const { transition, t } of page) {
      view.apply(transition, t);
      hot?.apply(transition, t);
    }
  }
  const elements: ElementReport[] = [];
  if (hot !== null && !isTerminal(view.status)) {
    visitMaps(hot, "", elements);
  }
  return { view, elements };
}

function visitMaps(unit: HotState, home: string, told: ElementReport[]): void {
  for (const [node, map] of unit.maps) {
    const token = unit.tokens.get(node);
    if (token?.state !== "m" || token.scope !== map.scope || !unit.isCurrent(map.scope)) {
      continue;
    }
    const name = scopeJoin(home, scopeJoin(map.scope, String(node)));
    for (const [index, element] of [...map.elements].sort(([a], [b]) => a - b)) {
      if (told.length >= ELEMENTS_TOLD_MAX) {
        return;
      }
      visitElement(element, `${name}#${index}`, told);
    }
  }
}

function visitElement(element: HotState, home: string, told: ElementReport[]): void {
  if (element.status !== "running" && element.status !== "paused") {
    return;
  }
  for (const [index, token] of [...element.tokens].sort(([a], [b]) => a - b)) {
    const node = element.ir.nodes[index];
    const stands = token.state === "w" || token.state === "r";
    const isTold = told.length < ELEMENTS_TOLD_MAX && node !== undefined && node.synthetic !== true;
    if (stands && isTold && element.isCurrent(token.scope)) {
      told.push(reportOf(node, token, home));
    }
  }
  visitMaps(element, home, told);
}

function reportOf(node: IrNode, token: HotToken, element: string): ElementReport {
  const { state, scope, attempt, timer, wait = null, circuit } = token;
  const at = { element, node: node.id, scope };
  const untilMs = timer?.dueMs ?? null;
  if (circuit !== undefined) {
    return {
      ...{ ...at, status: "waiting", attempts: attempt },
      wait: waitOf({ for: null, untilMs, circuit }),
    };
  }
  if (state === "r" && attempt > 1) {
    // Its record counts the attempt to come.
    return { ...at, status: "retrying", attempts: attempt - 1 };
  }
  const limit = state === "w" && wait === null ? node.rate_limit : undefined;
  const rate = limit === undefined ? {} : { rate: limit.key || node.id };
  return {
    ...{ ...at, status: "waiting", attempts: attempt },
    wait: waitOf({ for: wait, untilMs, ...rate }),
  };
}
