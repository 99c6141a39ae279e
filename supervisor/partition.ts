/** What runs for a partition while this process holds its role. */
import { startAll, stopAll, type Service } from "../sdk/internal.ts";
import { Archiver } from "./archiver.ts";
import { Certifier } from "./certify.ts";
import type { SupervisorContext } from "./context.ts";
import { Releaser } from "./release.ts";
import { Timers } from "./timers.ts";

const UNWIND_MS = 5000;

/** Makes the services of a partition as one. */
export function createPartition(context: SupervisorContext, partition: number): Service {
  const certifier = new Certifier(context, partition);
  const releaser = new Releaser(context, partition);
  const timers = new Timers(context, partition);
  const onDue = (dueMs: number): void => timers.expect(dueMs);
  const archiver = new Archiver({ context, partition, certifier, releaser, onDue });
  const services = [certifier, releaser, timers, archiver];
  return {
    name: `partition ${partition}`,
    start: () => startAll(services, UNWIND_MS),
    stop: (deadlineMs) => stopAll(services, deadlineMs),
  };
}
