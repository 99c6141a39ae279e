/**
 * Nodes whose token is moved on by a call of its own before, or instead of, being executed: maps,
 * children, nodes with a rate limit or a circuit breaker.
 */
import { childItem } from "./children.ts";
import { circuitOpen, type Pass } from "./circuits.ts";
import type { Begun } from "./execute.ts";
import type { Prepared } from "./prepared.ts";
import { failureBefore } from "./kinds/kind.ts";
import type { LaneOptions, Settle } from "./lane-options.ts";
import type { Held } from "./leases.ts";
import { noResults, planMap } from "./maps.ts";
import { nodeSlot, wasParked } from "./rate-limit.ts";

/** A token that begins. */
export interface Beginning {
  p: Prepared;
  held: Held;
  begun: Begun;
  settle: Settle;
  /** Puts the token back for another worker, or a later try, because of this error, or of none. */
  giveBack: (error: unknown) => void;
  /** Leaves the token where it is for so long, to whoever takes it over then. */
  putOff: (ms: number) => void;
}

/** Whether a token has to ask before its node is executed: it begins an execution, or was parked. */
export function isLimited({ node, token }: Prepared): boolean {
  const hasLimit = node.rate_limit !== undefined || node.circuit_breaker !== undefined;
  return hasLimit && (token.kind === "run" || wasParked(token));
}

/**
 * Whether a worker may have died of the token. Parked it would come back as one that was never
 * delivered, and a killer whose circuit is open, or whose limit has no start for it, between any two
 * executions would go round for ever.
 */
function isSuspect({ deliveries }: Held): boolean {
  return deliveries > 1;
}

/**
 * Begins a limited node's work if its circuit lets it and its start is now; else parks the token until
 * then, or fails it. `work` gets the circuit's pass.
 */
export function beginLimited(
  o: LaneOptions,
  beginning: Beginning,
  work: (pass: Pass | null) => void,
): void {
  const { p, held, begun, settle, giveBack, putOff } = beginning;
  const { executor, circuits } = o;
  const { rate_limit: limit, circuit_breaker: policy } = p.node;
  const ask = async (): Promise<void> => {
    // First: an open circuit costs no start.
    const asked = policy === undefined ? null : await circuits.ask(p, policy, begun.vars);
    if (asked !== null && asked.waitMs > 0) {
      const { pass, waitMs } = asked;
      if (isSuspect(held) && policy?.on_open !== "fail") {
        putOff(waitMs);
        return;
      }
      settle(() =>
        policy?.on_open === "fail"
          ? executor.fail(p, begun.vars, circuitOpen(pass, waitMs), 0)
          : executor.hold(p, waitMs, pass.name),
      );
      return;
    }
    const pass = asked?.pass ?? null;
    let isBegun = false;
    try {
      const slot = limit === undefined ? null : await nodeSlot(o, p, begun.vars);
      if (slot !== null && slot.waitMs > 0 && isSuspect(held) && wasParked(p.token)) {
        putOff(slot.waitMs);
      } else if (slot !== null && slot.waitMs > 0) {
        // One that has not been parked yet has to be, to keep its start: once in its attempt.
        settle(() => executor.park(p, slot.waitMs, slot.key));
      } else if (o.leases.has(held) && o.reader.isStopped) {
        giveBack(null);
        settle(null);
      } else if (o.leases.has(held)) {
        isBegun = true;
        work(pass);
      } else {
        settle(null);
      }
    } finally {
      if (pass !== null && !isBegun) {
        void circuits.ended(pass, null);
      }
    }
  };
  ask().catch(notMoved(o, beginning));
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
    maps
      .collect(p, o.outputBytesMax)
      .then((all) => settle(() => executor.collected(p, vars, all, 0)), failed);
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
