/**
 * Every rule by a file that breaks it: test_data/dialects/native/invalid/<rule>, and beside it in
 * golden/ what is said of it, all of it and nothing else. UPDATE_GOLDEN=1 writes golden/ anew; read
 * the difference.
 */
import { describe, expect, it } from "vitest";
import { expectGolden, expectNoOthers } from "./golden.fixture.ts";
import { compile, DIAGNOSTICS, formatDiagnostic } from "./index.ts";
import { compileInvalid, goldenPath, INVALID_FILES, readInvalid } from "./invalid.fixture.ts";
import { renderDiagnostics, summarise } from "./report.ts";

const golden = new URL(".", goldenPath("any"));

function rendered(file: string): string {
  const { diagnostics } = compileInvalid(file);
  // The pointer is no part of what people read, but programs do.
  const pointers = diagnostics.map((d) => `${d.code} ${d.pointer}`).join("\n");
  const text = renderDiagnostics(diagnostics, readInvalid(file));
  return `${text}\n\n${summarise(diagnostics)}\n\n${pointers}\n`;
}

describe("files that break a rule", () => {
  it.each(INVALID_FILES)("%s is reported as it is expected", (file) => {
    expectGolden(goldenPath(file), rendered(file));
    const { ir, diagnostics } = compileInvalid(file);
    expect(diagnostics).not.toEqual([]);
    expect(ir === null).toBe(diagnostics.some((d) => d.severity === "error"));
  });

  it("no golden output is left of a file that is gone", () => {
    expectNoOthers(
      golden,
      INVALID_FILES.map((file) => `${file}.txt`),
    );
  });

  it("each code is shown by a file", () => {
    const codes = INVALID_FILES.flatMap((file) => compileInvalid(file).diagnostics);
    const shown = new Set<string>(codes.map(({ code }) => code));
    expect(Object.keys(DIAGNOSTICS).filter((code) => !shown.has(code))).toEqual([]);
  });
});

describe("all problems of a file", () => {
  it("are reported together, in the order of the file", () => {
    const text = `name: w
nodes:
  - { id: a, type: functoin }
  - { id: b, type: noop, time_out: 3 }
edges:
  - { from: a, to: x }
  - { from: a, to: b, condition: "1 +" }
`;
    expect(compile({ text }).diagnostics.map((d) => formatDiagnostic(d).split(": ")[0])).toEqual([
      "<workflow>:3:20 error GV4001",
      "<workflow>:4:26 error GV1011",
      "<workflow>:6:20 error GV2001",
      "<workflow>:7:38 error GV3001",
    ]);
  });
});
