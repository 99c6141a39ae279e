/** Ending a run on the engine's own word, wherever it is: under way, asleep, or not started. */
import { cancelRun } from "../sdk/internal.ts";
import { askToWake, cancelRunRow, type RunRow } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";

/**
 * Cancels a run; true: its row was ended here, and no journal will tell of it. One that is asleep is
 * woken first, one that is to be repaired is repaired first: ask again later.
 */
export async function endRun(
  context: SupervisorContext,
  row: RunRow,
  message: string,
): Promise<boolean> {
  if (row.asleepSinceMs !== null) {
    await askToWake(context.db, [row.id]);
    return false;
  }
  const answer = await cancelRun(scriptsOf(context, row.partition), row.id, message);
  const error = JSON.stringify({ code: "CANCELLED", message });
  return answer === "gone" && cancelRunRow(context.db, row, error, context.clock.nowMs());
}
