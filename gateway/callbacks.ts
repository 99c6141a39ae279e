/**
 * `POST /api/v1/callbacks/<token>`: what an outside service calls to answer a `wait`. The token is
 * the whole of its authority; it works once. The body is the payload, JSON. With an `Idempotency-Key`
 * the same call may be repeated.
 *
 * Whoever reaches the port may call, and that a token is nobody's is known when the engine has been
 * asked: so what all of them may take, in memory and of the engine, is bounded.
 */
import type { IncomingMessage } from "node:http";
import type { Json } from "../compiler/ir.ts";
import { GavotteError } from "../sdk/internal.ts";
import { passOn, readJson, Room } from "./body.ts";
import type { EngineClient } from "./engine-client.ts";
import { methodRefused, refusalOf, type Answer } from "./errors.ts";

export const CALLBACK_PATH = "/api/v1/callbacks/";
/** As of a signal's payload, with room for how it is written. */
const BODY_BYTES_MAX = 256 * 1024;
/** What bodies may take that have not come as a whole. */
const ROOM_BYTES = 64 * 1024 * 1024;
/** Calls that the engine is asked for at one time: no more are kept when it is slow, or away. */
const UNDER_WAY_MAX = 1000;

export class Callbacks {
  readonly #engine: EngineClient;
  readonly #room = new Room(ROOM_BYTES);
  readonly #max: number;
  #underWay = 0;

  /** `max`: how many are under way at one time, in tests otherwise. */
  constructor(engine: EngineClient, max = UNDER_WAY_MAX) {
    this.#engine = engine;
    this.#max = max;
  }

  /** Answers one request to `path`. Throws what nobody has foreseen. */
  async answer(request: IncomingMessage, path: string): Promise<Answer> {
    if (request.method !== "POST") {
      return methodRefused(`${CALLBACK_PATH}<token>`, ["POST"]);
    }
    try {
      const token = tokenIn(path);
      const body = await readJson(request, BODY_BYTES_MAX, "GV_SIGNAL_TOO_LARGE", this.#room);
      const id = request.headers["idempotency-key"];
      const options = typeof id === "string" ? { id } : {};
      return { code: 200, body: await this.#call(token, body ?? null, options) };
    } catch (error) {
      const told = refusalOf(error);
      if (told === null) {
        throw error;
      }
      return told;
    }
  }

  async #call(token: string, payload: Json, options: { id?: string }): Promise<object> {
    if (this.#underWay >= this.#max) {
      const message = `${this.#max} callbacks are under way at this gateway; try again later`;
      throw new GavotteError("GV_GATEWAY_BUSY", message);
    }
    this.#underWay++;
    try {
      const client = await this.#engine.get();
      return await passOn(() => client.callback(token, payload, options));
    } finally {
      this.#underWay--;
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
