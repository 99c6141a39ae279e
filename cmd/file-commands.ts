/** The commands that look at workflow files, and need nothing else. */
import type { Command } from "commander";
import type { OptionName } from "./config-options.ts";
import type { Define } from "./define.ts";

/** Of commands that read workflow files. */
export const DIALECT = [
  "--dialect <name>",
  "native, steps, states, graph or asl; told by the file's shape if left out",
] as const;

/** Add the commands that look at workflow files and reach no service. */
export function addFileCommands(
  program: Command,
  services: readonly OptionName[],
  define: Define,
): void {
  addCompilerCommands(program, define);
  addSimulationCommands(program, define);
  addPictureCommands(program, services, define);
  define(program, "explain [code]", "what a diagnostic code means", [], async (c, [code]) =>
    (await import("./commands/explain.ts")).explain(c, code),
  );
  const about = "the JSON Schema of workflow files; of mocks, or test files";
  define(program, "schema [what]", about, [], async (c, [what], flags) =>
    (await import("./commands/schema.ts")).schema(c, what, flags),
  ).option("--kind <type>", "of the config of this node type instead");
}

function addCompilerCommands(program: Command, define: Define): void {
  define(program, "validate <files...>", "check workflow files", [], async (c, args, flags) =>
    (await import("./commands/validate.ts")).validate(c, args, flags),
  )
    .option("--strict", "warnings fail too")
    .option(...DIALECT)
    .option("--format <form>", "human, short (one line each), json, or sarif on stdout");
  define(
    program,
    "compile <file>",
    "print a workflow's compiled form",
    [],
    async (c, [file], flags) =>
      (await import("./commands/compile.ts")).compile(c, file ?? "", flags),
  )
    .option("--out <path>", "write it to a file instead")
    .option(...DIALECT)
    .option("--explain", "describe it in words instead, and what each pass did")
    .option("--no-optimise", "without the passes")
    .option("--coalesce", "mark nodes that make equal requests");
  define(
    program,
    "convert <file>",
    "write a workflow of any dialect as a native file",
    [],
    async (c, [file], flags) =>
      (await import("./commands/convert.ts")).convert(c, file ?? "", flags),
  )
    .option("--to <form>", "native (JSON) or yaml", "native")
    .option("--out <path>", "write it to a file instead")
    .option(...DIALECT);
  define(
    program,
    "analyse <file>",
    "what a workflow can do: paths, parallel work, proofs, conditions",
    [],
    async (c, [file], flags) =>
      (await import("./commands/analyse.ts")).analyse(c, file ?? "", flags),
  )
    .option("--durations <file>", "how long nodes take: JSON, milliseconds by node")
    .option("--paths <n>", "how many paths to list")
    .option(...DIALECT);
}

function addSimulationCommands(program: Command, define: Define): void {
  define(
    program,
    "simulate <file>",
    "what a workflow does, with mocks and virtual time",
    [],
    async (c, [file], flags) =>
      (await import("./commands/simulate.ts")).simulateCommand(c, file ?? "", flags),
  )
    .option(...INPUT)
    .option(...MOCK)
    .option("--seed <n>", SEED)
    .option("--interleavings <n>", "also try other orders: a number of them, or all")
    .option("--start-at <node>", "begin at this node instead of the entries")
    .option("--value <json>", "its input: JSON, @file, or - for stdin")
    .option("--given <json>", "outputs of nodes that do not run, by id; or: mocks")
    .option("--workers <n>", "so many, or by queue: gpu=2,default=8; without, one for every step")
    .option(...DIALECT);
  define(
    program,
    "what-if <file>",
    "how long many runs take on so many workers, and what holds them up",
    [],
    async (c, [file], flags) =>
      (await import("./commands/what-if.ts")).whatIfCommand(c, file ?? "", flags),
  )
    .option(...INPUT)
    .option(...MOCK)
    .option("--seed <n>", SEED)
    .option("--runs <n>", "how many runs; 1 by default")
    .option("--rate <n>", "runs that come a second, or such as 30/min; without, all at once")
    .option("--arrivals <kind>", "poisson (by chance, the default) or even")
    .option("--workers <n...>", "so many, or by queue: gpu=2,default=8; several to compare")
    .option("--limit <limit...>", "NODE=3 at one time, NODE=5/s, queue:NAME=10/s")
    .option(...DIALECT);
  define(
    program,
    "test <files...>",
    "run the cases of workflow test files",
    [],
    async (c, args, flags) => (await import("./commands/test.ts")).test(c, args, flags),
  )
    .option("--junit <file>", "write the results for CI systems, too")
    .option("--filter <text>", "only cases whose names have this text in them");
}

const INPUT = ["--input <json>", "the run's input: JSON, @file, or - for stdin"] as const;
const MOCK = ["--mock <file>", "what steps that reach outside answer (YAML or JSON)"] as const;
const SEED = "for durations and failures that are drawn, and for interleavings";

function addPictureCommands(
  program: Command,
  services: readonly OptionName[],
  define: Define,
): void {
  define(
    program,
    "graph [file]",
    "draw a workflow, or how a run of it went",
    services,
    async (c, [file], flags) => (await import("./commands/graph.ts")).graph(c, file, flags),
  )
    .option("--format <form>", "text, mermaid, dot or svg", "text")
    .option("--run <run>", "the workflow of this run, with states and durations")
    .option("--out <path>", "write it to a file instead")
    .option(...DIALECT);
  define(
    program,
    "diff <old> <new>",
    "what a new version of a workflow changes",
    [],
    async (c, [before, after], flags) =>
      (await import("./commands/diff.ts")).diff(c, before ?? "", after ?? "", flags),
  )
    .option("--format <form>", "text, svg, mermaid or dot", "text")
    .option("--out <path>", "write it to a file instead");
}
