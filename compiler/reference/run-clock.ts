/** The clock of one run on a stage that others are on too: its time begins when the run does. */
import type { Appointment, Calendar } from "./agenda.ts";

/** What the run says to what is due. */
export interface RunEvents {
  isOver(): boolean;
  /** Something happens, at one moment, after which the run may have ended. */
  event(happen: () => void): void;
}

/** The stage's clock from now on; nothing happens any more to a run that has ended. */
export function startingNow(calendar: Calendar, run: RunEvents): Calendar {
  const begun = calendar.now;
  return {
    get now() {
      return calendar.now - begun;
    },
    enter: (entry: Appointment) =>
      calendar.enter({
        at: begun + entry.at,
        isLimit: entry.isLimit,
        isDue: () => !run.isOver() && entry.isDue(),
        happen: () => run.event(() => entry.happen()),
      }),
  };
}
