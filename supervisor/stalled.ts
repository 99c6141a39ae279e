/**
 * The watch over runs that stand still: says why, and puts back tokens that nobody holds.
 *
 * Each look is at the next hundred quiet runs by age, and the next look follows at once; after the
 * last run it rests and begins again. So runs that it cannot help keep it from none behind them, and
 * 100,000 that wait on purpose for no more than minutes.
 *
 * It never ends a run: a run may wait for a month on purpose. It repairs two things. An entry that
 * got lost, e.g. when a consumer was deleted together with what was pending for it (21 A14): putting
 * back what was not lost is harmless, the token's record lets one result through. And a run that
 * nothing will move because it is not what its journal says (set-right.ts).
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  commonQueueKey,
  connectionAt,
  executesNothing,
  HotState,
  packEntry,
  runEpoch,
  suspectRun,
  type EntryKind,
  type WaitAnswer,
  writeAnyway,
} from "../sdk/internal.ts";
import {
  FIRST_RUN,
  listPauses,
  livingWorkers,
  quietRuns,
  journalPages,
  stopOf,
  type RunRow,
  type WorkerRow,
} from "../sdk/postgres/index.ts";
import { Apart, byPartition, inTurn } from "./apart.ts";
import { Backlog } from "./audit/backlog.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { explainRun, type LostToken, type Reason } from "./explain.ts";
import { Loop } from "./loop.ts";
import { answerOf, kindAgain } from "./emitter.ts";
import { isUnexplained, setRight } from "./set-right.ts";

export interface StalledRun {
  runId: string;
  workflow: string;
  partition: number;
  sinceMs: number;
  reasons: Reason[];
}

const LOOK_MS = 30_000;
const STALLED_AFTER_MS = 300_000;
const RUNS_MAX = 100;
/** Runs told of one by one in one look. */
const TOLD_MAX = 10;
/** Runs of which it is remembered what was said; what is said of more is said in each round. */
const REMEMBERED_MAX = 10_000;
/** Between two explanations, so that a look at many runs does not hold Redis up. */
const PAUSE_MS = 5;
/** An audit waits for a moment before it looks again. */
const AUDITED_AT_ONCE = 50;

interface Found {
  row: RunRow;
  reasons: Reason[];
}

export class StalledWatch extends Loop {
  readonly #context: SupervisorContext;
  readonly #stalledAfterMs: number;
  readonly #apart = new Apart();
  #runs: StalledRun[] = [];
  /** The last run looked at. */
  #after = FIRST_RUN;
  /** What was said of each run in the last round, and in this one. */
  #told = new Map<string, string>();
  #telling = new Map<string, string>();

  constructor(context: SupervisorContext, stalledAfterMs = STALLED_AFTER_MS) {
    super({
      name: "stalled",
      logger: context.logger,
      step: async (signal) => {
        const hasMore = await this.look(signal);
        return hasMore ? 0 : Math.min(LOOK_MS, stalledAfterMs);
      },
    });
    this.#context = context;
    this.#stalledAfterMs = stalledAfterMs;
  }

  /** Runs that stood still at the last look (at most a hundred), with the reasons. */
  get runs(): readonly StalledRun[] {
    return this.#runs;
  }

  /** Looks at the next ones; returns whether there are more behind them. */
  async look(signal: AbortSignal): Promise<boolean> {
    const { db, clock } = this.#context;
    if (stopOf(await listPauses(db)) !== null) {
      this.#runs = [];
      return false; // nothing moves, and everybody has been told why
    }
    const sinceMs = clock.nowMs() - this.#stalledAfterMs;
    const rows = await quietRuns(db, sinceMs, RUNS_MAX, this.#after);
    const last = rows.length < RUNS_MAX ? undefined : rows.at(-1);
    this.#after = last ?? FIRST_RUN;
    const workers = await livingWorkers(db);
    const runs: StalledRun[] = [];
    const lookAt = async (list: RunRow[]): Promise<void> => {
      const found: Found[] = [];
      await inTurn(list, async (row) => {
        if (!signal.aborted) {
          found.push({ row, reasons: await this.#reasons(row, workers) });
          await delay(PAUSE_MS, undefined, { signal }).catch(() => undefined);
        }
      });
      runs.push(...found.map(({ row, reasons }) => stalledRun(row, reasons)));
      await this.#repair(found);
    };
    await this.#apart.run(byPartition(rows).map(([p, list]) => [p, () => lookAt(list)]));
    if (signal.aborted) {
      return false;
    }
    this.#tell(runs);
    this.#runs = runs;
    if (last === undefined) {
      this.#told = this.#telling;
      this.#telling = new Map();
    }
    return last !== undefined;
  }

  async #reasons(row: RunRow, workers: readonly WorkerRow[]): Promise<Reason[]> {
    const { redis, irs } = this.#context;
    const { id: runId, partition } = row;
    const irOf = async (hash: string) => (await irs.load([hash])).get(hash)?.ir ?? null;
    return (await explainRun({ redis, partition, runId, irOf, workers })).reasons;
  }

  /** `found`: runs of one partition. */
  async #repair(found: readonly Found[]): Promise<void> {
    const backlog = new Backlog(this.#context.redis, found[0]?.row.partition ?? 0);
    const stuck = found.filter(({ reasons }) => isUnexplained(reasons));
    for (let at = 0; at < stuck.length; at += AUDITED_AT_ONCE) {
      const some = stuck.slice(at, at + AUDITED_AT_ONCE);
      await Promise.all(
        some.map(async ({ row, reasons }) => {
          if (!(await setRight(this.#context, row, backlog))) {
            await this.#putBackLost(row, reasons);
          }
        }),
      );
    }
  }

  async #putBackLost({ id: runId, partition }: RunRow, reasons: readonly Reason[]): Promise<void> {
    const lost = reasons.filter((reason) => reason.kind === "lost_entry");
    const own = lost.filter(({ home }) => home === undefined);
    const state = own[0] === undefined ? null : await this.#journalled(own[0].token);
    for (const { token, entryId } of own) {
      const last = state === null ? null : lastActivation(token, state);
      await (last !== null && this.#putBack(token, entryId, last));
    }
    const inMap = lost.find(({ home }) => home !== undefined);
    if (inMap !== undefined) {
      // What its token waited for is told by the whole map: the run is rebuilt.
      const epoch = runEpoch(inMap.token.epoch);
      await suspectRun(scriptsOf(this.#context, partition), { runId, status: "running", epoch });
    }
  }

  /** Adds the token's entry anew, in place of the one that nobody holds. */
  async #putBack(token: LostToken, entryId: string | null, last: Activation): Promise<void> {
    const { redis, logger } = this.#context;
    const { queueKey, runId, epoch, node, irHash, record } = token;
    const arrivals = last.kind === "skip" ? "" : record.rest;
    const { scope, attempt } = record;
    const packed = packEntry({ runId, epoch, node, scope, attempt, irHash, arrivals, ...last });
    const gone = entryId === null ? [] : [["XDEL", queueKey, entryId]];
    const goesTo = executesNothing(last.kind, last.answer) ? commonQueueKey(queueKey) : queueKey;
    const commands = [["XADD", goesTo, "*", "t", packed], ...gone];
    await writeAnyway(connectionAt(redis, queueKey), commands);
    logger.warn({ run: runId, node, queueKey, entryId }, "a lost entry was put back");
  }

  /** The run as its archived journal has it; null: nobody knows its workflow. */
  async #journalled({ runId, irHash }: LostToken): Promise<HotState | null> {
    const ir = (await this.#context.irs.load([irHash])).get(irHash)?.ir;
    if (ir === undefined) {
      return null;
    }
    const state = new HotState(ir);
    for await (const page of journalPages(this.#context.db, runId)) {
      page.forEach(({ transition, t }) => state.apply(transition, t));
    }
    return state;
  }

  /** Logs what is new, a run or another reason: the first of them one by one. */
  #tell(runs: readonly StalledRun[]): void {
    const { logger } = this.#context;
    let count = 0;
    for (const { runId, workflow, reasons } of runs) {
      const kinds = reasons.map((reason) => `${reason.kind} ${reason.node ?? ""}`).join();
      const isNew = this.#told.get(runId) !== kinds;
      if (this.#telling.size < REMEMBERED_MAX) {
        this.#telling.set(runId, kinds);
      }
      if (isNew && (count += 1) <= TOLD_MAX) {
        const why = reasons.map(({ node, text }) => ({ node, text }));
        logger.warn({ run: runId, workflow, why }, "a run stands still");
      }
    }
    if (count > TOLD_MAX) {
      const more = count - TOLD_MAX;
      logger.warn({ runs: more }, 'more runs stand still: "gavotte why RUN" tells of each');
    }
  }
}

function stalledRun(row: RunRow, reasons: Reason[]): StalledRun {
  const { id: runId, workflow, partition, updatedAtMs: sinceMs } = row;
  return { runId, workflow, partition, sinceMs, reasons };
}

/** What an entry says of why its token is active. */
interface Activation {
  kind: EntryKind;
  payload: string;
  answer?: WaitAnswer | undefined;
}

/**
 * As what a token was last emitted, which its entry held and the journal tells: one that waited, or
 * that somebody settled by hand, goes on with that. Null: the archive has yet to come to it.
 */
function lastActivation({ node, record }: LostToken, state: HotState): Activation | null {
  if (record.state === "k") {
    return { kind: "skip", payload: record.rest };
  }
  if (record.state === "g") {
    const failure = state.maps.get(node)?.failure ?? null;
    return { kind: "gather", payload: failure === null ? "" : `=${JSON.stringify(failure)}` };
  }
  const hot = state.tokens.get(node);
  const isThis = hot?.state === "a" && hot.attempt === record.attempt && hot.scope === record.scope;
  return isThis ? { kind: kindAgain(hot), payload: answerOf(hot), answer: hot.answer } : null;
}
