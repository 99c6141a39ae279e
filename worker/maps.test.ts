import { describe, expect, it } from "vitest";
import { planMap } from "./maps.ts";
import type { Prepared } from "./prepared.ts";

describe("the elements of one map", () => {
  const map = { id: "m", type: "map", config: {} };
  const prepared = { node: map, token: {}, profile: {}, data: {} } as never as Prepared;

  it("are bounded together, whatever each of them takes", () => {
    const one = "x".repeat(1024 * 1024);
    const items = Array.from({ length: 64 }, () => one);
    expect(() => planMap(prepared, {}, items)).toThrow(
      expect.objectContaining({ code: "TOO_LARGE", retryable: false }) as Error,
    );
  });
});
