/** The tables of metrics in docs/metrics.md, between their marks, made of the catalogue. */
import {
  GATEWAY_METRICS,
  PROCESS_METRICS,
  SUPERVISOR_METRICS,
  WORKER_METRICS,
  type MetricGroup,
  type MetricSpec,
} from "./catalogue.ts";

const BEGIN = "<!-- metrics -->\n";
const END = "<!-- /metrics -->";
const GROUPS: readonly (readonly [string, MetricGroup])[] = [
  ["Every process", PROCESS_METRICS],
  ["Workers", WORKER_METRICS],
  ["Supervisors", SUPERVISOR_METRICS],
  ["Gateways", GATEWAY_METRICS],
];

/** The document with its tables as they should be. */
export function withMetricsTables(document: string): string {
  const from = document.indexOf(BEGIN) + BEGIN.length;
  const to = document.indexOf(END);
  const tables = GROUPS.map(([title, metrics]) => `### ${title}\n\n${tableOf(metrics)}\n`);
  return `${document.slice(0, from)}\n${tables.join("")}${document.slice(to)}`;
}

function tableOf(metrics: MetricGroup): string {
  const rows = Object.entries(metrics).map(([name, spec]: [string, MetricSpec]) => {
    const labels = (spec.labels ?? []).map((label) => `\`${label}\``).join(", ");
    return `| \`${name}\` | ${spec.type} | ${labels} | ${spec.about} | ${spec.high} |\n`;
  });
  const head = "| name | type | labels | meaning | when it is not as it should be |\n";
  return `${head}| --- | --- | --- | --- | --- |\n${rows.join("")}`;
}
