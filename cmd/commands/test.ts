/** `gavotte test FILE.test.yaml…`: cases of workflows, simulated. */
import { writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readText, readWorkflow, tellDiagnostics } from "../read-workflow.ts";
import type { CaseResult } from "../simulation/cases.ts";
import { assertMocked, idsOf } from "./simulate.ts";

/** 0 if every case passes, else 1. */
export async function test(
  context: Context,
  files: readonly string[],
  flags: { junit?: unknown },
): Promise<number> {
  const { junit } = await import("../simulation/cases.ts");
  const all: { file: string; results: CaseResult[] }[] = [];
  for (const file of files) {
    all.push({ file, results: await testFile(context, file) });
  }
  const { output } = context;
  for (const { file, results } of all) {
    for (const { name, passed, differences } of results) {
      output.line(`${passed ? "ok    " : "FAILED"} ${file}: ${name}`);
      differences.forEach((line) => output.line(`         ${line}`));
    }
    output.line(`       ${coverageText(results)}`);
  }
  const results = all.flatMap((one) => one.results);
  const failed = results.filter(({ passed }) => !passed).length;
  output.line(`${results.length - failed} passed, ${failed} failed`);
  output.document({ passed: results.length - failed, failed, files: all });
  if (typeof flags.junit === "string") {
    await writeFile(resolve(context.cwd, flags.junit), junit(all));
  }
  return failed === 0 && results.length > 0 ? EXIT.done : EXIT.failed;
}

async function testFile(context: Context, file: string): Promise<CaseResult[]> {
  const { readTestFile, runCase } = await import("../simulation/cases.ts");
  const found = readTestFile(await readText(context.cwd, file), file);
  const read = await readWorkflow(context, join(dirname(file), found.workflow));
  await tellDiagnostics(context, read, "short");
  const { ir } = read.result;
  if (ir === null) {
    const differences = [`${found.workflow} does not compile`];
    const coverage = { edges: [], nodes: [] };
    return [{ name: found.workflow, passed: false, differences, coverage }];
  }
  const cases = found.cases(idsOf(ir));
  for (const one of cases) await assertMocked(ir, one.mocks);
  return cases.map((one) => runCase(ir, one));
}

/** What all cases of a file together have covered. */
function coverageText(results: readonly CaseResult[]): string {
  const [first] = results;
  const union = (of: (result: CaseResult) => boolean[]): boolean[] =>
    (first === undefined ? [] : of(first)).map((_, i) => results.some((r) => of(r)[i] === true));
  const nodes = union(({ coverage }) => coverage.nodes.map(({ executed }) => executed));
  const edges = union(({ coverage }) => coverage.edges.map(({ taken }) => taken));
  const share = (list: readonly boolean[]): string =>
    `${list.filter(Boolean).length} of ${list.length}`;
  return `covered: ${share(nodes)} nodes, ${share(edges)} edges`;
}
