/**
 * Typed calls of `ask_circuit` and `tell_circuit`, and what there is to see of circuits.
 *
 * A circuit is known by its name alone, across nodes, workflows and partitions: what a
 * `circuit_breaker.key` gives, else `<workflow>/<node>`, after the namespace of the run. It has a key
 * in Redis only while there is something to remember, so when Redis is lost all circuits are closed.
 * Names of those that had trouble are kept in a list of their own, for people: nothing rests on it.
 */
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import type { IrCircuitBreaker } from "../../compiler/ir.ts";
import { globalKeys } from "../keys.ts";
import { connectionAt } from "./cluster-router.ts";
import { callAnywhere } from "./script-runner.ts";

export type CircuitPolicy = Omit<IrCircuitBreaker, "key" | "on_open">;

/** The answer to a token that may begin and is to find out whether its target works again. */
export const PROBE = -1;

/** What was changed by telling. */
export const CIRCUIT_TOLD = { nothing: 0, opened: 1, closed: 2 } as const;

/** How an execution ended; `none`: without having learned anything. */
export type CircuitOutcome = "failure" | "success" | "none" | "renew";

export interface CircuitView {
  name: string;
  state: "closed" | "open" | "half_open";
  /** That count at most: those that are too old by now are among them until the next one. */
  failures: number;
  /** Redis time, ms; null: it is not open, or open without an end. */
  untilMs: number | null;
  /** It was opened by hand, without an end. */
  byHand: boolean;
  /** Tokens that were told to wait since it opened or was probed last. */
  waiting: number;
}

/** Names that the list of circuits keeps, the latest. */
export const CIRCUITS_LISTED_MAX = 1000;

/** The Redis key of a circuit. */
export function circuitKey(name: string): string {
  return globalKeys.circuit(createHash("sha256").update(name).digest("hex"));
}

/** Whether `who` may begin: 0 yes, PROBE yes and it is watched, more: ms until it is to ask again. */
export async function askCircuit(
  redis: Redis,
  name: string,
  policy: CircuitPolicy,
  { who, leaseMs }: { who: string; leaseMs: number },
): Promise<number> {
  const args = [who, policy.open_ms, leaseMs, keepMs(policy)];
  return (await callAnywhere(redis, "askCircuit", [circuitKey(name)], args)) as number;
}

/** Tells what became of an execution; what that changed, of CIRCUIT_TOLD. */
export async function tellCircuit(
  redis: Redis,
  name: string,
  policy: CircuitPolicy,
  told: { what: CircuitOutcome; who: string; leaseMs: number },
): Promise<number> {
  const { failures, within_ms: withinMs, open_ms: openMs } = policy;
  const counted = [failures, withinMs, openMs, told.leaseMs, keepMs(policy)];
  const args = [told.what, told.who, ...counted];
  return (await callAnywhere(redis, "tellCircuit", [circuitKey(name)], args)) as number;
}

/** Keeps a name in the list of circuits, before its trouble is told. */
export async function listCircuit(redis: Redis, name: string, nowMs: number): Promise<void> {
  const pipeline = connectionAt(redis, globalKeys.circuits).pipeline();
  pipeline.zadd(globalKeys.circuits, nowMs, name);
  await pipeline.zremrangebyrank(globalKeys.circuits, 0, -CIRCUITS_LISTED_MAX - 1).exec();
}

/** Opens a circuit by hand; `openMs` null: until it is closed by hand. */
export async function openCircuit(
  redis: Redis,
  name: string,
  openMs: number | null,
): Promise<void> {
  const ms = openMs ?? 0;
  const args = ["open", "", 0, 0, ms, 0, ms];
  await callAnywhere(redis, "tellCircuit", [circuitKey(name)], args);
}

/** Closes a circuit and forgets its failures; false: there was nothing to forget. */
export async function closeCircuit(redis: Redis, name: string): Promise<boolean> {
  const args = ["close", "", 0, 0, 0, 0, 0];
  return (await callAnywhere(redis, "tellCircuit", [circuitKey(name)], args)) !== 0;
}

/** Circuits that are not closed or have failures, by name. */
export async function listCircuits(redis: Redis): Promise<CircuitView[]> {
  const names = await redis.zrange(globalKeys.circuits, 0, -1);
  const views = await Promise.all(names.map((name) => readCircuit(redis, name)));
  return views
    .filter(({ state, failures }) => state !== "closed" || failures > 0)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** How a circuit stands now. */
export async function readCircuit(redis: Redis, name: string): Promise<CircuitView> {
  const key = circuitKey(name);
  const [time, fields] = await Promise.all([
    connectionAt(redis, key).time(),
    redis.hmget(key, "until", "hand", "f", "line"),
  ]);
  const [until = null, hand = null, recent = null, line = null] = fields;
  const nowMs = Number(time[0]) * 1000 + Number(time[1]) / 1000;
  const byHand = hand !== null;
  const isOpen = until !== null && (byHand || Number(until) > nowMs);
  return {
    name,
    state: until === null ? "closed" : isOpen ? "open" : "half_open",
    failures: recent === null ? 0 : recent.split(",").length,
    untilMs: isOpen && !byHand ? Number(until) : null,
    byHand,
    waiting: Number(line ?? 0),
  };
}

/** A half-open circuit outlives the time over which those that wait for it come back. */
function keepMs({ open_ms: openMs, within_ms: withinMs }: CircuitPolicy): number {
  return 2 * openMs + withinMs;
}
