import { describe, expect, it } from "vitest";
import { Recent } from "./recent.ts";

const keptOf = (recent: Recent<number>, keys: string): string =>
  [...keys].filter((key) => recent.get(key) !== undefined).join("");

describe("what was used last", () => {
  it("stays when there is too much, and no more goes than has to", () => {
    const recent = new Recent<number>(10);
    [..."abcde"].forEach((key, i) => recent.set(key, i, 2));
    expect(recent.get("a")).toBe(0);
    recent.set("f", 5, 3);
    expect(keptOf(recent, "abcdef")).toBe("adef");
  });

  it("is what was used since it came, when much is seen once", () => {
    const recent = new Recent<number>(10);
    recent.set("a", 1, 2);
    for (const key of "bcdefghijklmnop") {
      expect(recent.get("a")).toBe(1);
      recent.set(key, 2, 2);
    }
    expect(keptOf(recent, "abcdefghijklmnop")).toBe("amnop");
  });

  it("goes when everything was used, and is too much together", () => {
    const recent = new Recent<number>(10);
    for (const key of "abcdefgh") {
      recent.set(key, 1, 2);
      recent.get(key);
    }
    expect(keptOf(recent, "abcdefgh")).toBe("defgh");
  });

  it("counts by its weight: what is set again counts once, what is too heavy stands alone", () => {
    const recent = new Recent<number>(10);
    recent.set("a", 1, 4);
    recent.set("b", 1, 4);
    recent.set("b", 2, 6);
    expect(keptOf(recent, "ab")).toBe("ab");
    recent.set("c", 3, 11);
    expect(keptOf(recent, "abc")).toBe("c");
    recent.set("d", 4, 1);
    expect(keptOf(recent, "cd")).toBe("d");
  });
});
