/**
 * Who may call REST and the live feed: whoever has one of the gateway's keys. Health checks and
 * callbacks ask for none: the first tell nothing, the others carry tokens of their own.
 *
 * Without keys REST is for programs of the gateway's own machine, so it is served on a loopback address
 * only. There a browser is a way in for strangers: a page may have a name that leads to this machine,
 * and what it asks comes from here. So the name that was asked for, and the page's own, must be of this
 * machine, too.
 *
 * All keys are alike. Tokens that say who calls, roles and tenants are none of this.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { refusal, type Answer } from "./errors.ts";

const LOOPBACK = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[?::1\]?)$/;
const KEY_REMEDY =
  "send one of the gateway's keys: Authorization: Bearer KEY (the command line: GAVOTTE_API_KEY)";
const NONE_SET =
  "this gateway has no keys, so REST is served to programs of its own machine only: " +
  "set GAVOTTE_API_KEYS for it, and send one of them as Authorization: Bearer KEY";

export class Access {
  /** Only what they hash to is kept and compared: as long for each, and in the same time. */
  readonly #keys: readonly Buffer[];
  readonly #isOfThisMachine: boolean;

  constructor(keys: readonly string[], host: string) {
    this.#keys = keys.map(hashOf);
    this.#isOfThisMachine = LOOPBACK.test(host);
  }

  /** Why a request to REST is refused; null: it is not. */
  rest({ headers }: IncomingMessage): Answer | null {
    if (this.#keys.length > 0) {
      return this.#withKey(headers.authorization);
    }
    const { host, origin } = headers;
    const isHere =
      this.#isOfThisMachine &&
      (host === undefined || isLocal(`http://${host}`)) &&
      (origin === undefined || isLocal(origin));
    return isHere ? null : refusal("GV_KEYS_MISSING", NONE_SET);
  }

  /** Why a connection to the live feed is; without keys everybody who reaches it hears it. */
  feed({ headers }: IncomingMessage): Answer | null {
    return this.#keys.length > 0 ? this.#withKey(headers.authorization) : null;
  }

  #withKey(authorization: string | undefined): Answer | null {
    const [, key] = /^Bearer +(\S+) *$/i.exec(authorization ?? "") ?? [];
    if (key === undefined) {
      return refused(`no key came with this call: ${KEY_REMEDY}`);
    }
    const hash = hashOf(key);
    // All of them, also behind the one that fits: the time tells nothing.
    const fitting = this.#keys.filter((known) => timingSafeEqual(known, hash));
    return fitting.length > 0 ? null : refused(`this key is none of the gateway's: ${KEY_REMEDY}`);
  }
}

function hashOf(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}

function isLocal(address: string): boolean {
  return URL.canParse(address) && LOOPBACK.test(new URL(address).hostname);
}

function refused(message: string): Answer {
  return { ...refusal("GV_KEY_REFUSED", message), headers: { "www-authenticate": "Bearer" } };
}
