/**
 * What a worker's log says of handlers that throw: the whole stack, its causes too, of which a node's
 * error keeps three lines. One line for each place a minute: a queue of steps that all fail in one
 * place, thousands a second, is one piece of news.
 */
import type { Logger } from "pino";
import type { ExecutionError } from "./kinds/kind.ts";
import type { Prepared } from "./prepared.ts";

const QUIET_MS = 60_000;
/** Places that are remembered; a worker has fewer lines that throw. */
const PLACES_MAX = 1000;

export class ThrownLog {
  readonly #logger: Logger;
  readonly #nowMs: () => number;
  readonly #told = new Map<string, { atMs: number; more: number }>();

  constructor(logger: Logger, nowMs: () => number) {
    this.#logger = logger;
    this.#nowMs = nowMs;
  }

  /** A node's execution has failed with this error: told if it says where it was thrown. */
  tell({ token, node }: Prepared, { cause, code, details }: ExecutionError): void {
    const stack = details?.["stack"];
    if (!(cause instanceof Error) || !Array.isArray(stack)) {
      return;
    }
    const place = String(stack[0]);
    const before = this.#told.get(place);
    if (before !== undefined && this.#nowMs() - before.atMs < QUIET_MS) {
      before.more += 1;
      return;
    }
    if (this.#told.size >= PLACES_MAX) {
      this.#told.clear();
    }
    this.#told.set(place, { atMs: this.#nowMs(), more: 0 });
    const more = before === undefined || before.more === 0 ? {} : { before: before.more };
    const { runId: run, scope, attempt } = token;
    const about = { err: cause, run, node: node.id, scope, attempt, code, ...more };
    this.#logger.warn(about, "a function has thrown; that it does so here is told once a minute");
  }
}
