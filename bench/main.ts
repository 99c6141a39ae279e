/**
 * The bench: measures the engine against the floor program, and against peers if asked, in the
 * same minutes on the same services; prints tables and writes bench/results/.
 *
 * Rates of a shared machine change from minute to minute, so what counts are ratios: the systems
 * take turns on each workload, and the table shows the middle of the rounds. docs/benchmarks.md
 * tells the method and what may be compared with what.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { within } from "../cmd/embedded/child.ts";
import { budgetTable } from "./budget-table.ts";
import { buildRole } from "./build.ts";
import { capacityTable } from "./capacity.ts";
import { CATALOGUE, type BenchRow } from "./catalogue.ts";
import { Lab } from "./lab.ts";
import { readOptions, usage, type BenchOptions } from "./options.ts";
import { preparePeer } from "./peer.ts";
import { profileText } from "./profiles.ts";
import {
  commandTable,
  failureList,
  figureTable,
  machine,
  resultFile,
  throughputTable,
} from "./report.ts";
import type { ProfileRow, Row } from "./rows.ts";
import { startServices, type Services } from "./services.ts";

/** What has begun in time gets so much more with --all, so that the whole has an end. */
const GRACE_MINUTES = 3;

function wanted({ only, all }: BenchOptions): readonly BenchRow[] {
  return only.length > 0
    ? CATALOGUE.filter(({ name }) => only.includes(name))
    : CATALOGUE.filter(({ when }) => all || when === "usual");
}

/** One row after the other; one that fails or hangs is told, and the next meets nothing of it. */
async function measureRows(lab: Lab): Promise<void> {
  const start = performance.now();
  for (const row of wanted(lab.options)) {
    const minutes = (performance.now() - start) / 60_000;
    if (minutes > lab.options.minutes) {
      lab.add({
        kind: "failure",
        name: row.name,
        error: `left out: ${minutes.toFixed(0)} minutes`,
      });
      continue;
    }
    try {
      const left = (lab.options.minutes + GRACE_MINUTES - minutes) * 60;
      const limit = lab.options.all ? Math.min(row.limitSeconds, left) : row.limitSeconds;
      await within(row.measure(lab), limit * 1000, `"${row.name}" does not end`);
    } catch (error) {
      console.error(error);
      lab.add({ kind: "failure", name: row.name, error: String(error) });
      await lab.renew().catch((cause: unknown) => console.error(cause));
    }
  }
  await lab.close();
}

function tell(services: Services, options: BenchOptions, rows: readonly Row[]): void {
  const about = machine(services.versions);
  console.log(`${about.cpu}, ${about.cores} cores, ${about.memory}; Node ${about.node}`);
  console.log(`Redis ${about.redis}; ${about.postgres}\n`);
  console.log(throughputTable(rows));
  console.log(commandTable(rows));
  console.log(figureTable(rows));
  const profiles = rows.filter((row): row is ProfileRow => row.kind === "profile");
  profiles.forEach((profile) => console.log(profileText(profile)));
  console.log(capacityTable(rows));
  console.log(budgetTable(rows));
  console.log(failureList(rows));
  const file = resultFile(about, new Date(), options.quick);
  mkdirSync(new URL("results/", import.meta.url), { recursive: true });
  const result = { ...about, command: process.argv.slice(2), options, rows };
  writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
}

async function main(options: BenchOptions): Promise<void> {
  // A peer that cannot be installed is one row less, not the end.
  const peers = options.peers.filter(preparePeer);
  await buildRole();
  const services = await startServices();
  const lab = new Lab(services, { ...options, peers }, (line) => console.error(line));
  for (const peer of options.peers.filter((name) => !peers.includes(name))) {
    lab.add({ kind: "failure", name: peer, error: "its packages could not be installed" });
  }
  try {
    await measureRows(lab);
  } finally {
    await services.stop();
  }
  tell(services, options, lab.rows);
  process.exitCode = lab.rows.some(({ kind }) => kind === "failure") ? 1 : 0;
}

const options = readOptions(process.argv.slice(2));
if (options.help) {
  console.log(usage());
} else {
  await main(options);
}
