/** docs/cli.md says what the program does: its options and its commands. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { withOptionsTable } from "./options-table.ts";

const path = new URL("../docs/cli.md", import.meta.url);
const text = readFileSync(path, "utf8");

describe("docs/cli.md", () => {
  it("has the table of the options as they are", () => {
    expect(withOptionsTable(text)).toBe(text);
  });

  it("names every command", () => {
    const files = readdirSync(new URL("./commands", import.meta.url));
    const commands = files.map((file) => file.replace(/\.ts$/, ""));
    expect(commands.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  });
});
