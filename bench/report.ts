/** The tables for people, and what the results' file says about the machine. */
import { cpus, hostname, totalmem } from "node:os";
import { keeps } from "./budgets.ts";
import { rateOf, type FailureRow, type FigureRow, type Row, type System } from "./rows.ts";
import type { ThroughputRow } from "./rows.ts";
import { median, round } from "./usage.ts";

export interface Machine {
  host: string;
  cpu: string;
  cores: number;
  memory: string;
  node: string;
  redis: string;
  postgres: string;
}

/** What the figures were taken on. */
export function machine(versions: { redis: string; postgres: string }): Machine {
  return {
    host: hostname(),
    cpu: cpus()[0]?.model ?? "unknown CPU",
    cores: cpus().length,
    memory: `${round(totalmem() / 2 ** 30, 0)} GiB`,
    node: process.version,
    ...versions,
  };
}

/** bench/results/<date>-<host>.json; what was quick is named so, and is not kept in git. */
export function resultFile({ host }: Machine, at: Date, quick: boolean): URL {
  const date = at.toISOString().slice(0, 16).replaceAll(":", "");
  return new URL(`results/${date}-${host}${quick ? "-quick" : ""}.json`, import.meta.url);
}

/** The rounds of one system on one workload. */
export function throughputGroups(rows: readonly Row[]): ThroughputRow[][] {
  const groups = new Map<string, ThroughputRow[]>();
  for (const row of rows) {
    if (row.kind === "throughput") {
      const key = `${row.workload} ${row.system}`;
      groups.set(key, [...(groups.get(key) ?? []), row]);
    }
  }
  return [...groups.values()];
}

/** One line per workload and system: the middle of the rounds, and ratios within the rounds. */
export function throughputTable(rows: readonly Row[]): string {
  const groups = throughputGroups(rows);
  if (groups.length === 0) {
    return "";
  }
  const lines = groups.map((group) => lineOf(group, rows));
  const head = [
    ...["workload", "system", "steps/s", "in Redis", "of floor", "x bullmq", "x dbos"],
    ...["redis us", "script us", "CPU us/step by process", "others, of a core"],
  ];
  return table([head, ...lines]);
}

function lineOf(group: readonly ThroughputRow[], all: readonly Row[]): string[] {
  const [first] = group;
  const { workload = "", system = "floor" } = first ?? {};
  const perStep = (of: (row: ThroughputRow) => number): number =>
    round(median(group.map((row) => of(row) / row.steps)) * 1e6, 1);
  const processes = Object.keys(first?.usage.cpu ?? {});
  const cpu = processes.map((name) => `${name} ${perStep(({ usage }) => usage.cpu[name] ?? 0)}`);
  const others = median(group.map(({ usage }) => usage.others / usage.seconds));
  const times = (other: System): string => {
    const found = system === "gavotte" ? ratioTo(group, all, other) : null;
    return found === null ? "" : String(round(found, 1));
  };
  const floor = system === "gavotte" ? ratioTo(group, all, "journalled floor") : null;
  return [
    ...[workload, system, String(median(group.map(rateOf)))],
    String(median(group.map((row) => row.stepsPerSecond))),
    floor === null ? "" : `${round(floor * 100, 0)} %`,
    ...[times("bullmq"), times("dbos")],
    String(perStep(({ usage }) => usage.cpu["redis"] ?? 0)),
    String(perStep(({ usage }) => usage.redis.scriptMicros / 1e6)),
    cpu.filter((text) => !text.startsWith("redis")).join(", "),
    `${round(others * 100, 0)} %`,
  ];
}

/** The middle of the rounds' ratios to another system; null where that was not measured. */
export function ratioTo(
  group: readonly ThroughputRow[],
  all: readonly Row[],
  system: System,
): number | null {
  const ratios = group.flatMap((row) => {
    const other = all.find(
      (one): one is ThroughputRow =>
        one.kind === "throughput" &&
        one.system === system &&
        one.workload === row.workload &&
        one.round === row.round,
    );
    return other === undefined ? [] : [rateOf(row) / rateOf(other)];
  });
  return ratios.length === 0 ? null : median(ratios);
}

/** Commands per step that are worth a column. */
const COMMANDS_TOLD = 7;
/** What this process asks itself. */
const ASKED_BY_BENCH = /^(config|info|client|time|zcard|xlen|xrevrange|memory)/;

/** Redis' time per step by command, for the engine: where a step's time in Redis goes. */
export function commandTable(rows: readonly Row[]): string {
  const groups = throughputGroups(rows).filter(([first]) => first?.system === "gavotte");
  if (groups.length === 0) {
    return "";
  }
  const lines = groups.map((group) => {
    const row = group.at(-1) as ThroughputRow;
    const commands = Object.entries(row.usage.redis.commands)
      .filter(([name]) => !ASKED_BY_BENCH.test(name))
      .sort(([, a], [, b]) => b.micros - a.micros)
      .slice(0, COMMANDS_TOLD)
      .map(([name, { calls, micros }]) => {
        const [each, often] = [round(micros / row.steps, 2), round(calls / row.steps, 2)];
        return `${name} ${each} (${often} x)`;
      });
    return [row.workload, commands.join(", ")];
  });
  const head = [
    "workload",
    "Redis us per step by command (calls per step); evalsha holds the rest",
  ];
  return table([head, ...lines]);
}

/** Everything that is a single figure, with its budget. */
export function figureTable(rows: readonly Row[]): string {
  const all = rows.filter((row): row is FigureRow => row.kind === "figure");
  if (all.length === 0) {
    return "";
  }
  const lines = all.map(({ name, value, unit, budget, note }) => {
    const limit = budget === null ? "" : `${budget.atMost ?? budget.atLeast} ${unit}`;
    const sign = budget === null ? "" : budget.atMost === undefined ? ">= " : "<= ";
    const verdict = budget === null ? "" : keeps(value, budget) ? "met" : "not met";
    return [name, `${value} ${unit}`, sign + limit, verdict, note ?? ""];
  });
  return table([["figure", "measured", "budget", "", "note"], ...lines]);
}

/** What was not measured. */
export function failureList(rows: readonly Row[]): string {
  const failures = rows.filter((row): row is FailureRow => row.kind === "failure");
  return failures.map(({ name, error }) => `NOT MEASURED: ${name}: ${error}`).join("\n");
}

/** Columns set under each other. */
export function table(lines: readonly string[][]): string {
  const widths = (lines[0] ?? []).map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  const text = lines.map((line) => line.map((cell, i) => cell.padEnd(widths[i]!)).join("  "));
  return `${text.map((line) => line.trimEnd()).join("\n")}\n`;
}
