/** Limits of time: of a token that waits, and of a whole run. */
import type { IrNode } from "../ir.ts";
import type { Calendar } from "./agenda.ts";
import type { GraphRun } from "./graph-run.ts";
import type { HandlerResult } from "./types.ts";

/** A token that waits from now on fails with TIMEOUT if it still does when its node's time is up. */
export function limitWait(
  calendar: Calendar,
  { timeout_ms: limit }: IrNode,
  token: { isWaiting(): boolean; fail(result: HandlerResult): void },
): void {
  if (limit === null) return;
  calendar.enter({
    at: calendar.now + limit,
    isLimit: true,
    isDue: () => token.isWaiting(),
    happen: () => {
      const message = `it has waited longer than its timeout_ms (${limit})`;
      token.fail({ error: { code: "TIMEOUT", message } });
    },
  });
}

/** A run that is still in progress when its time is up fails; `ended` is called after that. */
export function limitRun(calendar: Calendar, graph: GraphRun, ended: () => void): void {
  const { timeout_ms: limit } = graph.ir.settings;
  if (limit === null) return;
  calendar.enter({
    at: calendar.now + limit,
    isLimit: true,
    isDue: () => graph.top.isAlive(),
    happen: () => {
      const message = `the run took longer than settings.timeout_ms (${limit})`;
      graph.finish({ error: { code: "RUN_TIMED_OUT", message } });
      ended();
    },
  });
}
