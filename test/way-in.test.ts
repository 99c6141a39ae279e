import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compile, formatDiagnostic } from "../compiler/index.ts";

const root = new URL("../", import.meta.url);

describe.each(["README.md", "docs/ARCHITECTURE.md"])("%s", (page) => {
  const text = readFileSync(new URL(page, root), "utf8");

  it("names only files that exist", () => {
    const named = text.matchAll(/`((?:[a-z_]+\/)+[a-z0-9_-]+\.(?:ts|lua|sql|sh|md))`/g);
    const files = [...named].map((match) => match[1] as string);
    expect(files.length).toBeGreaterThan(10);
    expect(files.filter((file) => !existsSync(new URL(file, root)))).toEqual([]);
  });
});

describe("README.md", () => {
  const text = readFileSync(new URL("README.md", root), "utf8");
  const workflow = /```yaml\n([^]*?)```/.exec(text)?.[1] ?? "";

  it("shows a workflow that compiles, and what is said of one with a wrong name", () => {
    expect(compile({ text: workflow, file: "order.yaml" }).diagnostics).toEqual([]);
    const wrong = workflow.replace("from: fetch", "from: fetsch");
    const { diagnostics } = compile({ text: wrong, file: "order.yaml" });
    const said = diagnostics.map((found) => formatDiagnostic(found)).join("\n");
    expect(text).toContain(`validate --format short order.yaml\n${said}\n`);
  });
});
