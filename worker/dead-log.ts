/**
 * What a worker's log says of steps that fail for good, with no edge that handles it: each is a dead
 * letter, and mostly the end of its run. One line a minute for each node of a workflow and code.
 */
import type { Logger } from "pino";
import type { CompletionItem } from "../sdk/internal.ts";
import type { Prepared } from "./prepared.ts";
import { ToldOnce } from "./told-once.ts";

const MESSAGE_CHARS_MAX = 300;

export class DeadLog {
  readonly #logger: Logger;
  readonly #kinds: ToldOnce;

  constructor(logger: Logger, nowMs: () => number) {
    this.#logger = logger;
    this.#kinds = new ToldOnce(nowMs);
  }

  /** Tells of what an item settles so; returns it. */
  told({ token, profile }: Prepared, item: CompletionItem): CompletionItem {
    for (const { op, node: index, scope, attempt, value } of item.results) {
      if (op === "X" || op === "U") {
        const { code, message } = (JSON.parse(value) as { error: Failure }).error;
        const { name: workflow, nodes } = profile.ir;
        const node = nodes[index]?.id;
        const more = this.#kinds.next(JSON.stringify([workflow, node, code]));
        if (more !== null) {
          const about = { run: token.runId, workflow, node, scope, attempt, code };
          const said = { ...about, reason: message.slice(0, MESSAGE_CHARS_MAX), ...more };
          this.#logger.warn(said, "a step has failed for good; this node and code once a minute");
        }
      }
    }
    return item;
  }
}

interface Failure {
  code: string;
  message: string;
}
