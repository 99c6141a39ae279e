/** docs/dialects.md says what the code does. UPDATE_GOLDEN=1 writes its tables anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { withTables } from "./tables.fixture.ts";

it("the tables of docs/dialects.md are those of the code", () => {
  const path = new URL("../../docs/dialects.md", import.meta.url);
  const text = readFileSync(path, "utf8");
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(path, withTables(text));
  expect(readFileSync(path, "utf8")).toBe(withTables(text));
});
