/** Results of tests in the XML of JUnit, as CI systems read it. */
import { differenceText } from "./diff.ts";
import type { CaseResult } from "./cases.ts";

/** The results of one test file; `broken`: why it could not be run. */
export interface FileResult {
  file: string;
  results: CaseResult[];
  broken: string | null;
}

/** Times are those of the simulation. */
export function junit(files: readonly FileResult[]): string {
  const suites = files.map(suite);
  const head = `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>`;
  return `${[head, ...suites].join("\n")}\n</testsuites>\n`;
}

function suite({ file, results, broken }: FileResult): string {
  const failures = results.filter(({ passed }) => !passed).length;
  const errors = broken === null ? 0 : 1;
  const attributes = {
    ...{ name: file, tests: results.length + errors, failures, errors },
    time: seconds(results.reduce((sum, { ms }) => sum + ms, 0)),
  };
  const cases = results.map((result) => testCase(file, result));
  if (broken !== null) {
    const open = `    <testcase ${text({ classname: file, name: "the file" })}>`;
    cases.push(
      `${open}<error ${text({ message: firstLine(broken) })}>${escape(broken)}</error></testcase>`,
    );
  }
  return [`  <testsuite ${text(attributes)}>`, ...cases, "  </testsuite>"].join("\n");
}

function testCase(file: string, { name, ms, differences }: CaseResult): string {
  const open = `    <testcase ${text({ classname: file, name, time: seconds(ms) })}`;
  const lines = differences.map(differenceText);
  const [first] = lines;
  if (first === undefined) return `${open}/>`;
  const failure = `<failure ${text({ message: first })}>${escape(lines.join("\n"))}</failure>`;
  return `${open}>${failure}</testcase>`;
}

function text(attributes: { [name: string]: string | number }): string {
  const parts = Object.entries(attributes).map(
    ([name, value]) => `${name}="${escape(String(value))}"`,
  );
  return parts.join(" ");
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}

function firstLine(message: string): string {
  return message.split("\n")[0] ?? "";
}

/** Characters that XML 1.0 does not know, not even as references, are left out. */
function escape(value: string): string {
  return [...value]
    .filter((char) => char >= " " || char === "\n" || char === "\t")
    .join("")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
