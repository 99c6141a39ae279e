import { describe, expect, it } from "vitest";
import { LruCache } from "./lru.ts";
import { nearestName } from "./suggest.ts";

describe("LruCache", () => {
  it("makes a value once and forgets the one used longest ago", () => {
    const cache = new LruCache<string, string>(2);
    const made: string[] = [];
    const get = (key: string): string =>
      cache.getOrMake(key, () => {
        made.push(key);
        return key.toUpperCase();
      });
    for (const key of ["a", "b", "a", "c", "a", "b"]) expect(get(key)).toBe(key.toUpperCase());
    expect(made).toEqual(["a", "b", "c", "b"]);
    expect(cache.size).toBe(2);
  });

  it("does not keep an error", () => {
    const cache = new LruCache<string, number>(2);
    expect(() => cache.getOrMake("a", () => JSON.parse("{") as number)).toThrow();
    expect(cache.getOrMake("a", () => 1)).toBe(1);
  });
});

describe("nearestName", () => {
  it("finds letters left out, added, replaced and swapped", () => {
    const names = ["input", "output", "iteration"];
    expect(nearestName("ouput", names)).toBe("output");
    expect(nearestName("inptu", names)).toBe("input");
    expect(nearestName("Output", names)).toBe("output");
    expect(nearestName("iterations", names)).toBe("iteration");
    expect(nearestName("secrets", names)).toBeUndefined();
  });
});
