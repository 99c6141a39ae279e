/**
 * A client's answer to a `wait`, by its token. A token is used once: the same id again is the same
 * answer, another one is refused.
 */
import { uuidv7 } from "uuidv7";
import type { Json } from "../compiler/ir.ts";
import {
  assertSize,
  assertText,
  badInput,
  patiently,
  tooLarge,
  waitsForNothing,
  type WaitClient,
} from "./client-waits.ts";
import { GavotteError } from "./errors.ts";
import { callbackWait, readWait } from "./redis/wait-scripts.ts";
import { tookCallback, wasGiven } from "./repeated-answers.ts";
import { misfit } from "./schema-check.ts";
import { parseWaitToken } from "./waits.ts";

export interface CallbackReceipt {
  run_id: string;
  outcome: "delivered" | "repeated";
}

/** See Client.callback. */
export async function sendCallback(
  client: WaitClient,
  token: string,
  data: Json,
  id: string = uuidv7(),
): Promise<CallbackReceipt> {
  const at = parseWaitToken(token);
  if (at === null) {
    throw unknownToken(token);
  }
  assertText("the callback's id", id);
  assertSize({ kind: "callback", id, data });
  const scripts = await client.scriptsOf(at.runId);
  const outcome = await patiently(client, at.runId, async () => {
    const wait = await readWait(scripts, at);
    assertFits("the payload", wait?.schema, data);
    return callbackWait(scripts, at, { id, data });
  });
  switch (outcome) {
    case "done":
    case "repeated":
      return { run_id: at.runId, outcome: outcome === "done" ? "delivered" : "repeated" };
    case "other_kind":
    case "unknown":
      throw unknownToken(token);
    case "too_large":
      throw tooLarge();
    case "ended":
      if (await tookCallback(client, at, id)) {
        return { run_id: at.runId, outcome: "repeated" };
      }
      throw waitsForNothing(at.runId);
    default:
      if ((await wasGiven(client, scripts, at)) === false) {
        throw unknownToken(token);
      }
      throw new GavotteError(
        "GV_CALLBACK_USED",
        `callback token ${token} was used before, or what it belonged to is over`,
      );
  }
}

function assertFits(what: string, schema: Json | undefined, data: Json): void {
  const wrong = misfit(schema, data);
  if (wrong !== null) {
    throw badInput(`${what} does not fit its schema: ${wrong}`);
  }
}

function unknownToken(token: string): GavotteError {
  const message = `"${token}" is no callback token; "gavotte status RUN" shows those of a run`;
  return new GavotteError("GV_CALLBACK_UNKNOWN", message);
}
