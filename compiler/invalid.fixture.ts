/** The files of test_data/dialects/native/invalid, as the compiler is given them. */
import { readdirSync, readFileSync } from "node:fs";
import { compile } from "./index.ts";
import type { CompileResult, Limits } from "./index.ts";

const folder = new URL("../test_data/dialects/native/invalid/", import.meta.url);

/** Limits under which a file is compiled, for those that break no others. */
const LIMITS: Readonly<Record<string, Partial<Limits>>> = {
  "too-large.yaml": { bytes: 50 },
  "too-many-nodes.yaml": { nodes: 1 },
};

export const INVALID_FILES: readonly string[] = readdirSync(folder)
  .filter((name) => /\.(json|yaml)$/.test(name))
  .sort();

/** A file's text. */
export function readInvalid(file: string): string {
  return readFileSync(new URL(file, folder), "utf8");
}

/** What the compiler says of a file. */
export function compileInvalid(file: string): CompileResult {
  return compile({ text: readInvalid(file), file }, { limits: LIMITS[file] ?? {} });
}

/** Where the text lies that is expected of a file. */
export function goldenPath(file: string): URL {
  return new URL(`golden/${file}.txt`, folder);
}
