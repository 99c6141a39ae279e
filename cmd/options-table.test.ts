/** docs/cli.md says what the program does: its options and its commands. */
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli.fixture.ts";
import { flagOf, OPTION_NAMES } from "./config-options.ts";
import { withOptionsTable } from "./options-table.ts";

const path = new URL("../docs/cli.md", import.meta.url);
const text = readFileSync(path, "utf8");

/** Each row of the table of flags names some of these. */
const ROLES = ["submit", "status", "why", "watch", "run", "dev", "worker", "supervisor", "gateway"];

/** What stands between backticks. */
function named(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word);
}

describe("docs/cli.md", () => {
  it("has the table of the options as they are", () => {
    expect(withOptionsTable(text)).toBe(text);
  });

  it("says which commands take which flags, and some command takes each", async () => {
    const rows = [...text.matchAll(/^\| (.*) \| (`--[^|]*) \|$/gm)]
      .map(([, who = "", flags = ""]) => [named(who), named(flags)] as const)
      .filter(([, flags]) => OPTION_NAMES.some((name) => flags.includes(flagOf(name))));
    const all = rows.flatMap(([, flags]) => flags);
    expect(OPTION_NAMES.map(flagOf).filter((flag) => !all.includes(flag))).toEqual([]);
    const helps = ROLES.map(async (command) => {
      const { stdout } = await runCli(tmpdir(), [command, "--help"]);
      const taken = OPTION_NAMES.map(flagOf).filter((flag) => stdout.includes(`${flag} `));
      const told = rows
        .filter(([who]) => who.length === 0 || who.includes(command))
        .flatMap(([, flags]) => flags);
      expect([command, taken.sort()]).toEqual([command, told.sort()]);
    });
    await Promise.all(helps);
  }, 60_000);

  it("names every command", () => {
    const files = readdirSync(new URL("./commands", import.meta.url));
    const commands = files.map((file) => file.replace(/\.ts$/, ""));
    expect(commands.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  });
});
