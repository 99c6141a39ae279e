/**
 * Virtual time: with as many workers as there is work, the step that is done first is executed
 * first. The interpreter executes a step at the moment of its end, so the scheduler's choice is the
 * clock: it picks the token with the earliest end, and that is what time it is.
 */
import type { Ir, IrNode } from "../../compiler/index.ts";
import type { ReadyToken, Scheduler } from "../../compiler/reference/index.ts";
import { functionOf, mockOf } from "./handlers.ts";
import type { Mocks } from "./mocks.ts";

export interface TimedStep {
  node: string;
  home: string;
  scope: string;
  attempt: number;
  /** Virtual ms since the run began. */
  from: number;
  to: number;
}

export class VirtualClock {
  /** Executions, in the order of their ends. */
  readonly steps: TimedStep[] = [];
  nowMs = 0;
  readonly #nodes: ReadonlyMap<string, IrNode>;
  readonly #mocks: Mocks;
  readonly #random: () => number;
  /** Ends of tokens that are being executed, by who they are. */
  #open = new Map<string, TimedStep>();

  /** `random` draws durations that are ranges. */
  constructor(ir: Ir, mocks: Mocks, random: () => number) {
    this.#nodes = nodesOf(ir);
    this.#mocks = mocks;
    this.#random = random;
  }

  /** The order in which steps end. */
  readonly order: Scheduler = (ready) => {
    const open = new Map<string, TimedStep>();
    for (const token of ready) {
      const name = `${token.home} ${token.scope} ${token.node} ${token.attempt}`;
      open.set(name, this.#open.get(name) ?? this.#begin(token));
    }
    this.#open = open;
    const steps = [...open.values()];
    let first = 0;
    steps.forEach((step, i) => {
      if (step.to < (steps[first] as TimedStep).to) first = i;
    });
    const step = steps[first] as TimedStep;
    this.nowMs = Math.max(this.nowMs, step.to);
    this.steps.push(step);
    return first;
  };

  #begin({ node: id, scope, home, attempt }: ReadyToken): TimedStep {
    const node = this.#nodes.get(id);
    const wait = node === undefined || attempt === 1 ? 0 : backoff(node, attempt);
    const from = this.nowMs + wait;
    const to = from + (node === undefined ? 0 : this.#duration(node));
    return { node: id, scope, home, attempt, from, to };
  }

  #duration(node: IrNode): number {
    const given = mockOf(node, this.#mocks)?.duration_ms;
    if (Array.isArray(given)) return given[0] + this.#random() * (given[1] - given[0]);
    if (given !== undefined) return given;
    const own =
      node.type === "delay"
        ? node.config["delay_ms"]
        : functionOf(node) === "builtin.sleep"
          ? (node.config["params"] as { ms?: unknown } | undefined)?.ms
          : 0;
    return typeof own === "number" ? own : 0;
  }
}

function backoff({ retry }: IrNode, attempt: number): number {
  return Math.min(
    retry.backoff_ms * retry.backoff_multiplier ** (attempt - 2),
    retry.max_backoff_ms,
  );
}

function nodesOf(ir: Ir): Map<string, IrNode> {
  const found = new Map<string, IrNode>();
  for (const node of ir.nodes) {
    found.set(node.id, node);
    if (node.body !== undefined) nodesOf(node.body).forEach((inner, id) => found.set(id, inner));
  }
  return found;
}
