/**
 * Tokens whose workflow this worker cannot read: it is of a version not known here, its text is
 * damaged, or it is stored nowhere that this worker can ask.
 *
 * While old workers run beside new ones, somebody else can read it: the entry is handed back and left
 * to the others, who look for stale ones all the time. Who meets the workflow again ten minutes later,
 * in an entry that nobody has taken for so long, knows that nobody there can. Then its run is paused,
 * with the reason, and the token waits with it until somebody resumes the run (`gavotte why` tells).
 * Nothing that cannot be read goes round for ever but what asks for a run's output: such a run cannot
 * be paused any more, and to fail it, perhaps for want of a newer worker, would undo all that its steps
 * have done. Its token is left to the others anew each ten minutes, and that is said as an error.
 *
 * Remembered are workflows and not entries, of which there may be any number. Whose an entry is stands
 * in it, so before stale ones are claimed they are read, while some workflow is unreadable here. For how
 * long nobody has taken one is told by Redis: what was claimed in vain is handed back with the idleness
 * that it had, so workers that begin meanwhile do not begin the ten minutes anew.
 */
import {
  holdTokens,
  isServerTrouble,
  parseEntry,
  pauseRun,
  type ReadyToken,
} from "../sdk/internal.ts";
import type { LaneOptions } from "./lane-options.ts";
import { quarantineToken } from "./quarantine.ts";
import type { StaleEntry } from "./stale.ts";

/** For so long an entry is left to others. */
export const LEFT_MS = 600_000;
/** Workflows remembered; entries of more than that are claimed by each look, until there is a place. */
export const WORKFLOWS_MAX = 10_000;

const ENDED = new Set(["completed", "failed", "cancelled"]);

type Options = Pick<
  LaneOptions,
  "redis" | "scripts" | "consumer" | "leaseMs" | "logger" | "nowMs" | "workflows"
>;
type Reply = [error: Error | null, entries: [id: string, fields: string[]][]];

export class Unreadable {
  readonly #o: Options;
  /** By hash; those that were seen last stand last. */
  readonly #left = new Map<string, { sinceMs: number; seenMs: number }>();
  /** Hashes of those that are being read, while entries are handed back. */
  readonly #loading = new Set<string>();

  constructor(options: Options) {
    this.#o = options;
  }

  /** Workflows that are remembered. */
  get size(): number {
    return this.#left.size;
  }

  /** Those of these stale entries that are not for the others. */
  async notLeft(entries: readonly StaleEntry[]): Promise<readonly StaleEntry[]> {
    if (entries.length === 0 || this.#left.size + this.#loading.size === 0) {
      return entries;
    }
    const pipeline = this.#o.redis.pipeline();
    for (const { queueKey, entryId } of entries) {
      pipeline.xrange(queueKey, entryId, entryId);
    }
    const replies = ((await pipeline.exec()) ?? []) as Reply[];
    return entries.filter(({ queueKey, entryId, idleMs }, i) => {
      const [error, found] = replies[i] ?? [new Error("no answer"), []];
      const [[, fields] = ["", []]] = error === null ? found : [];
      const token = parseEntry(queueKey, entryId, fields);
      // One that is gone, or no token, is not left: it is done away with.
      return error === null && (token === null || !this.#isLeft(token, idleMs));
    });
  }

  /**
   * Idleness with which a token is handed back that nobody had taken for `idleMs`: that, or as of now if
   * the ten minutes are over.
   */
  idleOf({ irHash }: ReadyToken, idleMs: number): number {
    return this.#isOver(irHash, idleMs) ? this.#o.leaseMs : Math.max(this.#o.leaseMs, idleMs);
  }

  /**
   * Of a token that is handed back while its workflow is read: resolves to whether it is to be looked
   * for soon. What names that workflow is for the others until then: met twice meanwhile, it would
   * count as what nobody can read. Who asks for the same one later is told no. Never fails.
   */
  async isReadable(token: ReadyToken, loading: Promise<unknown>, idleMs = 0): Promise<boolean> {
    const { irHash } = token;
    if (this.#loading.has(irHash)) {
      loading.catch(() => undefined);
      return false;
    }
    this.#loading.add(irHash);
    try {
      await loading;
      return true;
    } catch (error) {
      const isLater = isServerTrouble(error);
      void (isLater || (await this.met(token, error, idleMs)));
      return isLater;
    } finally {
      this.#loading.delete(irHash);
    }
  }

  /**
   * A token that was handed back because of this error, and that nobody had taken for `idleMs`. Never
   * fails.
   */
  async met(token: ReadyToken, error: unknown, idleMs = 0): Promise<void> {
    const { logger } = this.#o;
    const about = { err: error, run: token.runId, ir: token.irHash };
    if (this.#isOver(token.irHash, idleMs)) {
      await this.#park(token, error).catch((failed: unknown) => {
        logger.warn({ ...about, err: failed }, "run of an unreadable workflow not paused");
      });
    } else if (!this.#see(token.irHash)) {
      this.#remember(token.irHash);
      logger.error(about, "workflow of token not readable here: left to other workers");
    }
  }

  #isLeft({ irHash, queueKey }: ReadyToken, idleMs: number): boolean {
    if (this.#loading.has(irHash)) {
      return true;
    }
    if (this.#left.has(irHash) && this.#o.workflows.known(irHash, queueKey) !== undefined) {
      this.#left.delete(irHash); // stored or mended since
    }
    return this.#see(irHash) && !this.#isOver(irHash, idleMs);
  }

  /** Whether nobody there can read it: it is known, and an entry of it has lain, for so long. */
  #isOver(irHash: string, idleMs: number): boolean {
    const { nowMs, leaseMs } = this.#o;
    const { sinceMs } = this.#left.get(irHash) ?? { sinceMs: Infinity };
    return nowMs() - sinceMs >= LEFT_MS && idleMs >= leaseMs + LEFT_MS;
  }

  /** Whether it is remembered: then it is the one that was seen last. */
  #see(irHash: string): boolean {
    const known = this.#left.get(irHash);
    if (known === undefined) {
      return false;
    }
    this.#left.delete(irHash);
    this.#left.set(irHash, { sinceMs: known.sinceMs, seenMs: this.#o.nowMs() });
    return true;
  }

  /** In the place of those of which nothing is left, and of no other: else none would get its time. */
  #remember(irHash: string): void {
    const now = this.#o.nowMs();
    for (const [oldest, { seenMs }] of this.#left) {
      if (now - seenMs < LEFT_MS) {
        break;
      }
      this.#left.delete(oldest);
    }
    if (this.#left.size < WORKFLOWS_MAX) {
      this.#left.set(irHash, { sinceMs: now, seenMs: now });
    }
  }

  async #park(token: ReadyToken, error: unknown): Promise<void> {
    const { scripts, consumer, logger } = this.#o;
    const { runId } = token;
    const reason = error instanceof Error ? error.message : String(error);
    const note = { by: `worker ${consumer}`, why: `UNREADABLE_WORKFLOW: ${reason}` };
    const answer = await pauseRun(scripts, runId, "run", note);
    if (answer.kind === "gone" || (answer.kind === "refused" && ENDED.has(answer.status))) {
      await quarantineToken(this.#o, token);
    } else if (answer.kind === "refused") {
      const text = "run of a workflow that nobody can read is not paused: start a worker that can";
      logger.error({ run: runId, ir: token.irHash, status: answer.status, reason }, text);
    } else {
      logger.error({ run: runId, ir: token.irHash, reason }, "run paused: nobody can read it");
      await holdTokens(scripts, [token]);
    }
  }
}
