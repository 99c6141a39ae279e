/** `gavotte convert FILE`: a workflow of any dialect as a native file. */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import {
  compile,
  readNative,
  formatOf,
  writeNative,
  type Diagnostic,
} from "../../compiler/index.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readDialect, readWorkflow, tellDiagnostics } from "../read-workflow.ts";

export interface ConvertOptions {
  to?: string;
  out?: string;
  dialect?: string;
}

/** Writes the native file to stdout or to `out`, and what was lost to stderr. */
export async function convert(
  context: Context,
  path: string,
  options: ConvertOptions,
): Promise<number> {
  const { output } = context;
  const to = readTarget(options.to);
  const dialect = readDialect(options.dialect);
  const read = await readWorkflow(context, path, options);
  const { file, text, result } = read;
  const source = { text, file, ...(dialect === undefined ? {} : { dialect }) };
  const native = readNative(source);
  if (result.ir === null || native.value === undefined) {
    await tellDiagnostics(context, read);
    output.document({ dialect: result.dialect, document: null, losses: [], ...shown(result) });
    return EXIT.failed;
  }
  const from = { text, file, format: formatOf(text, file), ...native, value: native.value };
  const written = writeNative(from, to);
  const again = compile({ text: written.text, format: to });
  if (again.hash !== result.hash) {
    throw new Error(`${path}: the converted file would be another workflow`);
  }
  const diagnostics = [...result.diagnostics, ...written.losses].toSorted(
    (a, b) => a.line - b.line || a.column - b.column,
  );
  const losses = diagnostics.filter(isLoss);
  await tellDiagnostics(context, { ...read, result: { ...result, diagnostics } });
  if (options.out === undefined) output.line(written.text.trimEnd());
  else await save(context, options.out, written.text);
  const { hash } = result;
  output.document({ dialect: result.dialect, hash, document: native.value, losses, diagnostics });
  return EXIT.done;
}

function shown({ diagnostics }: { diagnostics: readonly Diagnostic[] }): object {
  return { hash: null, diagnostics };
}

function isLoss({ code }: Diagnostic): boolean {
  return code === "GV5002";
}

function readTarget(to = "native"): "json" | "yaml" {
  if (to === "native" || to === "json") return "json";
  if (to === "yaml") return "yaml";
  throw new GavotteError("GV_BAD_INPUT", `--to ${to}: there is native (JSON) and yaml`);
}

async function save(context: Context, path: string, text: string): Promise<void> {
  await writeFile(resolve(context.cwd, path), text).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GavotteError("GV_BAD_INPUT", `--out ${path}: cannot be written: ${reason}`);
  });
}
