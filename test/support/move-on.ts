/** Has the monotonic clock of this process go on at once by so long, instead of waiting for it. */
import { vi } from "vitest";

/** Until the mocks are restored. In this process only: Redis and Postgres have clocks of their own. */
export function moveOn(ms: number): void {
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + ms);
}
