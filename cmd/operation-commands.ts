/** The commands for operators: pausing, steps settled by hand, redriving, the audit, dead letters. */
import type { Command } from "commander";
import type { OptionName } from "./config-options.ts";
import type { Define } from "./define.ts";

export function addOperationCommands(
  program: Command,
  services: readonly OptionName[],
  define: Define,
): void {
  const load = () => import("./commands/pause.ts");
  const noted = (command: Command): Command =>
    command
      .option("--as <who>", "who does it; kept in the audit")
      .option("--reason <text>", "why; kept in the audit");
  const target = (command: Command): Command =>
    command
      .option("--workflow <name>", "all runs of a workflow, name or name@version")
      .option("--queue <name>", "a queue: no worker reads it")
      .option("--as <who>", "who does it; kept with the run")
      .option("--reason <text>", "why; kept with the run");
  target(
    define(program, "pause [run]", "stop dispatching", services, async (c, [run], flags) =>
      (await load()).pause(c, run, flags),
    ),
  );
  target(
    define(program, "resume [run]", "let what is paused go on", services, async (c, [run], flags) =>
      (await load()).resume(c, run, flags),
    ),
  ).option("--all", "the whole deployment, after stop --all");
  const stopping = [...services, "lease_ms"] as const;
  noted(
    define(program, "stop", "emergency stop of the deployment", stopping, async (c, _args, flags) =>
      (await import("./commands/stop.ts")).stop(c, flags),
    )
      .option("--all", "every step of every run: none begins until resume --all")
      .option("--wait <time>", "how long to wait for what is being executed: 30s, 5m", "60s"),
  );
  define(program, "pauses", "workflows and queues that are paused", services, async (c) =>
    (await load()).pauses(c),
  );
  const about = "circuit breakers with failures; open or close one";
  noted(
    define(program, "circuits [action] [name]", about, services, async (c, args, flags) =>
      (await import("./commands/circuits.ts")).circuits(c, args, flags),
    ).option("--for <time>", "open: for 30s, 5m, 2h, then one may try; without it till closed"),
  );
}

export function addHandCommands(
  program: Command,
  services: readonly OptionName[],
  define: Define,
): void {
  const node = program.command("node").description("settle a step of a live run by hand");
  const load = () => import("./commands/node.ts");
  const acts = {
    complete: "end it with an output",
    fail: "end it with an error",
    skip: "go on as if it had not been reached",
    retry: "try it again at once",
  } as const;
  for (const [action, about] of Object.entries(acts) as [keyof typeof acts, string][]) {
    const usage = `${action} <run> <node>`;
    const command = define(node, usage, about, services, async (c, [run, id], flags) =>
      (await load()).settleNode(c, action, run ?? "", id ?? "", flags),
    )
      .option("--scope <scope>", "round of a loop, e.g. 4:2")
      .option("--element <home>", "element of a map, e.g. 3#17")
      .option("--as <who>", "who does it; kept in the audit")
      .option("--reason <text>", "why; kept in the audit");
    if (action === "complete") {
      command.option("--output <json>", "JSON, @file, or - for standard input");
    } else if (action === "fail") {
      command.option("--code <code>", "the error's code", "FAILED_BY_HAND");
    } else if (action === "retry") {
      command.option("--input <json>", "another input: JSON, @file, or - for standard input");
    }
  }
  define(program, "redrive <run>", "let a failed run go on", services, async (c, [run], flags) =>
    (await import("./commands/redrive.ts")).redrive(c, run ?? "", flags),
  )
    .option("--from <node...>", "also run these again and all behind them; NODE or NODE@SCOPE")
    .option("--set <node=json...>", "give a node this output instead of running it")
    .option("--node-input <node=json...>", "run a node again with this input")
    .option("--input <json>", "the run's input from now on: JSON, @file, or -")
    .option("--dry-run", "only say what would run again")
    .option("--as <who>", "who does it; kept in the audit")
    .option("--reason <text>", "why; kept in the audit");
  define(program, "prune", "delete runs that ended long ago", services, async (c, _args, flags) =>
    (await import("./commands/prune.ts")).prune(c, flags),
  )
    .option("--older-than <age>", "those that ended so long ago: 36h, 30d; at least 1h")
    .option("--workflow <name>", "only runs of this workflow")
    .option("--letters", "also those with an open dead letter")
    .option("--dry-run", "only count them");
  define(program, "audit [run]", "what was done by hand", services, async (c, [run], flags) =>
    (await load()).audit(c, run, flags),
  ).option("--limit <n>", "how many", "20");
}

export function addLetterCommands(
  program: Command,
  services: readonly OptionName[],
  define: Define,
): void {
  const dlq = program.command("dlq").description("dead letters: what could not be done");
  const load = () => import("./commands/dlq.ts");
  const which = (command: Command): Command =>
    command
      .option("--run <id>", "only those of a run")
      .option("--workflow <name>", "only those of a workflow's runs")
      .option("--node <id>", "only those of a node")
      .option("--code <code>", "only those with this error")
      .option("--older-than <age>", "only those older than this: 30s, 5m, 2h, 7d")
      .option("--limit <n>", "how many", "20");
  which(
    define(dlq, "list", "list dead letters, newest first", services, async (c, _args, flags) =>
      (await load()).list(c, flags),
    ).option("--state <state>", "open, retried, dropped or all", "open"),
  );
  define(dlq, "show <id>", "all about a letter", services, async (c, [id]) =>
    (await load()).show(c, id ?? ""),
  );
  const chosen = (command: Command): Command =>
    which(command)
      .option("--all", "all that are open, at most --limit")
      .option("--as <who>", "who does it")
      .option("--reason <text>", "why");
  chosen(
    define(dlq, "retry [id]", "try it again in its run", services, async (c, [id], flags) =>
      (await load()).retry(c, id, flags),
    ).option("--input <json>", "with this input: JSON, @file, or - for standard input"),
  );
  chosen(
    define(dlq, "drop [id]", "mark it as dropped", services, async (c, [id], flags) =>
      (await load()).drop(c, id, flags),
    ),
  );
}
