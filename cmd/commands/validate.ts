/** `gavotte validate FILE…`: all that is wrong with workflow files, in one go. */
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readWorkflow, tellDiagnostics } from "../read-workflow.ts";

/**
 * 0 if no file has an error, 2 if one cannot be read; warnings do not fail unless `strict`.
 */
export async function validate(
  context: Context,
  files: readonly string[],
  options: { strict?: boolean },
): Promise<number> {
  const documents: object[] = [];
  let failed = false;
  let unreadable = false;
  for (const file of files) {
    const read = await readWorkflow(context, file).catch((error: unknown) => error as Error);
    if (read instanceof Error) {
      // The other files are checked all the same.
      context.output.note(`error ${read.message}`);
      unreadable = true;
      documents.push({ file, valid: false, hash: null, error: read.message, diagnostics: [] });
      continue;
    }
    const { result } = read;
    const { errors, warnings } = tellDiagnostics(context, result.diagnostics);
    const valid = errors === 0 && (options.strict !== true || warnings === 0);
    failed ||= !valid;
    const { hash, diagnostics } = result;
    documents.push({ file, valid, hash, diagnostics });
    if (valid) {
      const { nodes, edges, loops } = result.ir ?? { nodes: [], edges: [], loops: [] };
      const counts = `${nodes.length} nodes, ${edges.length} edges, ${loops.length} loops`;
      context.output.line(`${file}: valid (${counts}${count(warnings, "warning")})`);
    } else {
      context.output.line(
        `${file}: invalid (${plural(errors, "error")}${count(warnings, "warning")})`,
      );
    }
  }
  context.output.document({ valid: !failed && !unreadable, files: documents });
  return unreadable ? EXIT.usage : failed ? EXIT.failed : EXIT.done;
}

function plural(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}

function count(n: number, word: string): string {
  return n === 0 ? "" : `, ${plural(n, word)}`;
}
