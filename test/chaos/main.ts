/**
 * `npm run chaos -- [--runs 20000] [--seed N] [--faults 40] [--workers 3] [--out FILE]`: the whole
 * engine as real processes under load, everything killed at random; prints a report and ends with 1
 * if a run was lost, doubled or wrong. `-- --kills 10000 [--workers 4]`: all workers are killed
 * again and again instead, and runs submitted until that is over, or until SIGINT.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { badOf, runChaos } from "./run.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string" },
    kills: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
    faults: { type: "string", default: "40" },
    workflows: { type: "string", default: "60" },
    workers: { type: "string" },
    supervisors: { type: "string", default: "2" },
    maps: { type: "boolean", default: true },
    sleep: { type: "boolean", default: false },
    out: { type: "string" },
  },
});

const kills = Number(values.kills);
const enough = new AbortController();
if (kills > 0) {
  process.once("SIGINT", () => enough.abort());
}
const report = await runChaos({
  kills,
  enough: enough.signal,
  seed: Number(values.seed),
  runs: Number(values.runs ?? (kills > 0 ? 0 : 20_000)),
  faults: Number(values.faults),
  workflows: Number(values.workflows),
  workers: Number(values.workers ?? (kills > 0 ? 4 : 3)),
  supervisors: Number(values.supervisors),
  maps: values.maps,
  sleep: values.sleep,
  log: (text) => process.stderr.write(`${new Date().toISOString()} ${text}\n`),
});

const bad = badOf(report);
const faults: { [name: string]: number } = {};
report.faults.forEach((name) => (faults[name] = (faults[name] ?? 0) + 1));
const counts = Object.entries(bad).map(([name, list]) => [name, list.length] as const);
const examples = Object.values(bad).flatMap((list) => list.slice(0, 5));
const summary = { ...report, faults, ...Object.fromEntries(counts), examples };
const text = `${JSON.stringify(summary, null, 2)}\n`;
process.stdout.write(text);
if (values.out !== undefined) {
  writeFileSync(values.out, text);
}
process.exit(examples.length > 0 ? 1 : 0);
