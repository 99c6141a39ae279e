/** Has the monotonic clock of this process go on at once by so long, instead of waiting for it. */
import { vi } from "vitest";

/** Until the mocks are restored. What is in this process only: Redis and Postgres have their own clocks. */
export function moveOn(ms: number): void {
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + ms);
}
