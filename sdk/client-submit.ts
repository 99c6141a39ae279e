/**
 * Submissions and their answers.
 *
 * A client has a stream of answers of its own and reads it with a connection of its own, as long as
 * an answer is awaited. An answer may be read before the XADD that it belongs to has returned its
 * entry's id, so those that nobody awaits yet are kept while additions are under way.
 */
import type { Redis } from "ioredis";
import { uuidv7 } from "uuidv7";
import type { Json, Priority } from "../compiler/ir.ts";
import type { WorkflowFile } from "./define-workflow.ts";
import { GavotteError, ERRORS, type ErrorCode } from "./errors.ts";
import { assertKept } from "./given.ts";
import { globalKeys } from "./keys.ts";

/** What is asked of the intake: exactly one of `workflow`, `workflow_ref` and `hash`. */
export interface SubmissionRequest {
  /** The workflow itself: as a document, or as the text of a file, JSON or YAML. */
  workflow?: WorkflowFile | { [key: string]: Json } | string;
  /** `name` or `name@version` of a workflow that was submitted before. */
  workflow_ref?: string;
  /** Hash of a workflow that was submitted before. */
  hash?: string;
  input?: Json;
  /** The same key (per tenant) with the same payload is the same run. */
  idempotency_key?: string;
  /** A UUID, best of version 7; made up if absent. */
  run_id?: string;
  priority?: Priority;
  tenant?: string;
  /** Begin at these nodes instead of the entries; refused (GV_START_REFUSED) if they lack anything. */
  start_at?: readonly string[];
  /** With `start_at`: outputs of nodes that do not run, by id. */
  outputs?: { [node: string]: Json };
  /** With `start_at`: inputs of nodes that begin, in place of what the outputs before them make. */
  inputs?: { [node: string]: Json };
  /** Only workers of that namespace execute the run; `blue` and `ns:blue:` are the same. */
  namespace?: string;
}

export interface SubmissionProblem {
  code: string;
  message: string;
  path?: string;
  /** Of a workflow that was sent as a file's text: where in it, both from 1. */
  line?: number;
  column?: number;
}

interface Reply {
  submission_id: string;
  run_id: string | null;
  status: "accepted" | "rejected";
  errors?: SubmissionProblem[];
}

interface Waiting {
  hear: (reply: Reply) => void;
  /** Tells that the client is closed. */
  close: () => void;
}

const BLOCK_MS = 1000;
const READ_MAX = 100;

export class Submitter {
  readonly #commands: Redis;
  readonly #openReader: (at: string) => Promise<Redis>;
  readonly #timeoutMs: number;
  readonly #stream: string;
  readonly #waiting = new Map<string, Waiting>();
  readonly #early = new Map<string, Reply>();
  #adding = 0;
  #isClosed = false;
  #lastId = "0-0";
  #reading: Promise<void> | null = null;
  #reader: Redis | null = null;

  constructor(options: {
    commands: Redis;
    /** A connection that may block, to where the key `at` lies. */
    openReader: (at: string) => Promise<Redis>;
    timeoutMs: number;
  }) {
    this.#commands = options.commands;
    this.#openReader = options.openReader;
    this.#timeoutMs = options.timeoutMs;
    this.#stream = globalKeys.repliesOf(uuidv7());
  }

  /** Resolves with the run's id once it is stored. Throws what the answer says, or none in time. */
  async submit(request: SubmissionRequest, signal?: AbortSignal): Promise<string> {
    signal?.throwIfAborted();
    const runId = request.run_id ?? uuidv7();
    const submission = { ...request, run_id: runId, reply_to: this.#stream };
    const text = JSON.stringify(submission);
    assertKept(submission, text);
    const entryId = await this.#add(text);
    // The first of those that share a key gives the run its id, and this need not be the first.
    const told = request.run_id ?? (request.idempotency_key === undefined ? runId : null);
    const reply = await this.#await(entryId, told, signal);
    if (reply.status === "accepted" && reply.run_id !== null) {
      return reply.run_id;
    }
    throw rejection(reply.errors ?? [], entryId);
  }

  /** Who waits for an answer is told. */
  close(): void {
    this.#isClosed = true;
    [...this.#waiting.values()].forEach((one) => one.close());
    this.#reader?.disconnect();
  }

  async #add(text: string): Promise<string> {
    this.#adding++;
    try {
      return (await this.#commands.xadd(globalKeys.submissions, "*", "submission", text)) ?? "";
    } catch (error) {
      throw error instanceof Error && error.message.startsWith("OOM") ? full(error) : error;
    } finally {
      this.#adding--;
    }
  }

  #await(entryId: string, told: string | null, signal?: AbortSignal): Promise<Reply> {
    const early = this.#early.get(entryId);
    if (early !== undefined) {
      this.#early.delete(entryId);
      return Promise.resolve(early);
    }
    return new Promise<Reply>((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(entryId);
        signal?.removeEventListener("abort", aborted);
      };
      const fail = (error: Error): void => {
        end();
        reject(error);
      };
      const aborted = (): void => fail(signal?.reason as Error);
      const ms = this.#timeoutMs;
      const timer = setTimeout(() => fail(noAnswer(ms, entryId, told)), ms);
      const hear = (reply: Reply): void => {
        end();
        resolve(reply);
      };
      const close = (): void => fail(closed(entryId, told));
      this.#waiting.set(entryId, { hear, close });
      signal?.addEventListener("abort", aborted);
      if (signal?.aborted === true) {
        aborted();
      }
      if (this.#isClosed) {
        close();
        return;
      }
      this.#reading ??= this.#read().finally(() => (this.#reading = null));
    });
  }

  /** Reads answers while any is awaited. */
  async #read(): Promise<void> {
    try {
      this.#reader ??= await this.#openReader(this.#stream);
      while (this.#waiting.size > 0) {
        const from = ["STREAMS", this.#stream, this.#lastId] as const;
        const read = await this.#reader.xread("COUNT", READ_MAX, "BLOCK", BLOCK_MS, ...from);
        read?.[0]?.[1].forEach(([id, fields]) => this.#hear(id, fields));
      }
      if (this.#isClosed) {
        this.#reader.disconnect(); // opened meanwhile
      }
    } catch {
      // The connection is gone: who waits gets no answer in time, which is what is told then.
      this.#reader?.disconnect();
      this.#reader = null;
    }
  }

  #hear(id: string, fields: readonly string[]): void {
    this.#lastId = id;
    const reply = JSON.parse(fields[1] ?? "{}") as Reply;
    const heard = this.#waiting.get(reply.submission_id);
    if (heard !== undefined) {
      heard.hear(reply);
    } else if (this.#adding > 0) {
      this.#early.set(reply.submission_id, reply);
    }
    if (this.#adding === 0) {
      this.#early.clear();
    }
  }
}

function full(cause: Error): GavotteError {
  const message =
    "Redis has no memory left and takes no submissions; nothing was submitted: try again later";
  return new GavotteError("GV_REDIS_FULL", message, { cause });
}

/** `runId` null: another submission may have given the run its id. */
function noAnswer(timeoutMs: number, entryId: string, runId: string | null): GavotteError {
  const message =
    `no supervisor answered within ${timeoutMs} ms: none runs, one has just died, or ` +
    `Postgres is away ("gavotte doctor" says which); the submission stays queued (${entryId}) and ` +
    becomes(runId);
  const ids = { submission_id: entryId, ...(runId === null ? {} : { run_id: runId }) };
  return new GavotteError("GV_INTAKE_UNAVAILABLE", message, { details: ids });
}

/** Without a code: the client says of what fails so that it was closed. */
function closed(entryId: string, runId: string | null): Error {
  return new Error(`no answer came before; the submission (${entryId}) ${becomes(runId)}`);
}

function becomes(runId: string | null): string {
  return runId === null
    ? "is taken in later; submit it again with the same idempotency key to hear the run's id"
    : `becomes run ${runId} later`;
}

function rejection(errors: readonly SubmissionProblem[], entryId: string): GavotteError {
  const first = errors[0];
  const known = first !== undefined && first.code in ERRORS;
  const code = known ? (first.code as ErrorCode) : "GV_WORKFLOW_INVALID";
  const lines = errors.map(({ code, message, path, line, column }) => {
    // Some messages begin with their place.
    const isTold = path === undefined || path === "" || message.startsWith(path);
    const at = line === undefined ? "" : `line ${line}, column ${column ?? 1}: `;
    const where = isTold ? "" : ` (${at}${path})`;
    return `${code}: ${message}${where}`;
  });
  return new GavotteError(
    code,
    `the submission was rejected: ${lines.join("; ") || "no reason given"}`,
    { details: { errors, submission_id: entryId } },
  );
}
