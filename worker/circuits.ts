/**
 * `circuit_breaker` of a node: the worker that begins an execution asks its circuit first, and tells
 * it afterwards what a failure, or a probe, has come to.
 *
 * A closed circuit costs one call when an execution begins and nothing when it succeeds. An open one
 * parks the token, so no worker is held and no attempt is charged, or fails it with CIRCUIT_OPEN. What
 * counts is what the execution itself came to, retried or not, its timeout too; not what was never
 * executed (BAD_INPUT), what was stopped from outside, nor what another worker has taken over. What
 * cannot be told to Redis is not told: a failure is not counted, a probe gives its place up.
 */
import type { Logger } from "pino";
import type { IrCircuitBreaker } from "../compiler/ir.ts";
import { compileTemplate, type Template, type Vars } from "../condition/index.ts";
import {
  askCircuit,
  CIRCUIT_TOLD,
  listCircuit,
  parseQueueKey,
  PROBE,
  tellCircuit,
  type CircuitOutcome,
  type Clock,
  type Redis,
} from "../sdk/internal.ts";
import { ExecutionError, fill, perNode } from "./kinds/kind.ts";
import type { Prepared } from "./prepared.ts";
import type { Outcome } from "./run-kind.ts";

/** The leave to begin that a circuit has given. */
export interface Pass {
  name: string;
  policy: IrCircuitBreaker;
  /** The token, and which attempt of it. */
  who: string;
  isProbe: boolean;
}

/** Failures that say nothing about what the node calls. */
const NOT_COUNTED: ReadonlySet<string> = new Set(["BAD_INPUT", "CANCELLED", "FUNCTION_NOT_FOUND"]);

const keyOf = perNode<{ template: Template }>((node) => ({
  template: compileTemplate(node.circuit_breaker?.key ?? ""),
}));

/** The circuits as one worker knows them. */
export class Circuits {
  readonly #redis: Redis;
  readonly #leaseMs: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Probes that are being executed here. */
  readonly #probes = new Set<Pass>();

  /** `redis` reaches every key: a circuit's is of no partition. */
  constructor(options: { redis: Redis; leaseMs: number; clock: Clock; logger: Logger }) {
    this.#redis = options.redis;
    this.#leaseMs = options.leaseMs;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /**
   * Asks whether the token may begin: its pass, and ms to wait before it asks again, 0: it may. Rejects
   * with BAD_INPUT if its key cannot be evaluated.
   */
  async ask(
    { node, token, profile }: Prepared,
    policy: IrCircuitBreaker,
    vars: Vars,
  ): Promise<{ pass: Pass; waitMs: number }> {
    const key = fill(node, "circuit_breaker.key", keyOf(node).template, vars);
    const text = typeof key === "string" ? key : JSON.stringify(key);
    const namespace = parseQueueKey(token.queueKey)?.namespace ?? "";
    const name = namespace + (text === "" ? `${profile.root.name}/${node.id}` : text);
    const who = [token.unit, token.node, token.scope, token.attempt].join("|");
    const answer = await askCircuit(this.#redis, name, policy, { who, leaseMs: this.#leaseMs });
    const pass = { name, policy, who, isProbe: answer === PROBE };
    if (pass.isProbe) {
      this.#probes.add(pass);
      this.#logger.info({ circuit: name, run: token.runId, node: node.id }, "a circuit is probed");
    }
    return { pass, waitMs: Math.max(0, answer) };
  }

  /**
   * Tells what the execution has come to; null: it did not begin, or is another worker's by now.
   * Resolves when it is told or could not be: nobody need wait for that.
   */
  async ended(pass: Pass, outcome: Outcome | null): Promise<void> {
    this.#probes.delete(pass);
    const what = whatOf(outcome);
    if (what === "failure" || pass.isProbe) {
      await this.#tell(pass, what).catch((error: unknown) => {
        this.#logger.warn({ err: error, circuit: pass.name }, "a circuit was not told");
      });
    }
  }

  /** The execution is not this worker's any more: whoever has it now tells. */
  forget(pass: Pass): void {
    this.#probes.delete(pass);
  }

  /** Keeps the places of probes that are still being executed. */
  async renew(): Promise<void> {
    await Promise.all([...this.#probes].map((pass) => this.#tell(pass, "renew")));
  }

  async #tell({ name, policy, who }: Pass, what: CircuitOutcome): Promise<void> {
    if (what === "failure") {
      await listCircuit(this.#redis, name, this.#clock.nowMs());
    }
    const told = { what, who, leaseMs: this.#leaseMs };
    const changed = await tellCircuit(this.#redis, name, policy, told);
    if (changed === CIRCUIT_TOLD.opened) {
      const { failures, open_ms: openMs } = policy;
      this.#logger.warn({ circuit: name, failures, openMs }, "a circuit is open");
    } else if (changed === CIRCUIT_TOLD.closed) {
      this.#logger.info({ circuit: name }, "a circuit is closed");
    }
  }
}

/** The failure of a node that does not wait for its circuit. */
export function circuitOpen({ name }: Pass, waitMs: number): ExecutionError {
  const message = `circuit "${name}" is open: too many executions have failed`;
  return new ExecutionError("CIRCUIT_OPEN", message, {
    details: { circuit: name, retry_after_ms: waitMs },
  });
}

function whatOf(outcome: Outcome | null): CircuitOutcome {
  if (outcome === null || ("error" in outcome && NOT_COUNTED.has(outcome.error.code))) {
    return "none";
  }
  return "error" in outcome ? "failure" : "success";
}
