/** What a gateway counts of its work, for metrics: plain numbers, that somebody else makes text of. */
import { Durations } from "../sdk/internal.ts";

/** Requests to paths that nobody serves are told apart by nothing: anybody can make up any number. */
const UNKNOWN = "unknown";

export class GatewayCounts {
  /** Answered requests by method, route and status. */
  readonly requests = new Map<
    string,
    { method: string; route: string; status: number; count: number }
  >();
  readonly times = new Durations();
  /** Messages that a slow client did not get: it gets a snapshot instead. */
  feedDropped = 0;
  /** Clients that were cut off because they were silent. */
  feedSilent = 0;

  /** `route`: as it was declared; undefined: there is none of this path. */
  request(method: string, route: string | undefined, status: number, ms: number): void {
    const at = route === undefined ? UNKNOWN : route;
    const key = `${method} ${status} ${at}`;
    const one = this.requests.get(key) ?? { method, route: at, status, count: 0 };
    one.count += 1;
    this.requests.set(key, one);
    this.times.observe(ms);
  }
}
