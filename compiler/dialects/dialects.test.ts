/**
 * Every file of test_data/dialects: what a valid one becomes, and what is said of each.
 *
 * Beside a valid file lie, in golden/, its compiled form (`.ir.json`) and the native document that the
 * front end made of it, with what was said (`.txt`); beside an invalid one what is said of it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { expectGolden, expectNoOthers, irText } from "../golden.fixture.ts";
import { compile, formatOf, readNative, writeNative } from "../index.ts";
import type { CompileResult, Dialect, Json } from "../index.ts";
import { renderDiagnostics, summarise } from "../report.ts";

const root = new URL("../../test_data/", import.meta.url);
const folder = new URL("dialects/", root);

const isWorkflow = (name: string): boolean => /\.(json|yaml)$/.test(name);
const list = (place: URL): string[] => readdirSync(place).filter(isWorkflow).sort();
const read = (place: URL, name: string): string => readFileSync(new URL(name, place), "utf8");

/** The native files that are refused are those of compiler/rules.test.ts. */
const DIALECTS = ["steps", "states", "graph", "asl"] as const;
const ALL = ["native", ...DIALECTS] as const;

const VALID = ALL.flatMap((dialect) =>
  list(new URL(`${dialect}/valid/`, folder)).map((name) => ({
    dialect,
    file: `${dialect}/valid/${name}`,
  })),
);
const INVALID = DIALECTS.flatMap((dialect) =>
  list(new URL(`${dialect}/invalid/`, folder)).map((name) => ({
    dialect,
    file: `${dialect}/invalid/${name}`,
  })),
);

function compileFile(file: string, place = folder): CompileResult {
  return compile({ text: read(place, file), file: file.replace(/^.*\//, "") });
}

function told(file: string, { diagnostics }: CompileResult): string {
  const pointers = diagnostics.map((d) => `${d.code} ${d.pointer}\n`).join("");
  if (diagnostics.length === 0) return "";
  const text = renderDiagnostics(diagnostics, read(folder, file));
  return `${text}\n\n${summarise(diagnostics)}\n\n${pointers}`;
}

/** The golden file of a file. */
function golden(file: string, ending: string): URL {
  return new URL(file.replace(/([^/]+)$/, `golden/$1${ending}`), folder);
}

function nativeText(file: string): string {
  const text = read(folder, file);
  const native = readNative({ text, file: file.replace(/^.*\//, "") });
  if (native.value === undefined) throw new Error(`${file} cannot be read`);
  return writeNative({ text, format: "json", ...native, value: native.value }, "yaml").text;
}

describe("files of a dialect", () => {
  it.each(VALID)("$file is recognised, and becomes what is expected", ({ dialect, file }) => {
    const result = compileFile(file);
    expect(result.diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
    expect(result.dialect).toBe(dialect);
    if (result.ir !== null) expectGolden(golden(file, ".ir.json"), irText(result.ir));
    const text = `${nativeText(file)}\n${told(file, result)}`.trimEnd();
    expectGolden(golden(file, ".txt"), `${text}\n`);
  });

  it.each(INVALID)("$file is refused at its own places", ({ file }) => {
    const result = compileFile(file);
    expect(result.ir).toBeNull();
    expectGolden(golden(file, ".txt"), told(file, result));
  });

  it("no golden output is left of a file that is gone", () => {
    for (const dialect of ALL) {
      const valid = list(new URL(`${dialect}/valid/`, folder));
      const kept = valid.flatMap((name) => [`${name}.ir.json`, `${name}.txt`]);
      expectNoOthers(new URL(`${dialect}/valid/golden/`, folder), kept);
      if (dialect === "native") continue;
      const invalid = list(new URL(`${dialect}/invalid/`, folder)).map((name) => `${name}.txt`);
      expectNoOthers(new URL(`${dialect}/invalid/golden/`, folder), invalid);
    }
  });

  it.each(ALL)("%s has at least six valid and ten invalid files", (dialect) => {
    const count = (kind: string): number => list(new URL(`${dialect}/${kind}/`, folder)).length;
    expect(count("valid")).toBeGreaterThanOrEqual(6);
    expect(count("invalid")).toBeGreaterThanOrEqual(10);
  });
});

const TWINS = new Map<string, string[]>();
for (const name of list(new URL("twins/", folder))) {
  const [workflow = ""] = name.split(".");
  TWINS.set(workflow, [...(TWINS.get(workflow) ?? []), name]);
}

describe("the same workflow in two dialects", () => {
  it.each([...TWINS])("%s has one hash in all of them", (_, names) => {
    const results = names.map((name) => compileFile(`twins/${name}`));
    expect(results.flatMap(({ diagnostics }) => diagnostics)).toEqual([]);
    expect(results.map(({ dialect }) => dialect)).toEqual(names.map((name) => name.split(".")[1]));
    expect(new Set(results.map(({ hash }) => hash)).size).toBe(1);
  });

  it("there are eight and more of them", () => {
    expect(TWINS.size).toBeGreaterThanOrEqual(8);
  });

  it("every dialect has a twin in native, and in every other one", () => {
    const pairs = new Set(
      [...TWINS.values()].flatMap((names) => {
        const dialects = names.map((name) => name.split(".")[1] ?? "");
        return dialects.flatMap((a) => dialects.map((b) => `${a} ${b}`));
      }),
    );
    const all: readonly Dialect[] = ALL;
    const missing = all.flatMap((a) => all.map((b) => `${a} ${b}`)).filter((p) => !pairs.has(p));
    expect(missing).toEqual([]);
  });

  it.each([
    ...VALID.map(({ file }) => file),
    ...[...TWINS.values()].flat().map((n) => `twins/${n}`),
  ])("%s with its keys in another order is the same", (file) => {
    const native = readNative({ text: read(folder, file), file: file.replace(/^.*\//, "") });
    expect(native.value).toBeDefined();
    const document = turned(parsed(file));
    const name = file.replace(/^.*\//, "");
    expect(compile({ document, file: name }).hash).toBe(compileFile(file).hash);
  });
});

function parsed(file: string): Json {
  const text = read(folder, file);
  const name = file.replace(/^.*\//, "");
  const native = readNative({ text, file: name, dialect: "native" });
  return native.value ?? null;
}

function turned(value: Json): Json {
  if (Array.isArray(value)) return value.map(turned);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]): [string, Json] => [key, turned(item)]);
  return Object.fromEntries(entries.toReversed());
}

const EXAMPLES = list(root).map((name) => ({ place: root, name }));
const CONVERTED = [
  ...EXAMPLES,
  ...VALID.map(({ file }) => ({ place: folder, name: file })),
  ...[...TWINS.values()].flat().map((name) => ({ place: folder, name: `twins/${name}` })),
];

describe("a converted file", () => {
  it.each(CONVERTED)("$name is the same workflow", ({ place, name }) => {
    const text = read(place, name);
    const file = name.replace(/^.*\//, "");
    const native = readNative({ text, file });
    const { hash } = compile({ text, file });
    if (native.value === undefined) throw new Error(`${name} cannot be read`);
    const from = { text, file, format: formatOf(text, file), ...native, value: native.value };
    for (const to of ["json", "yaml"] as const) {
      const written = writeNative(from, to).text;
      const again = compile({ text: written, format: to });
      expect(again).toMatchObject({ hash, dialect: "native" });
    }
  });

  const yaml = "# first\nname: x # second\n\nnodes:\n  # third\n  - id: a\n    type: noop\n";
  const from = {
    text: yaml,
    format: "yaml",
    value: {},
    dialect: "native",
    file: "x.yaml",
  } as const;

  it("keeps comments, blank lines and the order of keys where native YAML stays YAML", () => {
    expect(writeNative(from, "yaml")).toEqual({ text: yaml, losses: [] });
  });

  it("loses its comments elsewhere, and says so", () => {
    expect(writeNative(from, "json").losses).toMatchObject([
      { code: "GV5002", line: 1, column: 1, message: "3 comments: the converted file has none" },
    ]);
    expect(writeNative({ ...from, dialect: "steps" }, "yaml").losses).toHaveLength(1);
  });
});
