/** What becomes of submissions that are refused: a dead letter that keeps them, and an answer. */
import { insertDeadLetters, readRun } from "../sdk/postgres/index.ts";
import { globalKeys } from "../sdk/internal.ts";
import type { Answer, Entry } from "./admit-batch.ts";
import type { SupervisorContext } from "./context.ts";
import { bad, readSubmission, type BadSubmission } from "./submission.ts";
import { TRIALS_MAX } from "./trials.ts";

/** Keeps them as dead letters; repeated, it changes nothing. */
export async function keepRefused(
  context: SupervisorContext,
  rejected: readonly BadSubmission[],
): Promise<void> {
  const atMs = context.clock.nowMs();
  // A run that its key had no place for is no mistake, and its row says what became of it.
  const kept = rejected.filter(({ problems }) => problems[0]?.code !== "GV_CONCURRENCY_LIMIT");
  const letters = kept.map(({ entryId, problems, raw }) => ({
    id: `submission-${entryId}`,
    kind: "submission" as const,
    runId: null,
    node: null,
    scope: null,
    attempts: null,
    error: JSON.stringify({ ...problems[0], details: problems }),
    payload: raw.replaceAll("\0", "\uFFFD"),
    createdAtMs: atMs,
  }));
  await insertDeadLetters(context.db, letters);
}

export function refusalOf({ entryId, runId, replyTo, problems }: BadSubmission): Answer {
  const about = { submission_id: entryId, run_id: runId, status: "rejected" } as const;
  return { replyTo, reply: { ...about, errors: problems } };
}

/**
 * Sets apart a submission that whoever tried it has died of, and says so. `trials`: with this one,
 * which is to tell whom; if even that kills, the next one keeps it unread.
 */
export async function setApart(
  context: SupervisorContext,
  [entryId, fields]: Entry,
  trials: number,
): Promise<Answer> {
  const { replyTo, runId, raw } =
    trials > TRIALS_MAX + 1
      ? { replyTo: globalKeys.replies, runId: null, raw: fields[1] ?? "" }
      : readSubmission(entryId, fields);
  // Whoever died may have done so after the row's commit: then it goes on, and none is to be told
  // otherwise.
  if (runId !== null && (await readRun(context.db, runId)) !== null) {
    return { replyTo, reply: { submission_id: entryId, run_id: runId, status: "accepted" } };
  }
  const message =
    `each of the ${TRIALS_MAX} processes that took this submission by itself died of it, or stood ` +
    `still; it is kept as dead letter submission-${entryId}. Look at the supervisors' ends (memory, ` +
    "a crash), make the workflow smaller, and report it";
  const refused = bad(entryId, runId, replyTo, [{ code: "GV_SUBMISSION_POISON", message }], raw);
  context.logger.error({ entry: entryId, run: runId }, "a submission is set apart: it kills");
  await keepRefused(context, [refused]);
  return refusalOf(refused);
}
