/**
 * What a worker's log says of handlers that throw: the whole stack, its causes too, of which a node's
 * error keeps three lines. One line for each place a minute.
 */
import type { Logger } from "pino";
import { toldError } from "../sdk/internal.ts";
import type { ExecutionError } from "./kinds/kind.ts";
import type { Prepared } from "./prepared.ts";
import { ToldOnce } from "./told-once.ts";

export class ThrownLog {
  readonly #logger: Logger;
  readonly #places: ToldOnce;

  constructor(logger: Logger, nowMs: () => number) {
    this.#logger = logger;
    this.#places = new ToldOnce(nowMs);
  }

  /** A node's execution has failed with this error: told if it says where it was thrown. */
  tell({ token, node }: Prepared, { cause, code, details }: ExecutionError): void {
    const stack = details?.["stack"];
    if (!(cause instanceof Error) || !Array.isArray(stack)) {
      return;
    }
    const more = this.#places.next(String(stack[0]));
    if (more === null) {
      return;
    }
    const { runId: run, scope, attempt } = token;
    const about = { err: toldError(cause), run, node: node.id, scope, attempt, code, ...more };
    this.#logger.warn(about, "a function has thrown; that it does so here is told once a minute");
  }
}
