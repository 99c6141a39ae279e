/** What runs for a partition while this process holds its role. */
import { startAll, stopAll, type Service } from "../sdk/internal.ts";
import { Archiver, type ArchiverOptions } from "./archiver.ts";
import { Children } from "./children.ts";
import { Certifier } from "./certify.ts";
import type { SupervisorContext } from "./context.ts";
import { Releaser } from "./release.ts";
import { Sleeper } from "./sleeper.ts";
import { Starter } from "./starter.ts";
import { Waker } from "./waker.ts";

const UNWIND_MS = 5000;

/**
 * Makes the services of a partition as one; `hooks` are told of armed timers and ended runs. Runs that
 * wait for longer than `hibernateAfterMs` leave Redis; 0: none does.
 */
export function createPartition(
  context: SupervisorContext,
  partition: number,
  hooks: Pick<ArchiverOptions, "onDue" | "onEnded"> = {},
  hibernateAfterMs = 0,
): Service {
  const certifier = new Certifier(context, partition);
  const releaser = new Releaser(context, partition);
  const children = new Children(context, partition);
  const starter = new Starter(context);
  const own = { certifier, releaser, children, starter, ...hooks };
  const archiver = new Archiver({ context, partition, ...own });
  const waker = new Waker(context, partition, certifier, children);
  const sleeper = hibernateAfterMs > 0 ? [new Sleeper(context, partition, hibernateAfterMs)] : [];
  const services = [certifier, releaser, children, archiver, waker, ...sleeper];
  return {
    name: `partition ${partition}`,
    start: () => startAll(services, UNWIND_MS),
    stop: (deadlineMs) => stopAll(services, deadlineMs),
  };
}
