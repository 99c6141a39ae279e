/**
 * Typed calls of the scripts that pause and resume runs (21 B5).
 *
 * A run may be paused for several causes at one time: by itself, with its workflow, after errors in a
 * row, with its parent; it goes on when the last is taken back.
 */
import { repack, type ReadyToken } from "../entry.ts";
import type { ScriptArg, ScriptRunner } from "./script-runner.ts";

export const PAUSE_CAUSES = { run: "r", workflow: "w", errors: "e", parent: "p" } as const;
export type PauseCause = keyof typeof PAUSE_CAUSES;

/** Entries that one call of resume_run queues. */
const RESUME_BATCH = 500;
const HELD_BORDER = "\x1e";

/** Who did it and why; kept in the journal. */
export interface Note {
  by?: string;
  why?: string;
}

/** `refused`: its status does not allow it. `gone`: it is not in Redis. */
export type PauseAnswer =
  | { kind: "paused" | "was_paused"; status: string }
  | { kind: "refused"; status: string }
  | { kind: "gone" };

/** Pauses a run for this cause. */
export async function pauseRun(
  scripts: ScriptRunner,
  runId: string,
  cause: PauseCause,
  note: Note = {},
): Promise<PauseAnswer> {
  const k = scripts.keys;
  const keys = [k.ev, k.meta, k.halted, k.paused, k.run(runId)];
  const args = [scripts.nonce(), runId, PAUSE_CAUSES[cause], noteText(note)];
  const [code, status = ""] = (await scripts.transition("pauseRun", keys, args)) as [
    number,
    string?,
  ];
  if (code === -1) {
    return { kind: "gone" };
  }
  return { kind: code === 0 ? "paused" : code === 1 ? "was_paused" : "refused", status };
}

/** `still_paused`: for another cause. `not_paused`: not for this one, or not at all. */
export type ResumeAnswer =
  { kind: "resumed" | "still_paused" } | { kind: "not_paused"; status: string } | { kind: "gone" };

/**
 * Takes a pause back; when it was the last, queues what was held, in as many calls as that takes.
 * Cause null: only goes on with what a resume that was interrupted has left.
 */
export async function resumeRun(
  scripts: ScriptRunner,
  runId: string,
  cause: PauseCause | null,
  note: Note = {},
): Promise<ResumeAnswer> {
  const k = scripts.keys;
  const held = k.held(runId);
  let isResumed = false;
  for (;;) {
    const items = await scripts.redis.lrange(held, 0, RESUME_BATCH - 1);
    const queues = new Set(items.map((item) => item.slice(0, item.indexOf(HELD_BORDER))));
    const keys = [k.ev, k.meta, k.halted, k.paused, k.run(runId), held, k.timers, ...queues];
    const asked = cause === null ? "" : PAUSE_CAUSES[cause];
    const args: ScriptArg[] = [scripts.nonce(), runId, asked, noteText(note), RESUME_BATCH];
    const reply = (await scripts.transition("resumeRun", keys, args)) as [number, string | number];
    const [code, more] = reply;
    if (code === 0) {
      isResumed = true;
      if (more === 0) {
        return { kind: "resumed" };
      }
    } else if (isResumed) {
      return { kind: "resumed" }; // somebody else went on with it, paused it again or ended it
    } else if (code === -1) {
      return { kind: "gone" };
    } else {
      return code === 1
        ? { kind: "still_paused" }
        : { kind: "not_paused", status: code === 2 ? "paused" : String(more) };
    }
  }
}

/** What became of a token: kept; its run is not paused any more; somebody else has it. */
export type HoldAnswer = "held" | "not_paused" | "gone";

/** Puts delivered tokens of paused runs aside; they come back when their run is resumed. */
export async function holdTokens(
  scripts: ScriptRunner,
  tokens: readonly ReadyToken[],
): Promise<HoldAnswer[]> {
  const keys = [scripts.keys.meta];
  const args: ScriptArg[] = [tokens.length];
  for (const token of tokens) {
    const { runId, queueKey, entryId } = token;
    args.push(keys.push(scripts.keys.run(runId)), keys.push(queueKey), entryId, repack(token));
  }
  const reply = (await scripts.transition("holdTokens", keys, args)) as number[];
  return reply.slice(1).map((code) => (["held", "not_paused", "gone"] as const)[code] ?? "gone");
}

/** An element of the list `held`: an entry and the queue that it goes to (include/held.lua). */
export function heldItem(queueKey: string, packed: string): string {
  return queueKey + HELD_BORDER + packed;
}

/** Members of a transition, as JSON text that begins with a comma, or "". */
export function noteText({ by, why }: Note): string {
  const text = JSON.stringify({ ...(by === undefined ? {} : { by }), ...(why && { why }) });
  return text === "{}" ? "" : `,${text.slice(1, -1)}`;
}
