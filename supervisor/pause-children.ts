/**
 * A paused run's children are paused with it, and go on with it; each child's own children follow
 * when its pause is archived. A child that is also paused by itself stays so.
 *
 * Compares and corrects, so it may be repeated and come late: it is asked when a pause or its end is
 * archived, and by the sweep over open children, which finds what a lost hint or a child that
 * started at that very moment has left. Of a parent that is asleep its row tells. A child that is
 * asleep is woken when its parent goes on; one whose parent was paused meanwhile is paused when it is
 * awake.
 */
import { PAUSE_CAUSES, pauseRun, resumeRun, unlessForeign } from "../sdk/internal.ts";
import { askToWake, type OpenChild } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";

/** Pauses and resumes children as their parents are; returns how many it changed. */
export async function pauseWithParents(
  context: SupervisorContext,
  partition: number,
  page: readonly OpenChild[],
): Promise<number> {
  const scripts = scriptsOf(context, partition);
  const ids = new Set(page.flatMap(({ id, parentRunId }) => [id, parentRunId ?? id]));
  const states = new Map<string, { status: string | null; causes: string }>();
  await Promise.all(
    [...ids].map(async (id) => {
      const read = context.redis.hmget(scripts.keys.run(id), "s", "ps");
      const [status = null, causes] = await unlessForeign(read, []);
      states.set(id, { status, causes: causes ?? "" });
    }),
  );
  let count = 0;
  const toWake: string[] = [];
  for (const { id, parentRunId, isParentPaused, causes } of page) {
    const child = states.get(id);
    const { status = null } = states.get(parentRunId ?? "") ?? {};
    const isPaused = status === null || status === "asleep" ? isParentPaused : status === "paused";
    const isWith = (causes ?? child?.causes ?? "").includes(PAUSE_CAUSES.parent);
    if (causes !== null) {
      toWake.push(...(isWith && !isPaused ? [id] : []));
    } else if (child?.status !== "running" && child?.status !== "paused") {
      continue;
    } else if (isPaused && !isWith) {
      await unlessForeign<unknown>(pauseRun(scripts, id, "parent"), null);
      count++;
    } else if (isWith && !isPaused) {
      await unlessForeign<unknown>(resumeRun(scripts, id, "parent"), null);
      count++;
    }
  }
  await askToWake(context.db, toWake);
  return count;
}
