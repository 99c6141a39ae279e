/** The table for people, and what the results' file says about the machine. */
import { cpus, hostname, totalmem } from "node:os";
import { keeps, type FigureRow, type Row, type ThroughputRow } from "./rows.ts";
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

/** bench/results/<date>-<host>.json */
export function resultFile({ host }: Machine, at: Date): URL {
  const date = at.toISOString().slice(0, 16).replaceAll(":", "");
  return new URL(`results/${date}-${host}.json`, import.meta.url);
}

/** Budgets of throughput; the ratios count more than the rate, which is the machine's too. */
const FLOOR_SHARE_MIN = 0.7;
const STEPS_PER_SECOND_MIN = 25_000;
const PEER_RATIO_MIN = 6;

/** One line per workload and system: the middle of the rounds, and ratios within the rounds. */
export function throughputTable(rows: readonly Row[]): string {
  const all = rows.filter((row): row is ThroughputRow => row.kind === "throughput");
  if (all.length === 0) {
    return "";
  }
  const groups = new Map<string, ThroughputRow[]>();
  for (const row of all) {
    const key = `${row.workload} ${row.system}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const lines = [...groups.values()].map((group) => lineOf(group, all));
  const head = [
    ...["workload", "system", "steps/s", "in Redis", "of floor", "x peer", "budget"],
    ...["redis us", "script us", "CPU us/step by process", "others, of a core"],
  ];
  return table([head, ...lines]);
}

function lineOf(group: readonly ThroughputRow[], all: readonly ThroughputRow[]): string[] {
  const rate = median(group.map(rateOf));
  const [first] = group;
  const { workload = "", system = "floor" } = first ?? {};
  const floor = ratio(group, all, "journalled floor");
  const peer = ratio(group, all, "bullmq");
  const perStep = (of: (row: ThroughputRow) => number): number =>
    round(median(group.map((row) => of(row) / row.steps)) * 1e6, 1);
  const processes = Object.keys(first?.usage.cpu ?? {});
  const cpu = processes.map((name) => `${name} ${perStep(({ usage }) => usage.cpu[name] ?? 0)}`);
  const others = median(group.map(({ usage }) => usage.others / usage.seconds));
  const own = system === "gavotte" ? budgetOf(rate, floor, peer) : "";
  return [
    ...[workload, system, String(rate), String(median(group.map((row) => row.stepsPerSecond)))],
    system === "gavotte" && floor !== null ? `${round(floor * 100, 0)} %` : "",
    system === "gavotte" && peer !== null ? String(round(peer, 1)) : "",
    own,
    String(perStep(({ usage }) => usage.cpu["redis"] ?? 0)),
    String(perStep(({ usage }) => usage.redis.scriptMicros / 1e6)),
    cpu.filter((text) => !text.startsWith("redis")).join(", "),
    `${round(others * 100, 0)} %`,
  ];
}

/** The rate that is compared: until durable, where that is measured. */
export function rateOf(row: ThroughputRow): number {
  return row.durableStepsPerSecond ?? row.stepsPerSecond;
}

/** The middle of the rounds' ratios to another system; null where that was not measured. */
function ratio(
  group: readonly ThroughputRow[],
  all: readonly ThroughputRow[],
  system: ThroughputRow["system"],
): number | null {
  const ratios = group.flatMap((row) => {
    const other = all.find(
      (one) => one.system === system && one.workload === row.workload && one.round === row.round,
    );
    return other === undefined ? [] : [rateOf(row) / rateOf(other)];
  });
  return ratios.length === 0 ? null : median(ratios);
}

function budgetOf(rate: number, floor: number | null, peer: number | null): string {
  if (floor === null) {
    return "";
  }
  const kept = [
    rate >= STEPS_PER_SECOND_MIN,
    floor >= FLOOR_SHARE_MIN,
    ...(peer === null ? [] : [peer >= PEER_RATIO_MIN]),
  ];
  const names = ["25,000/s", "70 %", "6 x"];
  const missed = names.filter((_, i) => kept[i] === false);
  return missed.length === 0 ? "kept" : `missed ${missed.join(", ")}`;
}

/** Everything that is a single figure, with its budget. */
export function figureTable(rows: readonly Row[]): string {
  const all = rows.filter((row): row is FigureRow => row.kind === "figure");
  if (all.length === 0) {
    return "";
  }
  const lines = all.map((row) => {
    const { name, value, unit, budget, note } = row;
    const limit = budget === null ? "" : `${budget.atMost ?? budget.atLeast} ${unit}`;
    const sign = budget === null ? "" : budget.atMost === undefined ? ">= " : "<= ";
    const verdict = { true: "kept", false: "missed", null: "" }[`${keeps(row)}`];
    return [name, `${value} ${unit}`, sign + limit, verdict, note ?? ""];
  });
  return table([["figure", "measured", "budget", "", "note"], ...lines]);
}

/** Columns set under each other. */
function table(lines: readonly string[][]): string {
  const widths = (lines[0] ?? []).map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  const text = lines.map((line) => line.map((cell, i) => cell.padEnd(widths[i]!)).join("  "));
  return `${text.map((line) => line.trimEnd()).join("\n")}\n`;
}
