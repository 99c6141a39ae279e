/**
 * Nodes whose token is moved on by a call of its own before, or instead of, being executed: maps,
 * children, nodes with a rate limit.
 */
import { childItem } from "./children.ts";
import type { Begun } from "./execute.ts";
import type { Prepared } from "./node-vars.ts";
import { failureBefore } from "./kinds/kind.ts";
import type { LaneOptions, Settle } from "./lane-options.ts";
import type { Held } from "./leases.ts";
import { noResults, planMap } from "./maps.ts";
import { nodeSlot } from "./rate-limit.ts";

/** A token that begins. */
export interface Beginning {
  p: Prepared;
  held: Held;
  begun: Begun;
  settle: Settle;
  /** Puts the token back for another worker, or a later try, because of this error. */
  giveBack: (error: unknown) => void;
}

/** Begins a limited node's work when its start is now, else parks the token until then. */
export function beginLimited(o: LaneOptions, beginning: Beginning, work: () => void): void {
  const { p, held, begun, settle } = beginning;
  nodeSlot(o.scripts, p, begun.vars).then(
    ({ key, waitMs }) => {
      if (waitMs > 0) {
        settle(() => o.executor.park(p, waitMs, key));
      } else if (o.leases.has(held)) {
        work();
      } else {
        settle(null);
      }
    },
    notMoved(o, beginning),
  );
}

/** A token that starts a child run, or goes on after one; parked, it is not settled here. */
export function beginChild(o: LaneOptions, beginning: Beginning): void {
  const { p, held, begun, settle } = beginning;
  childItem(o, p, begun.vars, begun.input).then(
    (item) => {
      if (item === null) {
        o.leases.drop(held);
      }
      settle(item === null ? null : () => item);
    },
    notMoved(o, beginning),
  );
}

/** A map: its items are written, then its elements run by themselves; or they have. */
export function beginMap(o: LaneOptions, beginning: Beginning): void {
  const { p, held, begun, settle } = beginning;
  const { executor, maps } = o;
  const { vars } = begun;
  const failed = notMoved(o, beginning);
  if (p.token.kind === "gather") {
    maps.collect(p).then((all) => settle(() => executor.collected(p, vars, all, 0)), failed);
    return;
  }
  const plan = planMap(p, vars, begun.input);
  if (plan.items.length === 0) {
    settle(() => executor.collected(p, vars, noResults(p.node), 0));
    return;
  }
  maps.expand(p, plan).then(() => {
    o.leases.drop(held);
    settle(null);
  }, failed);
}

/** What is done when a token's first step fails: as its node, or handed back to be tried again. */
function notMoved(o: LaneOptions, { p, begun, settle, giveBack }: Beginning) {
  return (error: unknown): void => {
    const failure = failureBefore(error);
    if (failure !== null) {
      settle(() => o.executor.fail(p, begun.vars, failure, 0));
      return;
    }
    const at = { err: error, run: p.token.runId, node: p.node.id };
    o.logger.warn(at, "token not moved on: handed back");
    giveBack(error);
    settle(null);
  };
}
