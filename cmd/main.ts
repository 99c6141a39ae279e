#!/usr/bin/env node
/**
 * The command line: which commands there are, and what each takes. What a command does is in
 * `commands/`, loaded when it is called, so that `validate` loads no driver of anything.
 */
import { buffer } from "node:stream/consumers";
import { Command, CommanderError, Option } from "commander";
import { resolveConfig } from "./config.ts";
import { OPTION_SPECS, flagOf, type OptionName } from "./config-options.ts";
import type { Context } from "./context.ts";
import type { Flags, Run } from "./define.ts";
import { EXIT, exitCodeOf, Interrupted, leave, onInterrupt, watchStreams } from "./exit.ts";
import { GavotteError } from "../sdk/errors.ts";
import { addFileCommands, DIALECT } from "./file-commands.ts";
import { Output } from "./output.ts";
import { packageVersion } from "./version.ts";
import { addHandCommands, addLetterCommands, addOperationCommands } from "./operation-commands.ts";
import { addRoleCommands } from "./role-commands.ts";
import { addWaitCommands } from "./wait-commands.ts";

const output = new Output(process);
const abort = new AbortController();

let exitCode: number = EXIT.done;

/** Options of the configuration that commands which reach services take. */
const SERVICES: readonly OptionName[] = ["redis_url", "database_url", "data_dir", "log_level"];

/** And those that ask for something to be done, or wait for an answer. */
const CLIENT: readonly OptionName[] = [...SERVICES, "submit_timeout_ms"];

/** A command with `--json`, its configuration options, and what it does. */
function define(
  parent: Command,
  usage: string,
  about: string,
  options: readonly OptionName[],
  run: Run,
): Command {
  const command = parent.command(usage).description(about);
  const group = parent.parent === null ? "" : `${parent.name()} `;
  const help = `gavotte ${group}${command.name()} --help`;
  command.showHelpAfterError(`(gavotte ${group}${usage}; ${help} shows the options)`);
  command.option("--json", "print one JSON document on stdout and nothing else");
  if (options.length > 0) {
    command.option("--config <file>", "configuration file instead of gavotte.config.*");
  }
  for (const name of options) {
    command.addOption(configFlag(name));
  }
  return command.action(async () => {
    const flags = command.opts<Flags>();
    output.json = flags.json === true;
    const release = onInterrupt(abort);
    try {
      exitCode = await run(contextOf(flags), command.args, flags);
    } finally {
      release();
    }
  });
}

function configFlag(name: OptionName): Option {
  const spec = OPTION_SPECS[name];
  const isList = spec.type === "list";
  const value = isList ? "<value...>" : "<value>";
  return new Option(`${flagOf(name)} ${value}`, spec.about);
}

function contextOf(flags: Flags): Context {
  let config: ReturnType<typeof resolveConfig> | undefined;
  return {
    output,
    cwd: process.cwd(),
    signal: abort.signal,
    config: () => (config ??= resolveConfig(configSources(flags))),
    readStdin: () => buffer(process.stdin),
  };
}

function configSources(flags: Flags): Parameters<typeof resolveConfig>[0] {
  const snake = (key: string): string => key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
  const named = Object.entries(flags).map(([key, value]) => [snake(key), value] as const);
  return {
    cwd: process.cwd(),
    env: process.env,
    flags: Object.fromEntries(named),
    ...(typeof flags.config === "string" ? { file: flags.config } : {}),
  };
}

function buildProgram(): Command {
  const program = new Command("gavotte");
  program
    .description("A choreography engine for workflows")
    .version(packageVersion(), "-V, --version")
    .showSuggestionAfterError()
    .showHelpAfterError("(gavotte --help shows the commands)")
    .configureOutput({ writeErr: (text) => output.draw(text) })
    .exitOverride();
  addFileCommands(program, SERVICES, define);
  addRunCommands(program);
  addQuestionCommands(program);
  addOperationCommands(program, CLIENT, define);
  addHandCommands(program, CLIENT, define);
  addWaitCommands(program, CLIENT, define);
  addLetterCommands(program, CLIENT, define);
  addRoleCommands(program, SERVICES, define);
  return program;
}

function addRunCommands(program: Command): void {
  const asked = [
    ...SERVICES,
    "functions",
    "http_allow",
    "submit_timeout_ms",
    "shutdown_ms",
  ] as const;
  define(
    program,
    "run <file>",
    "run a workflow here and print its output",
    asked,
    async (c, [file], flags) => (await import("./commands/run.ts")).run(c, file ?? "", flags),
  )
    .option("--input <json>", "the run's input: JSON, @file, or - for standard input")
    .option("--from <node...>", "begin at these nodes instead of the entries")
    .option("--set <node=json...>", "with --from: outputs of nodes that do not run")
    .option("--node-input <node=json...>", "with --from: inputs of nodes that begin")
    .option(...DIALECT)
    .option("--stub", "let functions that are missing return their input");
  define(
    program,
    "submit <file>",
    "hand a workflow to the supervisors",
    CLIENT,
    async (c, [file], flags) => (await import("./commands/submit.ts")).submit(c, file ?? "", flags),
  )
    .option("--input <json>", "the run's input: JSON, @file, or - for standard input")
    .option("--from <node...>", "begin at these nodes instead of the entries")
    .option("--set <node=json...>", "with --from: outputs of nodes that do not run")
    .option("--node-input <node=json...>", "with --from: inputs of nodes that begin")
    .option(...DIALECT)
    .option("--ref", "FILE is name@version of a workflow submitted before")
    .option("--idempotency-key <key>", "the same key and payload is the same run")
    .option("--run-id <uuid>", "the run's id")
    .option("--priority <level>", "high, normal or low")
    .option("--tenant <name>", "on whose behalf")
    .option("--namespace <name>", "only workers of this namespace execute it")
    .option("--wait", "wait for the end and print the output");
  define(
    program,
    "publish <files...>",
    "store workflows under their names",
    SERVICES,
    async (c, files, flags) => (await import("./commands/publish.ts")).publish(c, files, flags),
  ).option(...DIALECT);
}

function addQuestionCommands(program: Command): void {
  define(program, "status <run>", "what a run has done so far", CLIENT, async (c, [run], flags) =>
    (await import("./commands/status.ts")).status(c, run ?? "", flags),
  )
    .option("--why", "also say why it does not move")
    .option("--path", "also the way that its tokens took");
  const asking = [...CLIENT, "lease_ms"] as const;
  define(
    program,
    "why <run> [node]",
    "what a run, or one of its nodes, waits for",
    asking,
    async (c, [run, node]) => (await import("./commands/why.ts")).whyCommand(c, run ?? "", node),
  );
  const watch = [...SERVICES, "gateway_url", "api_key"] as const;
  define(program, "watch <run>", "follow a run live", watch, async (c, [run]) =>
    (await import("./commands/watch.ts")).watch(c, run ?? ""),
  );
  define(
    program,
    "await <run>",
    "return when a run reaches a status",
    [...CLIENT, "gateway_url", "api_key"],
    async (c, [run], flags) =>
      (await import("./commands/await.ts")).awaitCommand(c, run ?? "", flags),
  )
    .option("--status <list>", "any of these, with commas", "COMPLETED")
    .option("--timeout <time>", "give up after it: 30s, 5m, 2h; without, never");
  define(program, "runs", "list runs, newest first", SERVICES, async (c, _args, flags) =>
    (await import("./commands/runs.ts")).runs(c, flags),
  )
    .option("--status <list>", "only runs in any of these statuses, with commas")
    .option("--business-status <name>", "only runs whose nodes have set this status last")
    .option("--workflow <name>", "only runs of this workflow")
    .option("--tenant <name>", "only runs of this tenant")
    .option("--parent <run>", "only children of this run")
    .option("--limit <n>", "how many", "20");
  define(program, "cancel <run>", "end a run", CLIENT, async (c, [run], flags) =>
    (await import("./commands/cancel.ts")).cancel(c, run ?? "", flags),
  ).option("--reason <text>", "kept with the run");
}

/** Commander has told it on stderr; a program that asked for JSON gets it on stdout too. */
function tellUsage({ message }: CommanderError): number {
  output.json = process.argv.includes("--json");
  output.document({ error: { code: "GV_BAD_INPUT", message } });
  return EXIT.usage;
}

/** Node puts U+FFFD where an argument's bytes are not UTF-8: another value than was given. */
function assertArgumentsRead(argv: readonly string[]): void {
  const broken = argv.find((argument) => argument.includes("\ufffd"));
  if (broken !== undefined) {
    output.json = argv.includes("--json");
    const remedy = 'write the character U+FFFD itself, if it is meant, as "\\ufffd" in JSON';
    const message = `the argument ${broken} is not UTF-8 text; ${remedy}`;
    throw new GavotteError("GV_BAD_INPUT", message);
  }
}

/** What fails after the command was told to stop is only a consequence. */
function tellStopped(reason: unknown): number {
  if (reason instanceof Interrupted) {
    output.note("interrupted");
    output.document({ error: { code: "INTERRUPTED", message: "interrupted before the result" } });
  }
  return exitCodeOf(reason);
}

async function main(): Promise<number> {
  watchStreams(abort);
  try {
    assertArgumentsRead(process.argv);
    await buildProgram().parseAsync(process.argv);
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? EXIT.done : tellUsage(error);
    }
    if (abort.signal.aborted) {
      return tellStopped(abort.signal.reason);
    }
    output.error(error);
    return exitCodeOf(error);
  }
}

await leave(await main());
