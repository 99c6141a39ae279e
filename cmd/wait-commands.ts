/** The commands that end waits: signals, callbacks, approvals. */
import type { Command } from "commander";
import type { OptionName } from "./config-options.ts";
import type { Define } from "./define.ts";

const DATA = "--data <json>";
const ABOUT_DATA = "JSON, @file, or - for standard input";

/** Adds `signal`, `callback`, `approvals`, `approve`, `reject`. */
export function addWaitCommands(
  program: Command,
  services: readonly OptionName[],
  define: Define,
): void {
  const load = () => import("./commands/waits.ts");
  define(
    program,
    "signal <run> <name>",
    "send a signal to a run that waits for it, or will",
    services,
    async (c, [run, name], flags) => (await load()).signal(c, run ?? "", name ?? "", flags),
  )
    .option(DATA, `the payload: ${ABOUT_DATA}`)
    .option("--id <text>", "the same id is the same signal");
  define(
    program,
    "callback <token>",
    "answer one waiting node by its callback token",
    services,
    async (c, [token], flags) => (await load()).callback(c, token ?? "", flags),
  )
    .option(DATA, `the payload: ${ABOUT_DATA}`)
    .option("--id <text>", "the same id is the same call");
  define(program, "approvals", "what people are asked", services, async (c, _args, flags) =>
    (await load()).approvals(c, flags),
  )
    .option("--state <state>", "open, approved, rejected, expired, cancelled or all", "open")
    .option("--assignee <name>", "only what this person may decide")
    .option("--run <id>", "only those of a run")
    .option("--limit <n>", "how many", "20");
  for (const word of ["approve", "reject"] as const) {
    define(
      program,
      `${word} <id>`,
      word === "approve" ? "agree to what is asked" : "refuse what is asked",
      services,
      async (c, [id], flags) => (await load()).decide(c, id ?? "", word === "approve", flags),
    )
      .option("--as <name>", "who decides")
      .option(DATA, `what the form asks for: ${ABOUT_DATA}`);
  }
}
