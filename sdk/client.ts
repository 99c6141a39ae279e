/**
 * The client: submits runs, waits for them, asks about them, cancels them. What it tells comes from
 * Postgres; Redis is asked only to submit and to cancel.
 */
import type { Redis } from "ioredis";
import type { Ir, Json } from "../compiler/ir.ts";
import { awaitStatus, type AwaitStatusOptions } from "./await-status.ts";
import { decide, findApprovals, type Approval, type DecisionReceipt } from "./client-approvals.ts";
import { sendCallback, type CallbackReceipt } from "./client-callbacks.ts";
import { cancelWhereItIs, type CancelClient } from "./client-cancel.ts";
import { ClientDeployment } from "./client-deployment.ts";
import { ClientGate, notFound } from "./client-ends.ts";
import { followRun, type Followed } from "./client-follow.ts";
import type { ClientOptions, FollowOptions, WaitOptions } from "./client-options.ts";
import { summaryOf, type RunReport, type RunSummary } from "./client-report.ts";
import { sendSignal, type SignalReceipt } from "./client-signals.ts";
import { Submitter, type SubmissionRequest } from "./client-submit.ts";
import { CircuitControl } from "./circuits.ts";
import { systemClock } from "./clock.ts";
import { DeadLetters } from "./dead-letters.ts";
import { Dispatch } from "./dispatch.ts";
import type { RunView } from "./fold.ts";
import { Operations } from "./operations.ts";
import { pause } from "./pause.ts";
import {
  connectPostgres,
  listDeadLetters,
  listRuns,
  type ApprovalState,
  type Database,
  type DeadLetter,
  type DeadLetterFilter,
  type ListedLetter,
  type RunFilter,
  type RunRow,
} from "./postgres/index.ts";
import { openRedis } from "./redis/open-redis.ts";
import type { Hop } from "./run-path.ts";
import { RunReader } from "./run-reader.ts";
import { isTerminal, type RunStatus } from "./status.ts";

export type { AwaitStatusOptions } from "./await-status.ts";
export type { Approval, DecisionReceipt } from "./client-approvals.ts";
export type { CallbackReceipt } from "./client-callbacks.ts";
export type { ClientOptions, FollowOptions, WaitOptions } from "./client-options.ts";
export type { SignalReceipt } from "./client-signals.ts";
export type { SubmissionRequest } from "./client-submit.ts";
export type { BulkFilter, SettledLetter } from "./dead-letters.ts";
export type { NodeOrder } from "./operations.ts";
export type { RedriveResult } from "./redrive-run.ts";
export type { RedriveWish } from "./redrive.ts";

const SUBMIT_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 5000;
const APPROVALS_LIMIT = 100;

/** Makes a client and connects it. Throws GV_REDIS_UNAVAILABLE. */
export async function createClient(options: ClientOptions): Promise<Client> {
  const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  // Nobody waits for ever for a client's answer, also when Redis goes away in the middle.
  const commandTimeout = options.submitTimeoutMs ?? SUBMIT_TIMEOUT_MS;
  const commands = await openRedis(options.redisUrl, "client", timeoutMs, { commandTimeout });
  return new Client(options, commands);
}

export class Client {
  readonly redis: Redis;
  readonly db: Database;
  /** What can be done to runs, workflows and queues that are under way. */
  readonly operations: Operations;
  /** Stopping and resuming the whole deployment. */
  readonly dispatch: Dispatch;
  /** Circuit breakers by hand. */
  readonly circuits: CircuitControl;
  /** What is done about dead letters. */
  readonly letters: DeadLetters;
  readonly #ownsDb: boolean;
  readonly #gate = new ClientGate();
  readonly #submitter: Submitter;
  /** What the parts of a client, each in a file of its own, need of one another. */
  readonly #parts: CancelClient;
  readonly #pair: ClientDeployment;

  /** Use `createClient`. */
  constructor(options: ClientOptions, commands: Redis) {
    const { database, redisUrl, submitTimeoutMs = SUBMIT_TIMEOUT_MS } = options;
    this.redis = commands;
    this.#ownsDb = !("query" in database);
    this.db = "query" in database ? database : connectPostgres({ name: "client", ...database });
    const { redis, db } = this;
    const deployment = (): Promise<{ id: string; partitions: number }> => this.deployment();
    const irOf = (hash: string): Promise<Ir> => this.irOf(hash);
    const patience = { patienceMs: submitTimeoutMs, pause: (ms: number) => pause(ms) };
    const clock = options.clock ?? systemClock;
    this.#pair = new ClientDeployment({ redis, db });
    const gate = this.#gate;
    this.circuits = gate.guarded(new CircuitControl({ redis, db, clock }));
    this.dispatch = gate.guarded(new Dispatch({ redis, db, clock, deployment }));
    const operations = new Operations({ redis, db, clock, deployment, irOf, ...patience });
    this.operations = gate.guarded(operations);
    const runs = new RunReader({ db, gate, dispatch: this.dispatch });
    this.#parts = {
      ...{ db, clock, ...patience, gate, runs, irOf },
      scriptsOf: (runId) => this.operations.scripts(runId),
    };
    const submit = (request: SubmissionRequest): Promise<string> => this.submit(request);
    this.letters = gate.guarded(new DeadLetters({ db, clock, submit, operations }));
    this.#submitter = new Submitter({
      commands,
      openReader: (at) => openRedis(redisUrl, "client:replies", submitTimeoutMs, { at }),
      timeoutMs: submitTimeoutMs,
    });
  }

  /**
   * Submits a run and resolves with its id once it is stored. Throws GV_INTAKE_UNAVAILABLE when no
   * supervisor answers, GV_PARTITION_MISMATCH when Redis and database do not belong together, else what
   * is wrong with the submission.
   */
  submit(request: SubmissionRequest, options: { signal?: AbortSignal } = {}): Promise<string> {
    return this.#gate.pass(async () => {
      await this.#pair.assertPair();
      return this.#submitter.submit(request, options.signal);
    });
  }

  /** Waits until a run has ended, and tells what became of it. Throws as `ended` does. */
  async wait(runId: string, options: WaitOptions = {}): Promise<RunReport> {
    await this.ended(runId, options);
    return this.status(runId);
  }

  /**
   * The run's row once it has ended, its output and error as JSON text: for who waits for many and needs
   * no node. Throws GV_RUN_NOT_FOUND, GV_AWAIT_TIMED_OUT.
   */
  async ended(runId: string, options: WaitOptions = {}): Promise<RunRow> {
    for await (const { row } of this.follow(runId, options)) {
      if (isTerminal(row.status)) {
        return row;
      }
    }
    throw notFound(runId);
  }

  /**
   * The status, of those asked for, that a run has or comes to; heard over the gateway's live feed, so
   * that none is missed. Throws GV_STATUS_UNREACHABLE as soon as the run has ended otherwise,
   * GV_AWAIT_TIMED_OUT, GV_RUN_NOT_FOUND, GV_GATEWAY_UNAVAILABLE.
   */
  awaitStatus(runId: string, options: AwaitStatusOptions): Promise<RunStatus> {
    return this.#gate.pass(() => awaitStatus(this.db, runId, options), runId);
  }

  /**
   * The run's journal as it grows, from its beginning or after a position; the last thing yielded
   * has a terminal row and whatever was still missing. Throws GV_RUN_NOT_FOUND, GV_AWAIT_TIMED_OUT.
   */
  follow(runId: string, options: FollowOptions = {}): AsyncGenerator<Followed> {
    return followRun(this.#parts, runId, options);
  }

  /** A run's nodes with their times, as of what is archived. Throws GV_RUN_NOT_FOUND. */
  view(runId: string): Promise<RunView> {
    return this.#parts.runs.view(runId);
  }

  /** The way its tokens took, as of what is archived. Throws GV_RUN_NOT_FOUND. */
  path(runId: string): Promise<Hop[]> {
    return this.#parts.runs.path(runId);
  }

  /** All that is known of a run, as of what is archived. Throws GV_RUN_NOT_FOUND. */
  status(runId: string): Promise<RunReport> {
    return this.#parts.runs.status(runId);
  }

  /** Runs, newest first. */
  async runs(filter: RunFilter): Promise<RunSummary[]> {
    return (await this.#gate.pass(() => listRuns(this.db, filter))).map(summaryOf);
  }

  /**
   * Cancels a run: nothing of it starts any more, what is executing is told. One that could not be
   * repaired, or woken, ends where it is. Throws GV_RUN_NOT_FOUND, GV_RUN_ENDED if it completed or
   * failed before, GV_RUN_NOT_READY if it is asleep and nobody wakes it, or to be repaired and nobody
   * does.
   */
  cancel(runId: string, reason = "cancelled by a user"): Promise<void> {
    return cancelWhereItIs(this.#parts, runId, reason);
  }

  /**
   * Sends a signal to a run: to the oldest node that waits for it, else it is kept for the next that
   * does. `id` makes a repeated call the same signal; without it each call is a new one. Throws
   * GV_RUN_NOT_FOUND, GV_RUN_ENDED, GV_RUN_NOT_READY, GV_SIGNAL_UNKNOWN, GV_SIGNALS_FULL,
   * GV_SIGNAL_TOO_LARGE, GV_BAD_INPUT if the payload does not fit the schema of any such node.
   */
  signal(
    runId: string,
    name: string,
    payload: Json = null,
    options: { id?: string } = {},
  ): Promise<SignalReceipt> {
    const send = () => sendSignal(this.#parts, runId, name, payload, options.id);
    return this.#gate.pass(send, runId);
  }

  /**
   * Answers the one `wait` that this callback token belongs to, once; with the same `id` a repeated
   * call is the same one. Throws GV_CALLBACK_UNKNOWN, GV_CALLBACK_USED, GV_RUN_ENDED, GV_BAD_INPUT.
   */
  callback(
    token: string,
    payload: Json = null,
    options: { id?: string } = {},
  ): Promise<CallbackReceipt> {
    return this.#gate.pass(() => sendCallback(this.#parts, token, payload, options.id));
  }

  /** What people are asked, newest first; `assignee`: only what this person may decide. */
  approvals(
    filter: { state?: ApprovalState; assignee?: string; runId?: string; limit?: number } = {},
  ): Promise<Approval[]> {
    const all = { limit: APPROVALS_LIMIT, ...filter };
    return this.#gate.pass(() => findApprovals(this.#parts, all));
  }

  /**
   * One person's decision on an approval. Whether `actor` is who he says is for the caller to know.
   * Throws GV_APPROVAL_NOT_FOUND, GV_APPROVAL_CLOSED, GV_APPROVAL_FORBIDDEN, GV_APPROVAL_DECIDED,
   * GV_RUN_ENDED, GV_BAD_INPUT if the data does not fit the form.
   */
  decide(
    approvalId: string,
    decision: { approved: boolean; actor: string; data?: Json },
  ): Promise<DecisionReceipt> {
    return this.#gate.pass(() => decide(this.#parts, approvalId, decision));
  }

  /** Dead letters, newest first. */
  deadLetters(filter: DeadLetterFilter): Promise<ListedLetter[]> {
    return this.#gate.pass(() => listDeadLetters(this.db, filter));
  }

  /** One letter. Throws GV_DEAD_LETTER_NOT_FOUND. */
  deadLetter(id: string): Promise<DeadLetter> {
    return this.letters.read(id);
  }

  /**
   * The deployment that this Redis belongs to. Waits up to `waitMs` for a first supervisor; throws
   * GV_INTAKE_UNAVAILABLE when there was none. On a cluster one server may be away, or back without
   * what it had; then the database says it, and scripts refuse whoever belongs to another deployment.
   */
  async deployment(waitMs = 0): Promise<{ id: string; partitions: number }> {
    this.#gate.assertOpen();
    return this.#pair.find(waitMs);
  }

  /** A compiled workflow by its hash. Throws GV_WORKFLOW_NOT_FOUND. */
  irOf(hash: string): Promise<Ir> {
    return this.#parts.runs.irOf(hash);
  }

  /** Closes what it opened; a shared database stays open. */
  async close(): Promise<void> {
    if (!this.#gate.close()) {
      return;
    }
    this.#submitter.close();
    this.redis.disconnect();
    if (this.#ownsDb) {
      await this.db.close();
    }
  }
}
