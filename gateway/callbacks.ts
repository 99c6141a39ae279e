/**
 * `POST /api/v1/callbacks/<token>`: what an outside service calls to answer a `wait`. The token is
 * the whole of its authority; it works once. The body is the payload, JSON. With an `Idempotency-Key`
 * the same call may be repeated.
 */
import type { IncomingMessage } from "node:http";
import type { Json } from "../compiler/ir.ts";
import { parseJson } from "../condition/json-text.ts";
import { createClient, type Client } from "../sdk/index.ts";
import { errorCode, GavotteError } from "../sdk/internal.ts";
import type { Database } from "../sdk/postgres/index.ts";

export const CALLBACK_PATH = "/api/v1/callbacks/";
/** As of a signal's payload, with room for how it is written. */
const BODY_BYTES_MAX = 256 * 1024;

export interface Answer {
  code: number;
  body: object;
  headers?: { [name: string]: string };
}

const STATUS: { [code: string]: number } = {
  GV_BAD_INPUT: 400,
  GV_CALLBACK_UNKNOWN: 404,
  GV_CALLBACK_USED: 409,
  GV_RUN_ENDED: 409,
  GV_SIGNAL_TOO_LARGE: 413,
};

export class Callbacks {
  readonly #stores: { redisUrl: string; database: Database };
  /** Made for the first callback; many a gateway sees none. */
  #client: Promise<Client> | null = null;

  constructor(redisUrl: string, database: Database) {
    this.#stores = { redisUrl, database };
  }

  /** Answers one request to `path`; never throws. */
  async answer(request: IncomingMessage, path: string): Promise<Answer> {
    if (request.method !== "POST") {
      const message = `${CALLBACK_PATH}<token> takes POST`;
      return { ...refusal(405, "GV_BAD_INPUT", message), headers: { allow: "POST" } };
    }
    try {
      const token = decodeURIComponent(path.slice(CALLBACK_PATH.length));
      const payload = await jsonBody(request);
      const id = request.headers["idempotency-key"];
      const client = await this.#connect();
      const options = typeof id === "string" ? { id } : {};
      return { code: 200, body: await client.callback(token, payload, options) };
    } catch (error) {
      const code = error instanceof URIError ? "GV_CALLBACK_UNKNOWN" : errorCode(error);
      const message = error instanceof Error ? error.message : String(error);
      return refusal(STATUS[code ?? ""] ?? 503, code ?? "GV_REDIS_UNAVAILABLE", message);
    }
  }

  async stop(): Promise<void> {
    await (await this.#client?.catch(() => null))?.close();
  }

  #connect(): Promise<Client> {
    this.#client ??= createClient(this.#stores).catch((error: unknown) => {
      this.#client = null;
      throw error;
    });
    return this.#client;
  }
}

function refusal(status: number, code: string, message: string): Answer {
  return { code: status, body: { error: { code, message } } };
}

/** The body's value; null for an empty one. Throws GV_BAD_INPUT, GV_SIGNAL_TOO_LARGE. */
async function jsonBody(request: IncomingMessage): Promise<Json> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes <= BODY_BYTES_MAX) {
      pieces.push(piece); // what is too much is read, so that the answer is heard, and not kept
    }
  }
  if (bytes > BODY_BYTES_MAX) {
    const message = `the body has ${bytes} bytes, at most ${BODY_BYTES_MAX} are taken`;
    throw new GavotteError("GV_SIGNAL_TOO_LARGE", message);
  }
  try {
    // Decoded leniently another value than was sent would answer the wait.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(pieces));
    return text === "" ? null : parseJson(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (error instanceof RangeError) throw new GavotteError("GV_BAD_INPUT", `the body has ${why}`);
    throw new GavotteError("GV_BAD_INPUT", `the body is not JSON in UTF-8: ${why}`);
  }
}
