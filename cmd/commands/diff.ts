/** `gavotte diff OLD NEW`: what a new version of a workflow changes. */
import type { Ir } from "../../compiler/index.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readWorkflow, tellDiagnostics } from "../read-workflow.ts";
import { readFormat, show } from "./graph.ts";

export interface DiffFlags {
  format?: unknown;
  out?: unknown;
}

/** 0 whether or not they differ; 1 if one of the files does not compile. */
export async function diff(
  context: Context,
  before: string,
  after: string,
  flags: DiffFlags,
): Promise<number> {
  const format = readFormat(flags.format, ["text", "svg", "mermaid", "dot"]);
  const was = await irOf(context, before);
  const is = await irOf(context, after);
  if (was === null || is === null) {
    return EXIT.failed;
  }
  const { diffLines, diffPicture, diffWorkflows } = await import("../../compiler/render/index.ts");
  const found = diffWorkflows(was, is);
  if (context.output.json) {
    context.output.document(found);
  } else if (format === "text" && flags.out === undefined) {
    const lines = diffLines(found);
    lines.forEach((line) => context.output.line(line));
    if (found.isSame) {
      context.output.line("the same workflow");
    }
  } else {
    await show(context, diffPicture(was, is), format, flags.out);
  }
  return EXIT.done;
}

async function irOf(context: Context, file: string): Promise<Ir | null> {
  const read = await readWorkflow(context, file);
  await tellDiagnostics(context, read);
  return read.result.ir;
}
