/** How commands are told to the command line: by main.ts's `define`, from the files that list them. */
import type { Command } from "commander";
import type { OptionName } from "./config-options.ts";
import type { Context } from "./context.ts";

/** Options as commander hands them over: members by the names of the flags. */
export type Flags = { [flag: string]: unknown };

/** What a command does; its exit code. */
export type Run = (context: Context, args: string[], flags: Flags) => Promise<number>;

/** Adds a command with `--json` and its configuration options. */
export type Define = (
  parent: Command,
  usage: string,
  about: string,
  options: readonly OptionName[],
  run: Run,
) => Command;
