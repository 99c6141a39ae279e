import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { BLOCK, compareBlock } from "./seeds.fixture.ts";
import type { SeedBlock } from "./seeds.fixture.ts";

const path = new URL("../../docs/evidence/analysis-seeds.json", import.meta.url);
const published = JSON.parse(readFileSync(path, "utf8")) as { blocks: SeedBlock[] };

describe("the published seeds", () => {
  it("are without a gap, and none of them disagrees with execution", () => {
    expect(published.blocks.map(({ from }) => from)).toEqual(
      published.blocks.map((_, i) => 1 + i * BLOCK),
    );
    expect(published.blocks.flatMap(({ disagreements }) => disagreements)).toEqual([]);
    const compared = published.blocks.reduce((sum, block) => sum + block.compared, 0);
    expect(compared).toBeGreaterThan(1000);
  });

  it(
    "give what is published when they are compared again: the first block",
    () => expect(compareBlock(1)).toEqual(published.blocks[0]),
    5 * 60_000,
  );
});
