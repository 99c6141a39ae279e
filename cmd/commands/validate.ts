/** `gavotte validate FILE…`: all that is wrong with workflow files, in one go. */
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readWorkflow, tellDiagnostics, type WorkflowFile } from "../read-workflow.ts";
import { packageVersion } from "../version.ts";

export interface ValidateOptions {
  /** Warnings fail too. */
  strict?: boolean;
  format?: string;
  dialect?: string;
}

const FORMATS = ["human", "short", "json", "sarif"];

/**
 * 0 if no file has an error, 2 if one cannot be read; warnings do not fail unless `strict`.
 */
export async function validate(
  context: Context,
  files: readonly string[],
  options: ValidateOptions,
): Promise<number> {
  const { output } = context;
  const { format = "human" } = options;
  if (!FORMATS.includes(format)) {
    const message = `--format ${format}: there is ${FORMATS.join(", ")}`;
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  output.json ||= format === "json";
  const documents: object[] = [];
  const reads: WorkflowFile[] = [];
  let failed = false;
  let unreadable = false;
  for (const file of files) {
    const read = await readWorkflow(context, file, options).catch(
      (error: unknown) => error as Error,
    );
    if (read instanceof Error) {
      // The other files are checked all the same.
      output.note(`error ${read.message}`);
      unreadable = true;
      documents.push({ file, valid: false, hash: null, error: read.message, diagnostics: [] });
      continue;
    }
    reads.push(read);
    const form = format === "short" ? "short" : "human";
    const told = await tellDiagnostics(context, read, form);
    const valid = told.errors === 0 && (options.strict !== true || told.warnings === 0);
    failed ||= !valid;
    const { hash, diagnostics, more } = read.result;
    documents.push({ file, valid, hash, diagnostics, ...(more === undefined ? {} : { more }) });
    if (format !== "sarif") output.line(verdict(read, valid, told));
  }
  output.document({ valid: !failed && !unreadable, files: documents });
  if (format === "sarif") await writeSarif(context, reads);
  return unreadable ? EXIT.usage : failed ? EXIT.failed : EXIT.done;
}

/** One line about a file: what is in it, or how much is wrong. */
function verdict(
  { file, result }: WorkflowFile,
  valid: boolean,
  { errors, warnings }: { errors: number; warnings: number },
): string {
  if (!valid) {
    const more = result.more === undefined ? "" : `, and ${result.more} more`;
    const counts = [count(errors, "error"), count(warnings, "warning")].filter((c) => c !== "");
    return `${file}: invalid (${counts.join(", ")}${more})`;
  }
  const { nodes, edges, loops } = result.ir ?? { nodes: [], edges: [], loops: [] };
  const parts = `${nodes.length} nodes, ${edges.length} edges, ${loops.length} loops`;
  return `${file}: valid (${[parts, count(warnings, "warning")].filter((c) => c !== "").join(", ")})`;
}

function count(n: number, word: string): string {
  return n === 0 ? "" : `${n} ${word}${n === 1 ? "" : "s"}`;
}

async function writeSarif({ output }: Context, reads: readonly WorkflowFile[]): Promise<void> {
  const { toSarif } = await import("../../compiler/report.ts");
  const files = reads.map(({ file, result }) => ({ file, diagnostics: result.diagnostics }));
  const log = toSarif(files, packageVersion());
  // `--json --format sarif` asks for the same thing twice.
  output.json = false;
  output.raw(`${JSON.stringify(log, null, 2)}\n`);
}
