/** Every code is described, and nothing else is. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ERRORS, errorCode, GavotteError, type ErrorCode } from "./errors.ts";

const text = readFileSync(new URL("../docs/errors.md", import.meta.url), "utf8");
const entries = text.split(/^### /m).slice(1);
const described = entries.map((entry) => entry.split("\n", 1)[0] ?? "");
const codes = Object.keys(ERRORS) as ErrorCode[];

describe("docs/errors.md", () => {
  it("describes every registered code once", () => {
    expect([...described].sort()).toEqual([...codes].sort());
  });

  it.each(codes)("tells the exit code of %s and whether it may pass by itself", (code) => {
    const { exit, retryable } = ERRORS[code];
    const entry = entries.find((one) => one.startsWith(`${code}\n`)) ?? "";
    expect(entry).toMatch(
      new RegExp(`^${code}\\n\\nExit ${exit}${retryable ? ", again" : ""}\\. `),
    );
  });
});

describe("errorCode", () => {
  it("finds the code of an error from another copy of this package", () => {
    expect(errorCode({ code: "GV_RUN_NOT_FOUND", message: "…" })).toBe("GV_RUN_NOT_FOUND");
    expect(errorCode(new GavotteError("GV_RUN_ENDED", "…"))).toBe("GV_RUN_ENDED");
  });

  it("is null for codes that are not registered", () => {
    expect(errorCode({ code: "ENOENT" })).toBeNull();
    expect(errorCode(new Error("…"))).toBeNull();
    expect(errorCode(null)).toBeNull();
  });
});
