/**
 * Golden files: what the compiler makes or says of a file, kept beside it in golden/.
 *
 * With UPDATE_GOLDEN=1 a comparison writes what it would have compared; read the difference before it
 * is committed, since from then on it is what is right.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { canonicalJson } from "./index.ts";
import type { Ir, Json } from "./index.ts";

const isUpdate = process.env["UPDATE_GOLDEN"] === "1";
const REMEDY = "if that is right: UPDATE_GOLDEN=1 npx vitest run compiler, and read the difference";

/** Fails if `text` is not what the file says, or writes it. */
export function expectGolden(path: URL, text: string): void {
  if (isUpdate) {
    mkdirSync(new URL(".", path), { recursive: true });
    writeFileSync(path, text);
  }
  const name = path.pathname.split("/").slice(-4).join("/");
  expect(existsSync(path), `${name} is not there; ${REMEDY}`).toBe(true);
  expect(text, `not as in ${name}; ${REMEDY}`).toBe(readFileSync(path, "utf8"));
}

/** Fails if a folder has a golden file beside those `known`, or removes it. */
export function expectNoOthers(golden: URL, known: readonly string[]): void {
  const left = readdirSync(golden).filter((name) => !known.includes(name));
  if (isUpdate) left.forEach((name) => rmSync(new URL(name, golden)));
  expect(isUpdate ? [] : left, `without a workflow file; ${REMEDY}`).toEqual([]);
}

/** The canonical form, one value a line: what differs is then seen where it is. */
export function irText(ir: Ir): string {
  const canonical = JSON.parse(canonicalJson(ir as unknown as Json)) as Json;
  return `${JSON.stringify(canonical, null, 1)}\n`;
}
