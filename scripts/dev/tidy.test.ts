import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { show, tidyCheckout } from "./tidy.ts";
import { tidy } from "./tidy-rules.ts";

const messages = (path: string, text: string): string[] =>
  tidy([
    { path, text },
    { path: "other.ts", text: `import "./${path.split("/").at(-1)}";` },
  ])
    .filter((finding) => finding.path === path)
    .map((finding) => finding.message);

describe("tidy", () => {
  // A copy of the sources without its history has nothing that lists the files.
  it.skipIf(!existsSync(new URL("../../.git", import.meta.url)))("the repository is tidy", () => {
    expect(tidyCheckout().map(show)).toEqual([]);
  });

  it("names the replacement of a banned call", () => {
    const [message] = messages("worker/a.ts", "const now = Date.now();\n");
    expect(message).toContain("clock.nowMs()");
    expect(messages("cmd/a.ts", "const now = Date.now();\n")).toEqual([]);
  });

  it("refuses lines and files that are too long", () => {
    expect(messages("sdk/a.ts", `${"x".repeat(106)}\n`)).toHaveLength(1);
    expect(messages("sdk/a.ts", "x\n".repeat(501))).toHaveLength(1);
    expect(messages("sdk/a.ts", "x\n".repeat(500))).toEqual([]);
  });

  it("refuses names that say nothing", () => {
    expect(messages("sdk/string-utils.ts", "")).toHaveLength(1);
  });

  it("finds sources nobody imports", () => {
    expect(tidy([{ path: "sdk/alone.ts", text: "" }])).toHaveLength(1);
    expect(messages("sdk/used.ts", "")).toEqual([]);
  });

  it("leaves alone what cannot be broken: addresses, and the texts of tests", () => {
    expect(messages("sdk/a.ts", `// https://example.org/${"x".repeat(106)}\n`)).toEqual([]);
    expect(messages("sdk/a.test.ts", `"${"x".repeat(106)}"\n`)).toEqual([]);
  });
});
