/** What is served is what the catalogue says, and no more of it than it says. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Durations } from "../../sdk/internal.ts";
import { METRICS, QUEUES_MAX, type MetricName, type MetricSpec } from "./catalogue.ts";
import { addSupervisor, QueueNames } from "./collect.ts";
import { Samples } from "./samples.ts";
import { MetricsText } from "./text.ts";

/** What the page has an adapter call the sum that workers are added by. */
const ADAPTED = "gavotte_work";
const SPECS = Object.entries(METRICS) as [MetricName, MetricSpec][];

it("names have the prefix, counters end in _total, and units are seconds and bytes", () => {
  for (const [name, { type, about, high }] of SPECS) {
    expect(name).toMatch(/^gavotte_[a-z]+(_[a-z]+)*$/);
    expect([name, name.endsWith("_total")]).toEqual([name, type === "counter"]);
    expect([name, type !== "histogram" || name.endsWith("_seconds")]).toEqual([name, true]);
    expect(name).not.toMatch(/_(ms|kb|mb|percent)$/);
    expect(about.length * high.length, name).toBeGreaterThan(0);
  }
});

it("no label is an id of a run, node, tenant or workflow", () => {
  const labels = new Set(SPECS.flatMap(([, { labels = [] }]) => labels));
  expect([...labels].sort()).toEqual(
    ["code", "kind", "method", "outcome", "priority", "queue", "result", "role", "roles", "route"]
      .concat(["script", "state", "status", "store", "version"])
      .sort(),
  );
});

it("the pages name no metric that there is not", () => {
  const folder = new URL("../../docs/", import.meta.url);
  const known = new Set<string>([...Object.keys(METRICS), ADAPTED]);
  const pages = readdirSync(folder).filter((file) => file.endsWith(".md"));
  const named = pages.flatMap((file) => {
    const text = readFileSync(new URL(file, folder), "utf8");
    return [...text.matchAll(/\bgavotte_[a-z_]+/g)].map(([name]) => name.replace(/_bucket$/, ""));
  });
  expect(named.length).toBeGreaterThan(SPECS.length);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});

it("writes buckets, help and values as Prometheus reads them, and nothing of what is not known", async () => {
  const samples = new Samples();
  const times = new Durations();
  [0.2, 3, 1e9].forEach((ms) => times.observe(ms));
  samples.add("gavotte_step_seconds", times, { kind: 'f"n' });
  samples.add("gavotte_runs_ended_total", 2, { status: "FAILED" });
  samples.add("gavotte_runs_ended_total", 3, { status: "FAILED" });
  const text = await new MetricsText().of(samples);
  const lines = text.split("\n");
  expect(lines).toContain("# TYPE gavotte_step_seconds histogram");
  expect(lines).toContain("# TYPE gavotte_runs_ended_total counter");
  expect(lines).toContain('gavotte_runs_ended_total{status="FAILED"} 5');
  expect(lines).toContain('gavotte_step_seconds_bucket{kind="f\\"n",le="0.00025"} 1');
  expect(lines).toContain('gavotte_step_seconds_bucket{kind="f\\"n",le="0.004"} 2');
  expect(lines).toContain('gavotte_step_seconds_bucket{kind="f\\"n",le="+Inf"} 3');
  expect(lines).toContain('gavotte_step_seconds_count{kind="f\\"n"} 3');
  expect(lines).toContain('gavotte_step_seconds_sum{kind="f\\"n"} 1000000.0032');
  expect(text).toContain("nodejs_eventloop_lag_seconds");
  expect(text).not.toContain("gavotte_queue_tokens");
});

it("of many queues the first keep their names, the rest is one", () => {
  const names = new QueueNames();
  const queues = Array.from({ length: 3 * QUEUES_MAX }, (_, i) => `fn:f${i}`);
  const loads = queues.map((queue) => {
    return { queue, priority: "normal", waiting: 1, held: 0, oldestMs: 1000 };
  });
  for (const order of [loads, [...loads].reverse()]) {
    const samples = new Samples();
    const partition = { queues: order, lagRecords: 0, lagMs: 0, journalBytes: 0, timersDue: 0 };
    const more = { timersWaiting: 0, timersLateMs: 0, releases: 0, pausedRuns: 0, quarantined: 0 };
    addSupervisor(samples, factsOf({ partitions: [{ ...partition, ...more }] }), names);
    const told = samples.of("gavotte_queue_tokens");
    expect(told).toHaveLength(2 * (QUEUES_MAX + 1));
    expect(told.find(({ labels }) => labels["queue"] === "other")?.value).toBe(2 * QUEUES_MAX);
    expect(told.find(({ labels }) => labels["queue"] === "fn:f0")?.value).toBe(1);
    expect(samples.of("gavotte_queue_oldest_seconds")).toHaveLength(QUEUES_MAX + 1);
  }
});

function factsOf(load: { partitions: object[] }): Parameters<typeof addSupervisor>[1] {
  const none = { rejected: new Map(), ended: new Map(), commits: new Durations() };
  const zero = { accepted: 0, started: 0, deadLetters: 0, records: 0, transitions: 0 };
  const counts = { ...none, ...zero, timersFired: 0 };
  const workflows = { hits: 0, misses: 0 };
  const stand = { roles: 1, held: 1, partitions: 1, stalled: 0 };
  return { counts, load, workflows, ...stand } as unknown as Parameters<typeof addSupervisor>[1];
}
