import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const root = new URL("../", import.meta.url);

describe.each(["README.md", "docs/ARCHITECTURE.md"])("%s", (page) => {
  const text = readFileSync(new URL(page, root), "utf8");

  it("names only files that exist", () => {
    const named = text.matchAll(/`((?:[a-z_]+\/)+[a-z0-9_-]+\.(?:ts|lua|sql|sh|md))`/g);
    const files = [...named].map((match) => match[1] as string);
    expect(files.length).toBeGreaterThan(10);
    expect(files.filter((file) => !existsSync(new URL(file, root)))).toEqual([]);
  });
});
