/**
 * `npm run torture -- [--minutes 30] [--seed 1] [--cases 25] [--out FILE]`: the property tests with
 * seed after seed until the time is over. Every round takes the next `cases` seeds in every test; a
 * round that has begun is finished. Prints what was played and what failed, with the smallest case
 * that fails, and ends with 1 if anything did.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

interface Played {
  cases: number;
  transitions: number;
  /** Workers that died with a token in their hands. */
  deaths: number;
}

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    seed: { type: "string", default: "1" },
    cases: { type: "string", default: "25" },
    out: { type: "string" },
  },
});
const [minutes, seed, cases] = [values.minutes, values.seed, values.cases].map((text) => {
  const number = Number(text);
  if (!(number > 0)) {
    throw new Error(`torture: "${text}" is no number above 0`);
  }
  return number;
}) as [number, number, number];

const dir = mkdtempSync(join(tmpdir(), "gavotte-torture-"));
const tally = join(dir, "tally");
const files: { [file: string]: Played } = {};
const failures: { test: string; replay: string; report?: string[] }[] = [];

/** One pass of vitest over all files. */
async function round(first: number): Promise<void> {
  writeFileSync(tally, "");
  const report = join(dir, "report.json");
  rmSync(report, { force: true });
  const args = ["--no-install", "vitest", "run", "test/property", "--reporter=json"];
  const env = { GAVOTTE_FIRST: String(first), GAVOTTE_CASES: String(cases), GAVOTTE_TALLY: tally };
  const child = spawn("npx", [...args, `--outputFile=${report}`], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  await new Promise((resolve) => child.once("exit", resolve));
  for (const line of readFileSync(tally, "utf8").split("\n").filter(Boolean)) {
    const { file, ...more } = JSON.parse(line) as Played & { file: string };
    const played = (files[file] ??= { cases: 0, transitions: 0, deaths: 0 });
    played.cases += more.cases;
    played.transitions += more.transitions;
    played.deaths += more.deaths;
  }
  addFailures(readFileSync(report, "utf8"), first);
}

/** What vitest's report says has failed. */
function addFailures(text: string, first: number): void {
  const report = JSON.parse(text) as {
    testResults: {
      name: string;
      message: string;
      assertionResults: { status: string; fullName: string; failureMessages: string[] }[];
    }[];
  };
  for (const { name, message, assertionResults } of report.testResults) {
    const failed = assertionResults.filter(({ status }) => status === "failed");
    for (const { fullName, failureMessages } of failed) {
      const text = failureMessages.join("\n");
      const [known] = /GAVOTTE_SEED=\d+/.exec(text) ?? [];
      const report = text.split("\n    at ", 1)[0]?.split("\n") ?? [];
      failures.push({ test: fullName, replay: known ?? `GAVOTTE_FIRST=${first}`, report });
    }
    if (failed.length === 0 && message !== "") {
      failures.push({ test: name.slice(name.lastIndexOf("/") + 1), replay: message.slice(0, 200) });
    }
  }
}

const started = performance.now();
const date = new Date().toISOString();
let next = seed;
try {
  while (performance.now() - started < minutes * 60_000) {
    const known = failures.length;
    await round(next);
    next += cases;
    for (const { test, replay, report } of failures.slice(known)) {
      process.stderr.write(`${[test, replay, ...(report ?? [])].join("\n")}\n`);
    }
    process.stderr.write(`seeds ${seed} to ${next - 1}: ${failures.length} failed\n`);
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}

const sum = (of: keyof Played): number =>
  Object.values(files).reduce((total, played) => total + played[of], 0);
const summary = {
  date,
  commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim(),
  minutes: Math.round((performance.now() - started) / 6000) / 10,
  seeds: { first: seed, last: next - 1 },
  cases: sum("cases"),
  transitions_checked: sum("transitions"),
  worker_deaths: sum("deaths"),
  failed: failures.length,
  failures,
  files,
};
const text = `${JSON.stringify(summary, null, 2)}\n`;
process.stdout.write(text);
if (values.out !== undefined) {
  writeFileSync(values.out, text);
}
process.exit(failures.length > 0 ? 1 : 0);
