/**
 * `npm run breaks [-- --only <regular expression>]`: breaks the code on purpose, one break at a time,
 * in a copy of the tree, and looks whether the test that should notice does. Writes
 * docs/evidence/breaks.md (with --only just the rows of those); ends with 1 if a break went
 * unnoticed, if its test fails without it, or if it no longer fits the code.
 */
import { execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { BREAKS, type Break } from "./break-list.ts";

interface Outcome {
  of: Break;
  /** What the test said, or why there is no answer. */
  verdict: "caught" | "NOT CAUGHT" | "DOES NOT FIT" | "TEST FAILS ANYWAY";
  /** First line of the failure. */
  said: string;
}

const root = fileURLToPath(new URL("../../", import.meta.url));
const REPORT = join(root, "docs/evidence/breaks.md");
const LIMIT_MS = 150_000;
/** Cases of a property test: a break that needs more seeds than this is not caught for sure. */
const CASES = "25";

const { values } = parseArgs({ options: { only: { type: "string", default: "" } } });

/** The tree as it is here, with the same packages. */
function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), "gavotte-breaks-"));
  const listed = execFileSync("git", ["ls-files", "--cached", "-z"], { cwd: root });
  for (const path of listed.toString().split("\0").filter(Boolean)) {
    if (existsSync(join(root, path))) {
      mkdirSync(dirname(join(copy, path)), { recursive: true });
      cpSync(join(root, path), join(copy, path));
    }
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  return copy;
}

/** Runs one test; its first failure, null if it passes. Nothing found by that name is a failure. */
async function failureOf(copy: string, { test, name }: Break): Promise<string | null> {
  const out = join(copy, "report.json");
  rmSync(out, { force: true });
  const named = name === "" ? [] : ["-t", name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")];
  const args = ["--no-install", "vitest", "run", "--project=single", test, ...named];
  const child = spawn("npx", [...args, "--bail=1", "--reporter=json", `--outputFile=${out}`], {
    ...{ cwd: copy, detached: true, stdio: "ignore" },
    env: { ...process.env, GAVOTTE_CASES: CASES, GAVOTTE_SHRINK_SECONDS: "0" },
  });
  const timer = setTimeout(() => process.kill(-(child.pid as number), "SIGKILL"), LIMIT_MS);
  await new Promise((resolve) => child.once("exit", resolve));
  clearTimeout(timer);
  if (!existsSync(out)) {
    return `no end within ${LIMIT_MS / 1000} s`;
  }
  const report = JSON.parse(readFileSync(out, "utf8")) as {
    numPassedTests: number;
    testResults: { message: string; assertionResults: { failureMessages: string[] }[] }[];
  };
  const said = report.testResults.flatMap(({ message, assertionResults }) => [
    ...assertionResults.flatMap(({ failureMessages }) => failureMessages),
    message,
  ]);
  const [first] = said.filter((text) => text !== "");
  return first ?? (report.numPassedTests > 0 ? null : "no such test");
}

async function generated(copy: string): Promise<void> {
  execFileSync("npx", ["--no-install", "tsx", "scripts/dev/gen.ts"], {
    cwd: copy,
    stdio: "ignore",
  });
}

async function tryBreak(copy: string, one: Break): Promise<Outcome> {
  const path = join(copy, one.file);
  const before = readFileSync(path, "utf8");
  if (before.split(one.find).length !== 2) {
    return { of: one, verdict: "DOES NOT FIT", said: `${one.file} has not one such place` };
  }
  const anyway = await failureOf(copy, one);
  if (anyway !== null) {
    return { of: one, verdict: "TEST FAILS ANYWAY", said: anyway };
  }
  try {
    writeFileSync(
      path,
      before.replace(one.find, () => one.replace),
    );
    await generated(copy);
    const said = await failureOf(copy, one);
    return { of: one, verdict: said === null ? "NOT CAUGHT" : "caught", said: said ?? "" };
  } finally {
    writeFileSync(path, before);
    await generated(copy);
  }
}

/** The first line of a failure, short, and without what differs from run to run. */
function brief(text: string): string {
  // The colours of a terminal.
  const plain = text.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, "g"), "");
  const cause = /Caused by: [^\n]*|cause: [^\n]*/.exec(plain)?.[0];
  const line = (cause ?? plain.split("\n")[0] ?? "").replaceAll("|", "\\|");
  return line.length > 110 ? `${line.slice(0, 110)}…` : line;
}

function rowOf({ of, verdict, said }: Outcome): string {
  const test = `\`${of.test}\`${of.name === "" ? "" : ` "${of.name}"`}`;
  return `| ${of.holds} | ${of.broken} (\`${of.file}\`) | ${test} | ${verdict}: ${brief(said)} |`;
}

function table(outcomes: readonly Outcome[]): string {
  const fresh = new Map(outcomes.map((outcome) => [outcome.of, outcome]));
  const before = existsSync(REPORT) ? readFileSync(REPORT, "utf8").split("\n") : [];
  const rows = BREAKS.flatMap((one) => {
    const outcome = fresh.get(one);
    const known = before.find((line) => line.includes(`| ${one.broken} (`));
    return outcome !== undefined ? [rowOf(outcome)] : known !== undefined ? [known] : [];
  });
  return [
    "| what holds | the break | the test | what it says |",
    "| --- | --- | --- | --- |",
    ...rows,
  ]
    .join("\n")
    .concat("\n");
}

const copy = copyTree();
const outcomes: Outcome[] = [];
try {
  for (const one of BREAKS) {
    if (new RegExp(values.only).test(`${one.holds} ${one.broken}`)) {
      const outcome = await tryBreak(copy, one);
      outcomes.push(outcome);
      process.stderr.write(`${outcome.verdict}: ${one.broken}: ${brief(outcome.said)}\n`);
    }
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
const about =
  "# Deliberate breaks\n\nEach invariant of the token protocol and each promise, a change of the " +
  "code after which it does not hold, and the test that notices. Written by `npm run breaks` " +
  "(`scripts/dev/breaks.ts`); before each break the same test passes.\n\n";
writeFileSync(REPORT, about + table(outcomes));
process.exit(outcomes.every(({ verdict }) => verdict === "caught") ? 0 : 1);
