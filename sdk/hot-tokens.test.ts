import { describe, expect, it } from "vitest";
import { HotTokens } from "./hot-tokens.ts";

function tokensWithMap(): { tokens: HotTokens; maps: Map<number, string> } {
  const maps = new Map([[0, "elements"]]);
  const tokens = new HotTokens(maps);
  tokens.put(0, "", "a", 1, "");
  return { tokens, maps };
}

describe("tokens folded from a journal", () => {
  it.each(["c", "f", "x"] as const)(
    "take a map's elements with them when they end: %s",
    (state) => {
      const { tokens, maps } = tokensWithMap();
      tokens.put(0, "", state, 1, "");
      expect(maps.size).toBe(0);
    },
  );

  it("leave a map's elements while it waits for them", () => {
    const { tokens, maps } = tokensWithMap();
    tokens.change(0, { state: "m" });
    tokens.wait(0, "r", 2, { kind: "emit", dueMs: 5 });
    expect(maps.size).toBe(1);
  });

  it("void a map's elements when the map is sent on by hand", () => {
    const { tokens, maps } = tokensWithMap();
    tokens.change(0, { state: "m" });
    tokens.resume(0, true);
    expect(maps.size).toBe(0);
    expect(tokens.get(0)).toMatchObject({ state: "a", attempt: 1, timer: null, isResumed: true });
  });

  it("keep their attempt when they go on, unless another is named", () => {
    const { tokens } = tokensWithMap();
    tokens.wait(0, "r", 3, { kind: "emit", dueMs: 5 });
    tokens.resume(0, false);
    expect(tokens.get(0)?.attempt).toBe(3);
    tokens.resume(0, false, 4);
    expect(tokens.get(0)?.attempt).toBe(4);
  });

  it("are none where a node has none, whatever is said of it", () => {
    const { tokens } = tokensWithMap();
    tokens.wait(7, "w", 1, null);
    tokens.resume(7, true);
    expect(tokens.has(7)).toBe(false);
  });

  it("count at top level, until they end", () => {
    const { tokens } = tokensWithMap();
    tokens.put(1, "", "a", 1, "");
    tokens.put(2, "9:1", "a", 1, "");
    expect(tokens.inFlight).toBe(2);
    tokens.put(1, "", "c", 1, "null");
    expect(tokens.inFlight).toBe(1);
  });
});
