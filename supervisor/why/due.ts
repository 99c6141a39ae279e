/** When something is due, for people. */
import { timestamp } from "../../sdk/internal.ts";

/** Supervisors look at timers about once a second: before that nobody is late. */
const LATE_MS = 3000;

/** "2026-01-31T08:00:00.000Z", and by how much that has passed without anybody having fired it. */
export function dueText(dueMs: number, nowMs: number): string {
  const lateMs = nowMs - dueMs;
  const late = lateMs < LATE_MS ? "" : `, overdue by ${Math.round(lateMs / 1000)} s`;
  return timestamp(dueMs) + late;
}
