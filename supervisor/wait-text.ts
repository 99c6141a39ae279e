/** What a parked token waits for, said for people. */
import type { WaitInfo } from "../sdk/internal.ts";
import { dueText } from "./why/due.ts";

/** "waiting for approval by ann or bob until 2026-01-31T08:00:00.000Z" */
export function waitText(wait: WaitInfo, dueMs: number | null, nowMs: number): string {
  const names = wait.assignees ?? [];
  const by = names.length === 0 ? "anybody" : names.join(" or ");
  const count = (wait.required ?? 1) > 1 ? `${wait.required} approvals` : "approval";
  const what = {
    signal: `signal ${wait.signal} or its callback`,
    approval: `${count} by ${by} (${wait.token})`,
    child: `child run ${wait.run}`,
  }[wait.kind];
  const until = dueMs === null ? "" : ` until ${dueText(dueMs, nowMs)}`;
  return `waiting for ${what}${until}`;
}
