/** Typed call of `answer_submissions`. */
import { globalKeys } from "../keys.ts";
import type { ScriptRunner } from "./script-runner.ts";

/** Answers that a stream keeps, about. */
const REPLIES_MAX = 10_000;
/** How long a client's own stream of answers is kept after the last. */
const REPLIES_SECONDS = 3600;

/** Puts answers (JSON texts) on a stream of answers: one entry each, in order. */
export async function answerSubmissions(
  scripts: ScriptRunner,
  replyTo: string,
  answers: readonly string[],
): Promise<void> {
  const seconds = replyTo === globalKeys.replies ? 0 : REPLIES_SECONDS;
  const args = [REPLIES_MAX, seconds, ...answers];
  await scripts.callAnywhere("answerSubmissions", [replyTo], args);
}
