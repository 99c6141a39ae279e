/**
 * Limits that a simulation adds: `charge=3` (at most three at one time), `charge=5/s` (so many
 * starts in a time), `queue:gpu=10/s` for all steps of a queue, `runs=20` and `runs=5/s` for runs.
 */
import { nearestName } from "../../condition/suggest.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { RunLimits } from "./run-gate.ts";

export interface Rate {
  /** At most so many in `per_ms`. */
  limit: number;
  per_ms: number;
}

export interface Limits {
  /** Executions at one time, by node. */
  atOnce: ReadonlyMap<string, number>;
  /** Starts in a time, by node; instead of the workflow's own. */
  rates: ReadonlyMap<string, Rate>;
  queueRates: ReadonlyMap<string, Rate>;
  runs: RunLimits;
}

const UNITS: { readonly [unit: string]: number } = { ms: 1, s: 1000, min: 60_000, h: 3_600_000 };

/** `5/s`, `100/min`, `7/h`; undefined if it is none. */
export function parseRate(text: string): Rate | undefined {
  const [, count = "", unit = ""] = /^(\d+(?:\.\d+)?)\/(ms|s|min|h)$/.exec(text) ?? [];
  const limit = Number(count);
  const perMs = UNITS[unit];
  return perMs === undefined || limit <= 0 ? undefined : { limit, per_ms: perMs };
}

/** Reads the values of `--limit`. Throws GV_BAD_INPUT. */
export function readLimits(
  given: readonly string[],
  nodes: readonly string[],
  queues: readonly string[],
): Limits {
  const atOnce = new Map<string, number>();
  const rates = new Map<string, Rate>();
  const queueRates = new Map<string, Rate>();
  const runs: RunLimits = {};
  for (const text of given) {
    const at = text.lastIndexOf("=");
    const [name, value] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)];
    const count = Number(value);
    const isCount = Number.isSafeInteger(count) && count > 0;
    const rate = parseRate(value);
    if (name === RUNS && !nodes.includes(RUNS) && (isCount || rate !== undefined)) {
      Object.assign(runs, rate === undefined ? { atOnce: count } : { rate });
      continue;
    }
    const queue = name.startsWith("queue:") ? name.slice("queue:".length) : undefined;
    assertKnown(text, queue ?? name, queue === undefined ? nodes : queues);
    if (rate !== undefined) (queue === undefined ? rates : queueRates).set(queue ?? name, rate);
    else if (isCount && queue === undefined) atOnce.set(name, count);
    else refuse(text, "give NODE=N, NODE=N/s (also /min, /h), queue:NAME=N/s, runs=N or runs=N/s");
  }
  return { atOnce, rates, queueRates, runs };
}

/** Of whole runs, unless there is a node of this name. */
const RUNS = "runs";

/**
 * Reads `--workers`: `4`, or `gpu=2,default=8`; `default` are those of all queues without workers of
 * their own. Throws GV_BAD_INPUT.
 */
export function readWorkers(given: string, queues: readonly string[]): Map<string, number> {
  const workers = new Map<string, number>();
  for (const part of given.split(",")) {
    const [, name = "default", value = ""] = /^(?:(.*)=)?(.*)$/.exec(part.trim()) ?? [];
    const count = Number(value);
    if (value === "" || !Number.isSafeInteger(count) || count < 1) {
      const remedy = "give a number from 1, or one for each queue: gpu=2,default=8";
      throw new GavotteError("GV_BAD_INPUT", `--workers ${given}: ${remedy}`);
    }
    if (name !== "default") assertKnown(`--workers ${given}`, name, [...queues, "default"]);
    workers.set(name, count);
  }
  return workers;
}

function assertKnown(text: string, name: string, known: readonly string[]): void {
  if (known.includes(name)) return;
  const near = nearestName(name, known);
  refuse(text, near === undefined ? `there is ${known.join(", ")}` : `did you mean ${near}?`);
}

function refuse(text: string, remedy: string): never {
  const flag = text.startsWith("--") ? text : `--limit ${text}`;
  throw new GavotteError("GV_BAD_INPUT", `${flag}: ${remedy}`);
}
