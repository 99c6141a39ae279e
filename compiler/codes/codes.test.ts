/** The registry keeps its word: what it calls wrong gives that code, what it calls right nothing. */
import { describe, expect, it } from "vitest";
import { compile, DIAGNOSTICS } from "../index.ts";
import type { CompileResult, DiagnosticCode } from "../index.ts";
import type { CodeSpec, Example } from "./code.ts";

function compileExample(example: Example): CompileResult {
  const { text, limits } =
    typeof example === "string" ? { text: example, limits: {} } : { ...example };
  return compile({ text }, { limits });
}

const entries = Object.entries(DIAGNOSTICS) as [DiagnosticCode, CodeSpec][];

describe.each(entries)("%s", (code, spec) => {
  it("its wrong example gives this code and no other", () => {
    const codes = new Set(compileExample(spec.wrong).diagnostics.map((found) => found.code));
    expect([...codes].toSorted()).toEqual([code, ...(spec.also ?? [])].toSorted());
  });

  it("its right example gives nothing", () => {
    expect(compileExample(spec.right).diagnostics).toEqual([]);
  });

  it("is described in sentences, and its title is none", () => {
    for (const sentence of [spec.meaning, spec.why]) expect(sentence).toMatch(/^[A-Z`].*\.$/s);
    for (const phrase of [spec.title, spec.remedy]) expect(phrase).not.toMatch(/\.$/);
  });
});

it("codes are in their files by their thousand, in order", () => {
  const codes = Object.keys(DIAGNOSTICS);
  const blocks = codes.map((code) => code.slice(0, 3));
  expect(blocks).toEqual(blocks.toSorted());
  expect(codes.every((code) => /^GV[1-6]\d{3}$/.test(code))).toBe(true);
});
