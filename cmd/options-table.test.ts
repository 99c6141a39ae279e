/** docs/cli.md says what the program does: its options and its commands. */
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli.fixture.ts";
import { flagOf, OPTION_NAMES } from "./config-options.ts";
import { withOptionsTable } from "./options-table.ts";

const path = new URL("../docs/cli.md", import.meta.url);
const text = readFileSync(path, "utf8");

/** Commands that look at files only, and two that take options of several kinds. */
const FILES = ["validate", "compile", "convert", "analyse", "simulate", "what-if", "test", "graph"];
const APART = [...FILES, "diff", "explain", "schema", "config", "help"];
/** Of commands that have commands, one stands for all. */
const SUBS: { [command: string]: string } = { node: "skip", dlq: "list" };
/** How many processes tell their help at one time. */
const AT_ONCE = 4;

async function commandsOf(): Promise<string[]> {
  const { stdout } = await runCli(tmpdir(), ["--help"]);
  return [...stdout.matchAll(/^  ([a-z][a-z-]*) /gm)].map(([, name = ""]) => name);
}

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
    const look = async (command: string): Promise<void> => {
      const sub = SUBS[command];
      const words = [command, ...(sub === undefined ? [] : [sub]), "--help"];
      const { stdout } = await runCli(tmpdir(), words);
      const taken = OPTION_NAMES.map(flagOf).filter((flag) => stdout.includes(`${flag} `));
      const told = rows
        .filter(([who]) => who.length === 0 || who.includes(command))
        .flatMap(([, flags]) => flags);
      expect([command, taken.sort()]).toEqual([command, told.sort()]);
    };
    const commands = (await commandsOf()).filter((name) => !APART.includes(name));
    expect(commands.length).toBeGreaterThan(25);
    while (commands.length > 0) {
      await Promise.all(commands.splice(0, AT_ONCE).map(look));
    }
  }, 120_000);

  it("and the other pages name no command that there is not", async () => {
    const known = new Set(await commandsOf());
    const folder = new URL("../docs/", import.meta.url);
    const pages = readdirSync(folder).filter((name) => name.endsWith(".md"));
    const files = [
      new URL("../README.md", import.meta.url),
      ...pages.map((p) => new URL(p, folder)),
    ];
    const named = files.flatMap((file) => [
      ...readFileSync(file, "utf8").matchAll(/`(?:npx )?gavotte ([a-z][a-z-]*)/g),
    ]);
    expect(named.length).toBeGreaterThan(50);
    expect(named.map(([, name = ""]) => name).filter((name) => !known.has(name))).toEqual([]);
  });

  it("names every command", () => {
    const files = readdirSync(new URL("./commands", import.meta.url));
    const commands = files.map((file) => file.replace(/\.ts$/, ""));
    expect(commands.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  });
});
