/** A workflow file from disk through the compiler, and its diagnostics to where they are read. */
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import {
  compile,
  DEFAULT_LIMITS,
  DIALECT_NAMES,
  formatDiagnostic,
  type CompileOptions,
  type CompileResult,
  type Dialect,
} from "../compiler/index.ts";
import { GavotteError } from "../sdk/errors.ts";
import type { Context } from "./context.ts";

export interface WorkflowFile {
  file: string;
  text: string;
  result: CompileResult;
}

/** `--dialect`, checked. Throws GV_BAD_INPUT. */
export function readDialect(value: unknown): Dialect | undefined {
  if (value === undefined) return undefined;
  const found = DIALECT_NAMES.find((name) => name === value);
  if (found) return found;
  const message = `--dialect ${String(value)}: there is ${DIALECT_NAMES.join(", ")}`;
  throw new GavotteError("GV_BAD_INPUT", message);
}

/** Reads and compiles a file, `-` for standard input. Throws GV_BAD_INPUT if it cannot be read. */
export async function readWorkflow(
  context: Context,
  file: string,
  flags: { dialect?: unknown } = {},
  options: CompileOptions = {},
): Promise<WorkflowFile> {
  const dialect = readDialect(flags.dialect);
  const name = file === "-" ? "<stdin>" : file;
  const text =
    file === "-"
      ? Buffer.from(await context.readStdin()).toString("utf8")
      : await readText(context.cwd, file, DEFAULT_LIMITS.bytes + 1);
  const source = { text, file: name, ...(dialect === undefined ? {} : { dialect }) };
  return { file: name, text, result: compile(source, options) };
}

/**
 * The text of a file for the compiler, which refuses what is not UTF-8 with its place; of a larger
 * one its first `bytesMax`, so that a device or a dump is not read to its end. Throws GV_BAD_INPUT
 * with the reason in words.
 */
export async function readText(cwd: string, file: string, bytesMax?: number): Promise<string> {
  return Buffer.from(await readBytes(cwd, file, bytesMax)).toString("utf8");
}

/** What is in a file, or at its beginning. Throws GV_BAD_INPUT with the reason in words. */
export async function readBytes(
  cwd: string,
  file: string,
  bytesMax = Number.POSITIVE_INFINITY,
): Promise<Uint8Array> {
  try {
    const path = resolve(cwd, file);
    if (bytesMax === Number.POSITIVE_INFINITY) return await readFile(path);
    const chunks: Buffer[] = [];
    for await (const chunk of createReadStream(path, { end: bytesMax - 1 })) {
      chunks.push(chunk as Buffer);
    }
    return Buffer.concat(chunks);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    const reasons: { [code: string]: string } = {
      ENOENT: "there is no such file; check the path",
      EISDIR: "it is a folder; name a file in it",
      EACCES: "it may not be read; check its permissions",
    };
    const reason = reasons[code] ?? String(error);
    throw new GavotteError("GV_BAD_INPUT", `${file}: ${reason}`, { cause: error });
  }
}

/** How diagnostics are written: the lines themselves, or one line for each. */
export type TextForm = "human" | "short";

/** Writes a file's diagnostics to stderr, with their sum; returns how many of each there were. */
export async function tellDiagnostics(
  { output }: Context,
  { text, result }: Pick<WorkflowFile, "text" | "result">,
  form: TextForm = "human",
): Promise<{ errors: number; warnings: number }> {
  const { diagnostics, more = 0 } = result;
  if (diagnostics.length > 0) {
    if (form === "short") {
      for (const diagnostic of diagnostics) output.note(formatDiagnostic(diagnostic));
    } else {
      // Loaded when there is something to say: a valid file is not to wait for it.
      const { renderDiagnostics } = await import("../compiler/report.ts");
      const look = {
        color: output.isColored,
        ...(output.isLive ? { columns: output.columns } : {}),
      };
      output.draw(`${renderDiagnostics(diagnostics, text, look, more)}\n\n`);
    }
  }
  const errors = diagnostics.filter((d) => d.severity === "error").length;
  return { errors, warnings: diagnostics.length - errors };
}
