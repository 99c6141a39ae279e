/**
 * `POST /api/v1/runs`: a submission through the queue, answered when the run's row is committed.
 *
 * How many are under way at one time is bounded: each is kept until it is answered, and when nobody
 * takes submissions in they would all be kept for as long as an answer is waited for.
 */
import { parseJson } from "../../condition/json-text.ts";
import type { Json, SubmissionRequest } from "../../sdk/index.ts";
import { GavotteError, type RunStatus } from "../../sdk/internal.ts";
import { readRun } from "../../sdk/postgres/index.ts";
import { passOn } from "../body.ts";
import type { EngineClient } from "../engine-client.ts";

export interface Accepted {
  run_id: string;
  status: RunStatus;
}

const UNDER_WAY_MAX = 1000;

export class Submissions {
  readonly #engine: EngineClient;
  readonly #max: number;
  #underWay = 0;

  /** `max`: how many are under way at one time, in tests otherwise. */
  constructor(engine: EngineClient, max = UNDER_WAY_MAX) {
    this.#engine = engine;
    this.#max = max;
  }

  /** Submits; resolves once the run is stored. Throws as `client.submit` does, GV_GATEWAY_BUSY. */
  async accept(body: SubmissionRequest, key: string | undefined): Promise<Accepted> {
    const request = withKey(body, key);
    if (this.#underWay >= this.#max) {
      const message = `${this.#max} submissions are under way at this gateway; try again later`;
      throw new GavotteError("GV_GATEWAY_BUSY", message);
    }
    this.#underWay++;
    try {
      return await this.#submit(request);
    } finally {
      this.#underWay--;
    }
  }

  async #submit(request: SubmissionRequest): Promise<Accepted> {
    const client = await this.#engine.get();
    const runId = await passOn(() => client.submit(request));
    const mayBeOlder = request.idempotency_key !== undefined || request.run_id !== undefined;
    // It is accepted, whether its row can be read again or not.
    const row = mayBeOlder ? await readRun(client.db, runId).catch(() => null) : null;
    return { run_id: runId, status: row?.status ?? "QUEUED" };
  }
}

/** What goes in the address with a file as the body. */
export type SubmitQuery = Pick<SubmissionRequest, "priority" | "tenant" | "run_id"> & {
  /** JSON text. */
  input?: string;
};

/** The submission that a body asks for: a document with all its members, or a file's text. */
export function requestOf(body: SubmissionRequest | string, query: SubmitQuery): SubmissionRequest {
  if (typeof body !== "string") {
    const [name] = Object.keys(query);
    if (name !== undefined) {
      const message = `${name} stands in the address: with a JSON body it is a member of that`;
      throw new GavotteError("GV_BAD_INPUT", message);
    }
    return body;
  }
  const { input: text, ...others } = query;
  return { workflow: body, ...others, ...(text === undefined ? {} : { input: inputOf(text) }) };
}

function inputOf(text: string): Json {
  try {
    return parseJson(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new GavotteError("GV_BAD_INPUT", `input in the address is not JSON: ${why}`);
  }
}

function withKey(body: SubmissionRequest, key: string | undefined): SubmissionRequest {
  if (key === undefined) {
    return body;
  }
  const { idempotency_key: inBody = key } = body;
  if (inBody !== key) {
    const message = "the header Idempotency-Key and idempotency_key in the body differ; give one";
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  return { ...body, idempotency_key: key };
}
