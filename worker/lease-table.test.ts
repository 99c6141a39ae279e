import { describe, expect, it } from "vitest";
import { LEASE_SLOTS, leaseSlots, LeaseTable } from "./lease-table.ts";

describe("the table of leases", () => {
  it("shows the other thread what is held, by stream", () => {
    const table = new LeaseTable(["q1", "q2"]);
    const other = new LeaseTable(["q1", "q2"], table.buffer);
    table.add("q1", "1700000000000-0");
    table.add("q2", "1700000000001-18446744");
    table.beat(5);
    expect(other.beatMs).toBe(5);
    expect(other.held(9)).toEqual(
      new Map([
        ["q1", ["1700000000000-0"]],
        ["q2", ["1700000000001-18446744"]],
      ]),
    );
  });

  it("shows no more what was let go, or is past its limit", () => {
    const table = new LeaseTable(["q"]);
    const [first, second] = [table.add("q", "1-0"), table.add("q", "2-0")];
    table.limit(second, 100);
    table.remove(first);
    expect(table.held(99)).toEqual(new Map([["q", ["2-0"]]]));
    expect(table.held(100)).toEqual(new Map());
    expect(table.add("q", "3-0")).toBe(first);
    expect(table.held(100)).toEqual(new Map([["q", ["3-0"]]]));
  });

  it("leaves alone what does not fit and what is of a stream that it does not know", () => {
    const table = new LeaseTable(["q"]);
    expect(table.add("other", "1-0")).toBe(-1);
    for (let i = 0; i < LEASE_SLOTS; i++) {
      expect(table.add("q", `${i}-1`)).toBeGreaterThanOrEqual(0);
    }
    expect(table.add("q", "9-9")).toBe(-1);
    table.remove(-1);
    table.limit(-1, 0);
    expect(table.held(0).get("q")).toHaveLength(LEASE_SLOTS);
  });

  it("has room for what a worker of any concurrency has in hand", () => {
    const count = 10_000;
    const table = new LeaseTable(["q"], leaseSlots(count));
    for (let i = 0; i < 2 * count; i++) {
      expect(table.add("q", `${i}-1`)).toBe(i);
    }
    const other = new LeaseTable(["q"], table.buffer);
    expect(other.held(0).get("q")).toHaveLength(2 * count);
  });
});
