/** Waiting in tests for what another process does; never for a time to pass. */
export interface WaitOptions {
  /** How long it may take; generous, because it costs time only when the test fails. */
  timeoutMs?: number;
  /** Said in the error: what was waited for. */
  describe?: string;
}

const TIMEOUT_MS = 20_000;
const INTERVAL_MS = 10;

/**
 * Asks `condition` again and again until it gives something truthy, and returns that.
 * Its errors count as "not yet"; the last one is the cause of the error thrown in the end.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<NonNullable<T>> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const deadline = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      // What it asks may never answer.
      const value = await inTime(condition(), timeoutMs);
      if (value) {
        return value;
      }
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadline) {
      const what = options.describe ?? "the condition did not become true";
      throw new Error(`${what} (waited ${timeoutMs} ms)`, { cause });
    }
    await new Promise((done) => setTimeout(done, INTERVAL_MS));
  }
}

async function inTime<T>(asked: T | Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("what is asked does not answer")), ms);
  });
  return Promise.race([asked, late]).finally(() => clearTimeout(timer));
}
