/**
 * The end of a run of the bench: every budget, what was measured, whether it is met, and for what
 * is not: where the time goes.
 */
import { FIGURE_BUDGETS, keeps, THROUGHPUT_BUDGETS, type ThroughputBudget } from "./budgets.ts";
import { ratioTo, table, throughputGroups } from "./report.ts";
import { rateOf, type FigureRow, type ProfileRow, type Row, type ThroughputRow } from "./rows.ts";
import { median, round } from "./usage.ts";

/** One line per budget, measured or not. */
export function budgetTable(rows: readonly Row[]): string {
  const head = ["row", "budget", "measured", "", "why"];
  const lines = [
    ...THROUGHPUT_BUDGETS.flatMap((budget) => throughputLines(budget, rows)),
    ...FIGURE_BUDGETS.map((budget) => {
      const { figure, unit, row, atMost, atLeast } = budget;
      const limit = atMost === undefined ? `>= ${atLeast}` : `<= ${atMost}`;
      const found = rows.find(
        (one): one is FigureRow => one.kind === "figure" && one.name === figure,
      );
      const what = [`${row}: ${figure}`, `${limit} ${unit}`];
      return found === undefined
        ? [...what, "-", "not measured", failureOf(rows, row)]
        : [
            ...[...what, `${found.value} ${unit}`],
            ...(keeps(found.value, budget) ? ["met", ""] : ["not met", found.note ?? ""]),
          ];
    }),
  ];
  return `Budgets\n${table([head, ...lines])}`;
}

function throughputLines(budget: ThroughputBudget, rows: readonly Row[]): string[][] {
  const { workload, stepsPerSecond, floor, peer } = budget;
  const group = throughputGroups(rows).find(
    ([first]) => first?.workload === workload && first.system === "gavotte",
  );
  const percent = (share: number): string => `${round(share * 100, 0)} %`;
  const times = (ratio: number): string => `${round(ratio, 1)} x`;
  const line = (
    what: string,
    wanted: number,
    found: number | null,
    show: (value: number) => string,
  ): string[] => {
    const start = [`${workload}: ${what}`, `>= ${show(wanted)}`];
    if (found === null) {
      return [...start, "-", "not measured", failureOf(rows, workload)];
    }
    const met = found >= wanted;
    return [...start, show(found), met ? "met" : "not met", met ? "" : costs(group ?? [], rows)];
  };
  const rate = group === undefined ? null : median(group.map(rateOf));
  const to = (system: "journalled floor" | "bullmq"): number | null =>
    group === undefined ? null : ratioTo(group, rows, system);
  return [
    line("steps/s", stepsPerSecond, rate, String),
    line("of the journalled floor", floor, to("journalled floor"), percent),
    line("times BullMQ flows", peer, to("bullmq"), times),
  ];
}

/** Where a step's CPU goes, and what is at the top of the dearest process' profile. */
function costs(group: readonly ThroughputRow[], rows: readonly Row[]): string {
  const row = group.at(-1);
  if (row === undefined) {
    return "";
  }
  const dearest = Object.entries(row.usage.cpu)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([name, seconds]) => [name, round((seconds / row.steps) * 1e6, 1)] as const);
  const parts = dearest.map(([name, micros]) => `${name} ${micros}`).join(", ");
  const others = round((row.usage.others / row.usage.seconds) * 100, 0);
  const top = topOf(rows, dearest.find(([name]) => name !== "redis")?.[0] ?? "");
  return `us/step: ${parts}; others ${others} % of a core${top === "" ? "" : `; ${top}`}`;
}

function topOf(rows: readonly Row[], process: string): string {
  const profile = rows.find(
    (row): row is ProfileRow => row.kind === "profile" && row.process.includes(process),
  );
  const line = profile?.top.find(({ where }) => !where.startsWith("("));
  return line === undefined ? "" : `${process}: ${line.percent} % in ${line.where}`;
}

function failureOf(rows: readonly Row[], name: string): string {
  const found = rows.find((row) => row.kind === "failure" && row.name.includes(name));
  return found?.kind === "failure" ? found.error.split("\n", 1)[0]! : "";
}
