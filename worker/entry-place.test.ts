import { describe, expect, it } from "vitest";
import { isElsewhere, isOverdue, isQueued } from "./entry-place.ts";
import { preparedOf, tokenOf } from "./lane.fixture.ts";

const node = (queue_timeout_ms?: number) => ({ queue_timeout_ms }) as never;

describe("an entry that stands in its queue", () => {
  const token = tokenOf("r", { entryId: "1000-7" });

  it("is overdue when it has stood there for longer than its node allows", () => {
    const isLate = (nowMs: number): boolean => isOverdue(token, node(50), nowMs);
    expect([isLate(1000), isLate(1050), isLate(1051)]).toEqual([false, false, true]);
    expect(isOverdue(token, node(), 1e12)).toBe(false);
  });

  it("is never overdue once its node has begun, whatever it goes on with", () => {
    const kinds = ["run", "resumed", "skip", "gather", "finish"] as const;
    const ofKind = kinds.map((kind) => tokenOf("r", { entryId: "1000-7", kind }));
    expect(ofKind.map(isQueued)).toEqual([true, true, false, false, false]);
    const late = ofKind.map((one) => isOverdue(one, node(50), 2000));
    expect(late).toEqual([true, true, false, false, false]);
  });
});

it("an entry is elsewhere in a queue that is not its node's", () => {
  const { profile } = preparedOf(tokenOf("r"));
  expect(isElsewhere(tokenOf("r", { queueKey: "q" }), profile)).toBe(false);
  expect(isElsewhere(tokenOf("r", { queueKey: "kind:parallel" }), profile)).toBe(true);
});
