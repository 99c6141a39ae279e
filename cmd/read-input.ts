/** `--input`, `--data`: JSON, `@file`, or `-` for standard input. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Json } from "../compiler/index.ts";
import { GavotteError } from "../sdk/errors.ts";
import type { Context } from "./context.ts";
import { parseJson } from "./read-json.ts";
import { readBytes } from "./read-workflow.ts";

/** The run's input; `{}` if none is given. Throws GV_BAD_INPUT. */
export async function readInput(context: Context, given: unknown): Promise<Json> {
  return typeof given === "string" ? readJson(context, given, "--input") : {};
}

/** A payload; null if none is given. Throws GV_BAD_INPUT. */
export async function readData(context: Context, given: unknown): Promise<Json> {
  return typeof given === "string" ? readJson(context, given, "--data") : null;
}

/** The value of another flag: JSON, `@file`, or `-`. Throws GV_BAD_INPUT. */
export async function readValue(context: Context, given: string, flag: string): Promise<Json> {
  return readJson(context, given, flag);
}

/** Not what begins like an object, a list or a text, and has its mistake somewhere else. */
function meansText(given: string): boolean {
  return !/^\s*["[{]/.test(given);
}

/** What was meant by something that is no JSON: a file without its `@`, or a text without quotes. */
function hintFor({ cwd }: Context, given: string, flag: string): string {
  if (!meansText(given)) return "";
  const isFile = given.trim() !== "" && existsSync(resolve(cwd, given));
  return isFile
    ? `; a file is read with @: ${flag} @${given}`
    : `; text needs quotes: ${flag} '"text"'`;
}

/** Text on the command line needs quotes of JSON besides those of the shell. */
async function readJson(context: Context, given: string, flag: string): Promise<Json> {
  const [bytes, from, hint] =
    given === "-"
      ? [await context.readStdin(), "standard input", ""]
      : given.startsWith("@")
        ? [await readBytes(context.cwd, given.slice(1)), given.slice(1), ""]
        : [Buffer.from(given), flag, hintFor(context, given, flag)];
  try {
    return parseJson(bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GavotteError("GV_BAD_INPUT", `${from}: ${reason}${hint}`, { cause: error });
  }
}
