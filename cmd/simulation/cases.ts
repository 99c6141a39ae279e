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
import type { Diagnostic, Ir, Json } from "../../compiler/index.ts";
import type { NodeResult, Start } from "../../compiler/reference/index.ts";
import { SideFile } from "../../compiler/report.ts";
import type { Coverage } from "./coverage.ts";
import { differences, type Difference } from "./diff.ts";
import type { ChildFiles } from "./mock-book.ts";
import { checkMocks, escaped, mocksOf, type Mocks, type Names } from "./mocks.ts";
import { simulate, type Simulation } from "./simulate.ts";
import { TEST_SCHEMA } from "./test-schema.ts";

type JsonObject = { [key: string]: Json };

export interface TestCase {
  name: string;
  input: Json;
  mocks: Mocks;
  seed: number;
  start: Start | null;
  expect: JsonObject;
}

export interface CaseResult {
  name: string;
  passed: boolean;
  differences: Difference[];
  /** Virtual. */
  ms: number;
  coverage: Coverage;
}

/** A test file whose shape is right. */
export class TestFile {
  /** Path of the workflow, as the file says it. */
  readonly workflow: string;
  readonly #side: SideFile;
  readonly #root: JsonObject;

  private constructor(side: SideFile, root: JsonObject) {
    this.#side = side;
    this.#root = root;
    this.workflow = String(root["workflow"]);
  }

  /** Reads a file; the diagnostics say why it is none. */
  static read(text: string, file: string): { tests?: TestFile; diagnostics: Diagnostic[] } {
    const side = new SideFile({ text, file }, TEST_SCHEMA);
    if (side.value === undefined) return { diagnostics: side.diagnostics };
    return { tests: new TestFile(side, side.value as JsonObject), diagnostics: [] };
  }

  /** Workflow files of children that the mocks name. */
  get children(): { name: string; file: string }[] {
    const found = new Map<string, string>();
    for (const { value } of this.#mocks()) {
      for (const [name, mock] of mocksOf(value).workflows) {
        if (mock.file !== undefined) found.set(name, mock.file);
      }
    }
    return [...found].map(([name, file]) => ({ name, file }));
  }

  /** The cases, once the workflow is known; with any diagnostic they are not to be run. */
  cases(names: Names): { cases: TestCase[]; diagnostics: Diagnostic[] } {
    for (const { value, pointer } of this.#mocks()) {
      checkMocks(value, pointer, names, (problem) => this.#side.report(problem));
    }
    const entries = this.#root["cases"] as JsonObject[];
    entries.forEach((entry, i) => this.#checkNames(entry, `/cases/${i}`, names.nodes));
    const shared = (this.#root["mocks"] ?? {}) as JsonObject;
    return {
      cases: entries.map((entry, i) => caseOf(entry, i, shared)),
      diagnostics: this.#side.diagnostics,
    };
  }

  #mocks(): { value: JsonObject; pointer: string }[] {
    const shared = this.#root["mocks"];
    const own = (this.#root["cases"] as JsonObject[]).flatMap(({ mocks }, i) =>
      mocks === undefined ? [] : [{ value: mocks as JsonObject, pointer: `/cases/${i}/mocks` }],
    );
    return shared === undefined
      ? own
      : [{ value: shared as JsonObject, pointer: "/mocks" }, ...own];
  }

  #checkNames(entry: JsonObject, at: string, known: readonly string[]): void {
    const expected = entry["expect"] as JsonObject;
    const check = (name: Json | undefined, pointer: string, atKey: boolean): void => {
      if (typeof name !== "string" || known.includes(name)) return;
      const message = `there is no node \`${name}\``;
      this.#side.report({ pointer, message, atKey, meant: { name, known } });
    };
    check(entry["start_at"], `${at}/start_at`, false);
    const path = (expected["path"] ?? []) as Json[];
    path.forEach((id, i) => check(id, `${at}/expect/path/${i}`, false));
    for (const id of Object.keys((expected["nodes"] ?? {}) as JsonObject)) {
      check(id, `${at}/expect/nodes/${escaped(id)}`, true);
    }
  }
}

function caseOf(entry: JsonObject, index: number, shared: JsonObject): TestCase {
  const { name = `case ${index + 1}`, input = {}, seed = 1, mocks = {}, expect } = entry;
  const { start_at: node, value = {}, given = {} } = entry;
  const outputs = given as JsonObject;
  return {
    ...{ name: String(name), input, seed: Number(seed), expect: expect as JsonObject },
    mocks: mocksOf(merge(shared, mocks as JsonObject)),
    start: typeof node === "string" ? { at: [node], inputs: { [node]: value }, outputs } : null,
  };
}

/** A case's own mocks lie over those of the file, node by node. */
function merge(base: JsonObject, own: JsonObject): JsonObject {
  const under = (from: JsonObject, key: string): JsonObject => (from[key] ?? {}) as JsonObject;
  const merged = ["nodes", "functions", "workflows"].map((key) => [
    key,
    { ...under(base, key), ...under(own, key) },
  ]);
  return { ...base, ...own, ...(Object.fromEntries(merged) as JsonObject) };
}

/** Simulates a case and compares. Throws StepLimitError, and Error where it cannot start. */
export function runCase(ir: Ir, test: TestCase, files?: ChildFiles): CaseResult {
  const result = simulate(ir, test.input, {
    ...{ mocks: test.mocks, seed: test.seed },
    ...(files === undefined ? {} : { files }),
    ...(test.start === null ? {} : { start: test.start }),
  });
  const found = compare(test.expect, result);
  const { coverage, ms } = result;
  return { name: test.name, passed: found.length === 0, differences: found, ms, coverage };
}

function compare(expected: JsonObject, found: Simulation): Difference[] {
  const { status = "COMPLETED", output, error, path, nodes = {}, ms, ms_at_most: most } = expected;
  const list = differences("status", status, found.status);
  if (output !== undefined) list.push(...differences("output", output, found.output));
  if (error !== undefined) {
    const whole = typeof error === "string" ? { code: error } : error;
    list.push(...differences("error", whole, (found.error ?? {}) as JsonObject, true));
  } else if (list.length > 0 && found.error !== undefined) {
    // Not asked for, but the reason for what is.
    list.push(...differences("error", undefined, found.error as unknown as Json));
  }
  if (Array.isArray(path) && !isSubsequence(path, found.path)) {
    list.push({ path: "path", expected: path.join(" > "), actual: found.path.join(" > ") });
  }
  for (const [id, wanted] of Object.entries(nodes as JsonObject)) {
    const whole = (typeof wanted === "string" ? { status: wanted } : wanted) as JsonObject;
    const actual = (found.nodes[id] ?? elementResult(found, id)) as unknown as JsonObject;
    for (const [part, value] of Object.entries(whole)) {
      // An output is compared whole, an error only in what is expected of it.
      list.push(...differences(`nodes.${id}.${part}`, value, actual[part], part === "error"));
    }
  }
  if (ms !== undefined) list.push(...differences("ms", ms, found.ms));
  if (typeof most === "number" && found.ms > most) {
    list.push({ path: "ms_at_most", expected: most, actual: found.ms });
  }
  return list;
}

/** Of a node in the body of a map: the result in the last element that was begun. */
function elementResult({ elements }: Simulation, id: string): NodeResult {
  const found = Object.values(elements).flatMap((nodes) => nodes[id] ?? []);
  return found.at(-1) ?? { status: "pending", activations: 0, attempts: 0 };
}

/** Whether all of `part` come in this order, other things between them. */
function isSubsequence(part: readonly Json[], whole: readonly string[]): boolean {
  let at = 0;
  for (const id of whole) if (id === part[at]) at += 1;
  return at === part.length;
}
