/**
 * What every long-running part of a process looks like, so that one place can start and stop them.
 */
import { systemClock, type Clock } from "./clock.ts";

export interface Service {
  readonly name: string;
  /** Resolves when it is really running. */
  start(): Promise<void>;
  /**
   * Resolves when it is really stopped, at the latest after `deadlineMs`. Stopping what was never
   * started, or twice, is allowed and does nothing.
   */
  stop(deadlineMs: number): Promise<void>;
}

/** Starts services in order; when one fails, those already running are stopped in reverse. */
export async function startAll(
  services: readonly Service[],
  deadlineMs: number,
  clock: Clock = systemClock,
): Promise<void> {
  for (const [index, service] of services.entries()) {
    try {
      await service.start();
    } catch (error) {
      await stopAll(services.slice(0, index + 1), deadlineMs, clock);
      throw error;
    }
  }
}

/**
 * Stops services in reverse order, all of them, even if one fails; then throws the first error. The
 * deadline is that of all together: one that is slow leaves the others less, and whoever kills the
 * process after it finds them told to stop.
 */
export async function stopAll(
  services: readonly Service[],
  deadlineMs: number,
  clock: Clock = systemClock,
): Promise<void> {
  const endsMs = clock.monotonicMs() + deadlineMs;
  const errors: unknown[] = [];
  for (const service of [...services].reverse()) {
    const leftMs = Math.max(0, endsMs - clock.monotonicMs());
    await service.stop(leftMs).catch((error: unknown) => errors.push(error));
  }
  if (errors.length > 0) {
    throw errors[0];
  }
}
