/** What REST tells about runs, and what is done to those under way: cancelled, signalled, paused. */
import { errorCode, errorIn, GavotteError, isTerminal } from "../../sdk/internal.ts";
import type { Json, RunReport, RunRow, RunSummary, SignalReceipt } from "../../sdk/index.ts";
import { readRun, type RunFilter } from "../../sdk/postgres/index.ts";
import { passOn } from "../body.ts";
import type { EngineClient } from "../engine-client.ts";
import type { EndWaits } from "./end-waits.ts";
import type { Accepted } from "./submissions.ts";

/** The query of the list, as its schema lets it through. */
export interface ListQuery {
  status?: RunRow["status"];
  business_status?: string;
  workflow?: string;
  tenant?: string;
  parent?: string;
  limit?: number;
  after?: string;
}

export interface Paused {
  run_id: string;
  paused: boolean;
}

const LIMIT = 20;
/** What stands between a client and here often gives up on an answer after a minute. */
const WAIT_MS_MAX = 60_000;
const WAIT_UNIT_MS: { readonly [unit: string]: number } = { ms: 1, s: 1000, m: 60_000 };
/** So long a cancel waits to be archived: then who asks next hears of it. */
const CANCELLED_MS_MAX = 5000;
const CURSOR = /^(\d{1,15})\.(.+)$/;

export class Runs {
  readonly #engine: EngineClient;
  readonly #waits: EndWaits;

  constructor(engine: EngineClient, waits: EndWaits) {
    this.#engine = engine;
    this.#waits = waits;
  }

  /** Throws GV_RUN_NOT_FOUND. */
  async report(runId: string): Promise<RunReport> {
    return (await this.#engine.get()).status(runId);
  }

  /**
   * The run's row, once it has ended or when the time is over. Throws GV_RUN_NOT_FOUND,
   * GV_GATEWAY_BUSY.
   */
  async result(runId: string, waitMs: number, signal: AbortSignal): Promise<RunRow> {
    const row = await this.#row(runId);
    if (isTerminal(row.status) || waitMs === 0) {
      return row;
    }
    await this.#waits.wait(runId, waitMs, signal);
    return this.#row(runId);
  }

  /** Cancels; its status, which is another for a moment if the archive is behind. */
  async cancel(runId: string, reason: string | undefined): Promise<Accepted> {
    const client = await this.#engine.get();
    await client.cancel(runId, reason);
    try {
      const { status } = await client.ended(runId, { timeoutMs: CANCELLED_MS_MAX });
      return { run_id: runId, status };
    } catch (error) {
      if (errorCode(error) !== "GV_AWAIT_TIMED_OUT") {
        throw error;
      }
      return { run_id: runId, status: (await this.#row(runId)).status };
    }
  }

  /** Sends a signal; with the same `id` a repeated call is the same one. Throws as `client.signal`. */
  async signal(
    runId: string,
    name: string,
    payload: Json,
    id: string | undefined,
  ): Promise<SignalReceipt> {
    const client = await this.#engine.get();
    return passOn(() => client.signal(runId, name, payload, id === undefined ? {} : { id }));
  }

  /** Pauses or resumes: when it is told, it is so. Throws GV_RUN_NOT_FOUND, GV_RUN_STATUS_REFUSED. */
  async pause(runId: string, paused: boolean, why: string | undefined): Promise<Paused> {
    const { operations } = await this.#engine.get();
    const note = why === undefined ? {} : { why };
    await (paused ? operations.pause(runId, note) : operations.resume(runId, note));
    return { run_id: runId, paused };
  }

  /** A page, newest first. */
  async list(query: ListQuery): Promise<{ runs: RunSummary[]; next: string | null }> {
    const filter = filterOf(query);
    const runs = await (await this.#engine.get()).runs(filter);
    const last = runs.length < filter.limit ? undefined : runs.at(-1);
    const next = last === undefined ? null : `${Date.parse(last.created_at)}.${last.run_id}`;
    return { runs, next };
  }

  async #row(runId: string): Promise<RunRow> {
    const row = await readRun((await this.#engine.get()).db, runId);
    if (row === null) {
      const message = `there is no run ${runId}; GET /api/v1/runs lists those there are`;
      throw new GavotteError("GV_RUN_NOT_FOUND", message);
    }
    return row;
  }
}

/** How long a request wants to wait, in ms. */
export function waitMsOf(text = "0"): number {
  const [, digits = "0", unit = "s"] = /^(\d+)(ms|s|m)?$/.exec(text) ?? [];
  return Math.min(Number(digits) * (WAIT_UNIT_MS[unit] ?? 0), WAIT_MS_MAX);
}

/** The result of a run that has ended, as JSON text: its output is one already, and may be large. */
export function resultText({ id, status, output, error }: RunRow): string {
  const head = JSON.stringify({ run_id: id, status }).slice(0, -1);
  return `${head},"output":${output ?? "null"},"error":${JSON.stringify(errorIn(error))}}`;
}

function filterOf(query: ListQuery): RunFilter {
  const { business_status: businessStatus, limit = LIMIT, after, ...same } = query;
  const filter = { ...same, limit, ...(businessStatus === undefined ? {} : { businessStatus }) };
  if (after === undefined) {
    return filter;
  }
  const [, ms, beforeId] = CURSOR.exec(after) ?? [];
  if (ms === undefined || beforeId === undefined) {
    const message = 'after is "next" of the page before, as it was told';
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  return { ...filter, beforeMs: Number(ms), beforeId };
}
