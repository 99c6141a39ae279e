/** Whose turn it is, of tenants that have many in line and of those that have few. */
import { expect, it } from "vitest";
import { TenantLines } from "./tenant-lines.ts";

function linesOf(...ids: string[]): TenantLines {
  const lines = new TenantLines();
  ids.forEach((id) => lines.add(id, id.charAt(0)));
  return lines;
}

/** One is served at a time, and those that came with it are put off; whose, in order. */
function served(lines: TenantLines, pageMax = 3): string {
  let order = "";
  while (lines.size > 0) {
    const [first = "", second] = lines.page(pageMax);
    order += `${first} `;
    lines.delete(first);
    void (second !== undefined && lines.turnTo(second));
  }
  return order.trim();
}

it("tenants have turns, whatever each has in line", () => {
  expect(served(linesOf("a1", "a2", "a3", "a4", "b1", "c1", "c2"))).toBe("a1 b1 c1 a2 c2 a3 a4");
});

it("of one tenant it is first come, first served", () => {
  expect(served(linesOf("a1", "a2", "a3"))).toBe("a1 a2 a3");
});

it("has no more on a page than asked for, and all that wait on one that has room", () => {
  const lines = linesOf("a1", "a2", "b1");
  expect([1, 2, 9].map((count) => lines.page(count))).toEqual([
    ["a1"],
    ["a1", "b1"],
    ["a1", "b1", "a2"],
  ]);
  lines.add("a1", "a"); // keeps its place
  lines.delete("b1");
  lines.delete("unknown");
  expect([lines.size, lines.has("a2"), lines.has("b1")]).toEqual([2, true, false]);
  expect(lines.page(9)).toEqual(["a1", "a2"]);
});

it("those before the one that is next have had their turns", () => {
  const lines = linesOf("a1", "a2", "b1", "b2", "c1");
  lines.delete("a1");
  lines.delete("b1");
  lines.turnTo("c1");
  expect(lines.page(9)).toEqual(["c1", "a2", "b2"]);
});

it("who was not on a page is before those who were, however much they have in line", () => {
  const lines = linesOf("a1", "a2", "b1", "b2", "c1");
  for (const page of [["a1", "b1"], ["c1", "a2"], ["b2"]]) {
    expect(lines.page(2)).toEqual(page);
    lines.endTurns(page);
    page.forEach((id) => lines.delete(id));
  }
});
