/** What a sleeping run waits for: it is not in Redis, its journal tells. */
import type { Ir } from "../../compiler/ir.ts";
import { RunView, type NodeView } from "../../sdk/internal.ts";
import { readJournal, type Database, type RunRow } from "../../sdk/postgres/index.ts";
import type { Reason } from "../explain.ts";
import { waitText } from "../wait-text.ts";

/** That it is asleep, and one reason for each node that waits. */
export async function explainSleep(db: Database, row: RunRow, ir: Ir | null): Promise<Reason[]> {
  const { asleepSinceMs: sinceMs, wakesAtMs } = row;
  const dueMs = wakesAtMs === 0 ? null : wakesAtMs;
  const wakes =
    wakesAtMs === 0
      ? "somebody has asked for it: a supervisor wakes it within a second; is one running?"
      : dueMs === null
        ? "wakes when something comes for it"
        : `wakes before ${new Date(dueMs).toISOString()}, or when something comes for it`;
  const since = new Date(sinceMs ?? 0).toISOString();
  const text = `asleep since ${since}: it waits for long and is not in Redis; ${wakes}`;
  const reasons: Reason[] = [{ kind: "asleep", sinceMs: sinceMs ?? 0, dueMs, text }];
  if (ir !== null) {
    const view = new RunView(ir);
    for (const { transition, t } of await readJournal(db, row.id)) {
      view.apply(transition, t);
    }
    for (const [node, seen] of Object.entries(view.nodes)) {
      reasons.push(...reasonsOf(seen).map((reason) => ({ ...reason, node })));
    }
  }
  return reasons;
}

function reasonsOf({ status, attempts, wait }: NodeView): Reason[] {
  if (status === "retrying") {
    const text = `waiting for its next attempt, ${attempts + 1}`;
    return [{ kind: "retry", dueMs: null, attempt: attempts + 1, text }];
  }
  if (status !== "waiting") {
    return [];
  }
  const { for: what = null, untilMs: dueMs = null, rate: key } = wait ?? {};
  if (what !== null) {
    return [{ kind: "wait", dueMs, wait: what, text: waitText(what, dueMs) }];
  }
  const at = dueMs === null ? "its timer is due" : new Date(dueMs).toISOString();
  return key === undefined
    ? [{ kind: "timer", dueMs, text: `waiting for timer until ${at}` }]
    : [
        {
          kind: "rate_limit",
          dueMs,
          key,
          text: `waiting for a slot of rate limit ${key} until ${at}`,
        },
      ];
}
