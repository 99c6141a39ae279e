/**
 * Tokens whose workflow this worker cannot read: it is of a version not known here, its text is
 * damaged, or it is stored nowhere that this worker can ask.
 *
 * While old workers run beside new ones, somebody else can read it: the entry is handed back and left
 * to the others, who look for stale ones all the time. Who meets it again ten minutes later knows
 * that nobody there can. Then its run is paused, with the reason, and the token waits with it until
 * somebody resumes the run (`gavotte why` tells). Nothing that cannot be read goes round for ever.
 */
import { holdTokens, pauseRun, type ReadyToken } from "../sdk/internal.ts";
import type { LaneOptions } from "./lane-options.ts";
import { quarantineToken } from "./quarantine.ts";
import type { StaleEntry } from "./takeover.ts";

/** For so long an entry is left to others. */
export const LEFT_MS = 600_000;
/** Entries remembered; of more than that the oldest are left to others once more. */
const LEFT_MAX = 1000;

const ENDED = new Set(["completed", "failed", "cancelled"]);

type Options = Pick<LaneOptions, "redis" | "scripts" | "consumer" | "logger" | "nowMs">;
type Entry = Pick<StaleEntry, "queueKey" | "entryId">;

export class Unreadable {
  readonly #o: Options;
  /** Until when, by entry. */
  readonly #left = new Map<string, number>();
  /** Entries that are handed back while their workflow is read. */
  readonly #loading = new Set<string>();

  constructor(options: Options) {
    this.#o = options;
  }

  /** Entries that are remembered. */
  get size(): number {
    return this.#left.size;
  }

  /** Whether this one is for the others. */
  isLeft(entry: Entry): boolean {
    const name = nameOf(entry);
    return this.#loading.has(name) || this.#o.nowMs() < (this.#left.get(name) ?? -Infinity);
  }

  /**
   * Of a token that is handed back while its workflow is read: resolves to whether it can be. It is for
   * the others until then: met twice meanwhile, it would count as what nobody can read. Never fails.
   */
  async isReadable(token: ReadyToken, loading: Promise<unknown>): Promise<boolean> {
    const name = nameOf(token);
    this.#loading.add(name);
    try {
      await loading;
      return true;
    } catch (error) {
      await this.met(token, error);
      return false;
    } finally {
      this.#loading.delete(name);
    }
  }

  /** A token that was handed back because of this error. Never fails. */
  async met(token: ReadyToken, error: unknown): Promise<void> {
    const { logger, nowMs } = this.#o;
    const about = { err: error, run: token.runId, ir: token.irHash };
    const name = nameOf(token);
    if (this.#left.delete(name)) {
      await this.#park(token, error).catch((failed: unknown) => {
        logger.warn({ ...about, err: failed }, "run of an unreadable workflow not paused");
      });
      return;
    }
    if (this.#left.size >= LEFT_MAX) {
      const [oldest = ""] = this.#left.keys();
      this.#left.delete(oldest);
    }
    this.#left.set(name, nowMs() + LEFT_MS);
    logger.error(about, "workflow of token not readable here: left to other workers");
  }

  async #park(token: ReadyToken, error: unknown): Promise<void> {
    const { scripts, consumer, logger } = this.#o;
    const { runId } = token;
    const reason = error instanceof Error ? error.message : String(error);
    const note = { by: `worker ${consumer}`, why: `UNREADABLE_WORKFLOW: ${reason}` };
    const answer = await pauseRun(scripts, runId, "run", note);
    if (answer.kind === "gone" || (answer.kind === "refused" && ENDED.has(answer.status))) {
      quarantineToken(this.#o, token);
    } else if (answer.kind !== "refused") {
      logger.error({ run: runId, ir: token.irHash, reason }, "run paused: nobody can read it");
      await holdTokens(scripts, [token]);
    }
  }
}

function nameOf({ queueKey, entryId }: Entry): string {
  return `${queueKey} ${entryId}`;
}
