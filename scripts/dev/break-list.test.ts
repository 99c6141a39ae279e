/** Each break still fits the code, and docs/evidence/breaks.md says that its test has noticed it. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { BREAKS } from "./break-list.ts";
import { INVARIANT_BREAKS } from "./invariant-breaks.ts";

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const report = read("docs/evidence/breaks.md");

describe.each(BREAKS)("break: $broken", (one) => {
  it("fits one place of its file", () => {
    expect(read(one.file).split(one.find)).toHaveLength(2);
    expect(one.replace).not.toBe(one.find);
  });

  it("was tried, and was noticed by the test that it names", () => {
    const { holds, broken, file, test, name } = one;
    const named = name === "" ? "" : ` "${name}"`;
    const row = `| ${holds} | ${broken} (\`${file}\`) | \`${test}\`${named} | caught: `;
    expect(report.split(row)).toHaveLength(2);
  });
});

it("each of the eight invariants has a break", () => {
  const numbers = INVARIANT_BREAKS.map(({ holds }) => Number.parseInt(holds, 10));
  expect([...new Set(numbers)].sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});
