/** A workflow file from disk through the compiler, and its diagnostics to where they are read. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import {
  compile,
  formatDiagnostic,
  type CompileResult,
  type Diagnostic,
} from "../compiler/index.ts";
import { GavotteError } from "../sdk/errors.ts";
import type { Context } from "./context.ts";

export interface WorkflowFile {
  file: string;
  text: string;
  result: CompileResult;
}

/** Reads and compiles a file, `-` for standard input. Throws GV_BAD_INPUT if it cannot be read. */
export async function readWorkflow(context: Context, file: string): Promise<WorkflowFile> {
  const name = file === "-" ? "<stdin>" : file;
  const text = file === "-" ? await context.readStdin() : await readText(context.cwd, file);
  return { file: name, text, result: compile({ text, file: name }) };
}

/** A file's text. Throws GV_BAD_INPUT with the reason in words. */
export async function readText(cwd: string, file: string): Promise<string> {
  try {
    return await readFile(resolve(cwd, file), "utf8");
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

/** Writes diagnostics to stderr; returns how many errors and warnings there were. */
export function tellDiagnostics(
  context: Context,
  diagnostics: readonly Diagnostic[],
): { errors: number; warnings: number } {
  for (const diagnostic of diagnostics) {
    context.output.note(formatDiagnostic(diagnostic));
  }
  const errors = diagnostics.filter((d) => d.severity === "error").length;
  return { errors, warnings: diagnostics.length - errors };
}
