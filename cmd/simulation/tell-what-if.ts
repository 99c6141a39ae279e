/** Simulated workloads for people: one in full, several side by side. */
import { formatMs, type Output } from "../output.ts";
import type { Spread } from "./measures.ts";
import type { WhatIf } from "./what-if.ts";

export interface Scenario {
  /** As it was asked for: `4`, or `gpu=2,default=8`; `as many as needed` without. */
  workers: string;
  report: WhatIf;
}

/** Rows of queues and nodes that are shown. */
const SHOWN = 12;

/** Writes all scenarios; of several first a table to compare them. */
export function tellWhatIf(output: Output, scenarios: readonly Scenario[]): void {
  if (scenarios.length > 1) {
    output.table(comparison(scenarios));
    output.line("");
  }
  scenarios.forEach(({ workers, report }, i) => {
    if (i > 0) output.line("");
    output.line(`workers: ${workers}`);
    tellOne(output, report);
  });
}

function comparison(scenarios: readonly Scenario[]): string[][] {
  return [
    ["WORKERS", "MAKESPAN", "RUNS/S", "P50", "P95", "P99", "BUSIEST", "BOTTLENECK"],
    ...scenarios.map(({ workers, report }) => {
      const { makespan_ms: makespan, runs_per_s: rate, latency_ms: spread, bottleneck } = report;
      const busiest = Math.max(0, ...report.pools.map(({ utilisation }) => utilisation ?? 0));
      return [
        ...[workers, formatMs(makespan), rate.toFixed(2)],
        ...[formatMs(spread.p50), formatMs(spread.p95), formatMs(spread.p99)],
        ...[percent(busiest), `${bottleneck.kind} ${bottleneck.name}`.trim()],
      ];
    }),
  ];
}

function tellOne(output: Output, report: WhatIf): void {
  const { runs, statuses, makespan_ms: makespan, runs_per_s: rate } = report;
  const ends = Object.entries(statuses).map(([status, count]) => `${count} ${status}`);
  output.line(
    `${runs} runs in ${formatMs(makespan)}, ${rate.toFixed(2)} a second: ${ends.join(", ")}`,
  );
  output.line(`latency     ${spreadText(report.latency_ms)}`);
  output.line(`bottleneck  ${report.bottleneck.text}`);
  if (report.pools.length > 0) {
    output.line("");
    output.table([
      ["WORKERS OF", "NUMBER", "BUSY", "EXECUTIONS", "WAIT MEAN", "P50", "P95", "P99", "LONGEST"],
      ...report.pools.map((pool) => [
        ...[pool.pool, pool.workers === null ? "any" : String(pool.workers)],
        ...[pool.utilisation === null ? "-" : percent(pool.utilisation), String(pool.executions)],
        ...waitCells(pool.wait_ms),
        String(pool.longest),
      ]),
    ]);
  }
  if (report.queues.length > 1) {
    output.line("");
    output.table([
      ["QUEUE", "BUSY", "EXECUTIONS", "WAIT MEAN", "P50", "P95", "P99"],
      ...report.queues
        .slice(0, SHOWN)
        .map((queue) => [
          ...[queue.queue, queue.utilisation === null ? "-" : percent(queue.utilisation)],
          ...[String(queue.executions), ...waitCells(queue.wait_ms)],
        ]),
    ]);
  }
  for (const { limit, starts, waited_ms: waited } of report.limits) {
    output.line(`limit of ${limit}: ${starts} starts, put off ${formatMs(waited)} in all`);
  }
}

function spreadText({ mean, p50, p95, p99, max }: Spread): string {
  const parts = { mean, p50, p95, p99, max };
  return Object.entries(parts)
    .map(([name, ms]) => `${name} ${formatMs(ms)}`)
    .join("   ");
}

function waitCells({ mean, p50, p95, p99 }: Spread): string[] {
  return [mean, p50, p95, p99].map(formatMs);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}
