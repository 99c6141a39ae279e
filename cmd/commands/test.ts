/** `gavotte test FILE.test.yaml…`: cases of workflows, simulated. */
import { writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { formatMs } from "../output.ts";
import { readText, readWorkflow, tellDiagnostics } from "../read-workflow.ts";
import type { CaseResult } from "../simulation/cases.ts";
import { addCoverage } from "../simulation/coverage.ts";
import { differenceText } from "../simulation/diff.ts";
import type { FileResult } from "../simulation/junit.ts";
import { coverageLines } from "../simulation/tell-simulation.ts";

export interface TestFlags {
  junit?: unknown;
  filter?: unknown;
}

/**
 * 0 if every case passes, 1 if one does not, 2 if a file cannot be run; the others are run all the
 * same. Throws GV_BAD_INPUT if there are no files, or no cases.
 */
export async function test(
  context: Context,
  files: readonly string[],
  flags: TestFlags,
): Promise<number> {
  const filter = typeof flags.filter === "string" ? flags.filter.toLowerCase() : "";
  const found: FileResult[] = [];
  for (const file of await filesOf(context, files)) {
    const result = await runFile(context, file, filter);
    tellFile(context, result);
    found.push(result);
  }
  const results = found.flatMap((one) => one.results);
  const failed = results.filter(({ passed }) => !passed).length;
  const broken = found.filter((one) => one.broken !== null).length;
  if (results.length === 0 && broken === 0) {
    throw new GavotteError("GV_BAD_INPUT", `no case has "${filter}" in its name; check --filter`);
  }
  const passed = results.length - failed;
  context.output.line(
    [
      `${passed} passed`,
      `${failed} failed`,
      ...(broken > 0 ? [`${broken} files broken`] : []),
    ].join(", "),
  );
  context.output.document({ passed, failed, broken, files: found });
  if (typeof flags.junit === "string") {
    const { junit } = await import("../simulation/junit.ts");
    await writeFile(resolve(context.cwd, flags.junit), junit(found));
  }
  if (broken > 0) return EXIT.usage;
  return failed === 0 ? EXIT.done : EXIT.failed;
}

const NAMED_AS_TESTS = "**/*.test.{yaml,yml,json}";

/** Files that are named, that fit a pattern, or are in a folder. Throws GV_BAD_INPUT for none. */
async function filesOf({ cwd }: Context, given: readonly string[]): Promise<string[]> {
  const { convertPathToPattern, glob, isDynamicPattern } = await import("tinyglobby");
  const found: string[] = [];
  for (const name of given) {
    const inside = `${convertPathToPattern(name.replace(/\/+$/, ""))}/${NAMED_AS_TESTS}`;
    const isPattern = isDynamicPattern(name);
    const options = { cwd, ignore: ["**/node_modules/**"], expandDirectories: false };
    const matches = await glob(isPattern ? name : inside, options);
    if (isPattern && matches.length === 0) {
      throw new GavotteError("GV_BAD_INPUT", `${name}: there is no such file; check the pattern`);
    }
    // A name that is neither a pattern nor a folder is a file, and says itself if it is not there.
    found.push(...(matches.length > 0 ? matches.sort() : [name]));
  }
  return [...new Set(found)];
}

/** What is wrong with a file is told and kept, so that the others are run. */
async function runFile(context: Context, file: string, filter: string): Promise<FileResult> {
  try {
    return { file, results: await resultsOf(context, file, filter), broken: null };
  } catch (error) {
    const broken = error instanceof Error ? error.message : String(error);
    return { file, results: [], broken };
  }
}

async function resultsOf(context: Context, file: string, filter: string): Promise<CaseResult[]> {
  const { runCase, TestFile } = await import("../simulation/cases.ts");
  const { assertClean, assertMocked, namesIn, readChildren } =
    await import("../simulation/load.ts");
  const { assertInput, assertStart } = await import("../simulation/given.ts");
  const text = await readText(context.cwd, file);
  const { tests, diagnostics } = TestFile.read(text, file);
  await assertClean(context, { text, file, diagnostics });
  if (tests === undefined) return [];
  const path = join(dirname(file), tests.workflow);
  const read = await readWorkflow(context, path);
  await tellDiagnostics(context, read, "short");
  const { ir } = read.result;
  if (ir === null) throw new GavotteError("GV_BAD_INPUT", `${path} does not compile`);
  const children = await readChildren(context, file, tests.children);
  const found = tests.cases(namesIn(ir, children));
  await assertClean(context, { text, file, diagnostics: found.diagnostics });
  const cases = found.cases.filter(({ name }) => name.toLowerCase().includes(filter));
  for (const { name, input, mocks, start } of cases) {
    assertMocked(ir, mocks, children);
    try {
      assertInput(ir, input);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new GavotteError("GV_BAD_INPUT", `case "${name}": ${why}`, { cause: error });
    }
    if (start !== null) assertStart(ir, start, input);
  }
  return cases.map((one) => runCase(ir, one, children));
}

function tellFile({ output }: Context, { file, results, broken }: FileResult): void {
  if (broken !== null) {
    output.line(`BROKEN ${file}`);
    broken.split("\n").forEach((line) => output.line(`         ${line}`));
    return;
  }
  for (const { name, passed, differences, ms } of results) {
    output.line(`${passed ? "ok    " : "FAILED"} ${file}: ${name} (${formatMs(ms)})`);
    differences.forEach((one) => output.line(`         ${differenceText(one)}`));
  }
  const [covered = "", ...gaps] = coverageLines(addCoverage(results.map((one) => one.coverage)));
  if (results.length === 0) return;
  output.line(`       ${covered}`);
  // What a test does not reach is worth a line each; only a failed one has more to say.
  gaps.forEach((line) => output.line(`       ${line}`));
}
