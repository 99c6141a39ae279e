/**
 * `POST /api/v1/callbacks/<token>`: what an outside service calls to answer a `wait`. The token is
 * the whole of its authority; it works once. The body is the payload, JSON. With an `Idempotency-Key`
 * the same call may be repeated.
 */
import type { IncomingMessage } from "node:http";
import { GavotteError } from "../sdk/internal.ts";
import { readJson } from "./body.ts";
import type { EngineClient } from "./engine-client.ts";
import { methodRefused, refusalOf, type Answer } from "./errors.ts";

export const CALLBACK_PATH = "/api/v1/callbacks/";
/** As of a signal's payload, with room for how it is written. */
const BODY_BYTES_MAX = 256 * 1024;

export class Callbacks {
  readonly #engine: EngineClient;

  constructor(engine: EngineClient) {
    this.#engine = engine;
  }

  /** Answers one request to `path`. Throws what nobody has foreseen. */
  async answer(request: IncomingMessage, path: string): Promise<Answer> {
    if (request.method !== "POST") {
      return methodRefused(`${CALLBACK_PATH}<token>`, ["POST"]);
    }
    try {
      const token = tokenIn(path);
      const payload = (await readJson(request, BODY_BYTES_MAX, "GV_SIGNAL_TOO_LARGE")) ?? null;
      const id = request.headers["idempotency-key"];
      const client = await this.#engine.get();
      const options = typeof id === "string" ? { id } : {};
      return { code: 200, body: await client.callback(token, payload, options) };
    } catch (error) {
      const told = refusalOf(error);
      if (told === null) {
        throw error;
      }
      return told;
    }
  }
}

function tokenIn(path: string): string {
  try {
    return decodeURIComponent(path.slice(CALLBACK_PATH.length));
  } catch (cause) {
    const message =
      "the token is no part of an address: take the callback's address as it was told";
    throw new GavotteError("GV_CALLBACK_UNKNOWN", message, { cause });
  }
}
