/**
 * Test files of workflows: cases with an input, mocks, and what is expected; and how they went.
 *
 *     workflow: order.yaml
 *     mocks: { nodes: { fetch: { output: { total: 1200 } } } }
 *     cases:
 *       - name: a large order is for the best
 *         input: { order_id: 7 }
 *         expect: { status: COMPLETED, path: [fetch, check, vip], nodes: { standard: skipped } }
 */
import { isDeepStrictEqual } from "node:util";
import { parse } from "yaml";
import type { Ir, Json } from "../../compiler/index.ts";
import { GavotteError } from "../../sdk/errors.ts";
import { mocksOf, type Mocks } from "./mocks.ts";
import { simulate, type Coverage, type Simulation } from "./simulate.ts";

type JsonObject = { [key: string]: Json };

export interface TestCase {
  name: string;
  input: Json;
  mocks: Mocks;
  expect: JsonObject;
}

export interface TestFile {
  /** Path of the workflow, as the file says it. */
  workflow: string;
  /** Cases once the workflow's nodes are known. Throws GV_BAD_INPUT. */
  cases(nodes: readonly string[]): TestCase[];
}

export interface CaseResult {
  name: string;
  passed: boolean;
  /** What differs, one line each. */
  differences: string[];
  coverage: Coverage;
}

const TOP = ["workflow", "mocks", "cases"];
const CASE = ["name", "input", "mocks", "expect"];
const EXPECT = ["status", "output", "error", "path", "nodes", "ms_at_most"];

/** Reads a test file. Throws GV_BAD_INPUT that says what is wrong where. */
export function readTestFile(text: string, file: string): TestFile {
  const fail = (what: string): never => {
    throw new GavotteError("GV_BAD_INPUT", `${file}: ${what}`);
  };
  let root: Json;
  try {
    root = parse(text) as Json;
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  const object = (value: Json | undefined, where: string): JsonObject =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? value
      : fail(`${where} must be an object`);
  const known = (value: JsonObject, where: string, names: readonly string[]): void => {
    const odd = Object.keys(value).find((key) => !names.includes(key));
    if (odd !== undefined) fail(`${where}: \`${odd}\` means nothing; there is ${names.join(", ")}`);
  };
  const top = object(root, "the file");
  known(top, "the file", TOP);
  const { workflow, cases, mocks = {} } = top;
  if (typeof workflow !== "string") return fail("`workflow` must name a workflow file");
  if (!Array.isArray(cases) || cases.length === 0) return fail("`cases` must be a list of cases");
  return {
    workflow,
    cases: (nodes) =>
      cases.map((entry, i) => {
        const where = `/cases/${i}`;
        const one = object(entry, where);
        known(one, where, CASE);
        const expected = object(one["expect"], `${where}/expect`);
        known(expected, `${where}/expect`, EXPECT);
        const own = merge(object(mocks, "/mocks"), object(one["mocks"] ?? {}, `${where}/mocks`));
        return {
          name: typeof one["name"] === "string" ? one["name"] : `case ${i + 1}`,
          input: one["input"] ?? {},
          mocks: mocksOf(own, `${file} ${where}/mocks`, nodes),
          expect: expected,
        };
      }),
  };
}

/** A case's own mocks lie over those of the file, node by node. */
function merge(base: JsonObject, own: JsonObject): JsonObject {
  const under = (from: JsonObject, key: string): JsonObject => (from[key] ?? {}) as JsonObject;
  return {
    ...base,
    ...own,
    nodes: { ...under(base, "nodes"), ...under(own, "nodes") },
    functions: { ...under(base, "functions"), ...under(own, "functions") },
  };
}

/** Simulates a case and compares. */
export function runCase(ir: Ir, test: TestCase): CaseResult {
  const result = simulate(ir, test.input, { mocks: test.mocks, seed: 1 });
  const differences = compare(test.expect, result);
  const { coverage } = result;
  return { name: test.name, passed: differences.length === 0, differences, coverage };
}

function compare(expected: JsonObject, found: Simulation): string[] {
  const lines: string[] = [];
  const differ = (what: string, wanted: unknown, is: unknown): void => {
    if (!isDeepStrictEqual(wanted, is)) {
      lines.push(
        `${what}: expected ${JSON.stringify(wanted)}, found ${JSON.stringify(is ?? null)}`,
      );
    }
  };
  differ("status", expected["status"] ?? "COMPLETED", found.status);
  if (expected["output"] !== undefined) differ("output", expected["output"], found.output);
  if (expected["error"] !== undefined) differ("error", expected["error"], found.error?.code);
  const path = expected["path"];
  if (Array.isArray(path) && !isSubsequence(path, found.path)) {
    lines.push(`path: expected ${path.join(" > ")}, found ${found.path.join(" > ")}`);
  }
  for (const [id, status] of Object.entries((expected["nodes"] ?? {}) as JsonObject)) {
    differ(`node ${id}`, status, found.nodes[id]?.status);
  }
  const limit = expected["ms_at_most"];
  if (typeof limit === "number" && found.ms > limit) {
    lines.push(`duration: expected at most ${limit} ms, found ${Math.round(found.ms)} ms`);
  }
  return lines;
}

/** Whether all of `part` come in this order, other things between them. */
function isSubsequence(part: readonly Json[], whole: readonly string[]): boolean {
  let at = 0;
  for (const id of whole) if (id === part[at]) at += 1;
  return at === part.length;
}

/** JUnit's XML, as CI systems read it. */
export function junit(files: readonly { file: string; results: readonly CaseResult[] }[]): string {
  const escape = (text: string): string =>
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
  const suites = files.map(({ file, results }) => {
    const failures = results.filter(({ passed }) => !passed).length;
    const head = `name="${escape(file)}" tests="${results.length}" failures="${failures}"`;
    const cases = results.map(({ name, differences }) => {
      const open = `    <testcase classname="${escape(file)}" name="${escape(name)}"`;
      const text = escape(differences.join("\n"));
      return differences.length === 0
        ? `${open}/>`
        : `${open}><failure message="${escape(differences[0] ?? "")}">${text}</failure></testcase>`;
    });
    return [`  <testsuite ${head}>`, ...cases, "  </testsuite>"].join("\n");
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join("\n")}\n</testsuites>\n`;
}
