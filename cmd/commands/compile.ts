/** `gavotte compile FILE`: the intermediate representation, or what the compiler knows about it. */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import {
  canonicalJson,
  PASSES,
  type Ir,
  type IrNode,
  type Json,
  type PassNote,
} from "../../compiler/index.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { alignColumns } from "../output.ts";
import { readWorkflow, tellDiagnostics } from "../read-workflow.ts";

export interface CompileCommandOptions {
  out?: string;
  explain?: boolean;
  dialect?: string;
  /** False with `--no-optimise`. */
  optimise?: boolean;
  coalesce?: boolean;
}

/** Writes the IR to stdout or to `out`; with `explain`, a description instead. */
export async function compile(
  context: Context,
  file: string,
  options: CompileCommandOptions,
): Promise<number> {
  const { output } = context;
  const read = await readWorkflow(context, file, options, {
    optimise: options.optimise !== false,
    coalesce: options.coalesce === true,
  });
  await tellDiagnostics(context, read);
  const { ir, hash, diagnostics, notes } = read.result;
  if (ir === null || hash === null) {
    output.document({ hash: null, ir: null, diagnostics });
    return EXIT.failed;
  }
  if (options.out !== undefined) {
    await write(context, options.out, `${canonicalJson(ir as unknown as Json)}\n`);
    output.note(`${options.out}: ${hash}`);
  }
  if (options.explain === true) {
    const lines = [...explain(ir, hash), ...explainPasses(notes, options)];
    lines.forEach((line) => output.line(line));
  } else if (options.out === undefined) {
    output.line(JSON.stringify(ir, null, 2));
  }
  output.document({ hash, ir, diagnostics, notes });
  return EXIT.done;
}

async function write(context: Context, path: string, text: string): Promise<void> {
  await writeFile(resolve(context.cwd, path), text).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GavotteError("GV_BAD_INPUT", `--out ${path}: cannot be written: ${reason}`);
  });
}

/** The IR in words, by topological order. */
function explain(ir: Ir, hash: string): string[] {
  const { analysis } = ir;
  const idOf = (n: number): string => ir.nodes[n]?.id ?? "?";
  const path = analysis.critical_path.map(idOf).join(" > ");
  const loops = ir.loops.map((loop) => {
    const limit = `at most ${loop.max_iterations} rounds while ${loop.condition}`;
    return `  ${idOf(loop.head)} .. ${idOf(loop.latch)}: ${loop.body.length} nodes, ${limit}`;
  });
  return [
    `${ir.name} ${ir.workflow_version}`.trim(),
    `hash           ${hash}`,
    `nodes, edges   ${ir.nodes.length}, ${ir.edges.length}`,
    `queues         ${[...new Set(ir.queues)].join(", ")}`,
    `paths          ${analysis.path_count}`,
    `tokens at most ${analysis.tokens_max}`,
    `longest path   ${path}`,
    ...(loops.length > 0 ? ["loops", ...loops] : []),
    "nodes",
    ...alignColumns(ir.nodes.map((node, n) => nodeRow(ir, node, n))).map((row) => `  ${row}`),
  ];
}

/** What each pass did. */
function explainPasses(notes: readonly PassNote[], options: CompileCommandOptions): string[] {
  if (options.optimise === false) return ["passes", "  none: --no-optimise"];
  const wanted = PASSES.filter((pass) => !pass.isOptional || options.coalesce === true);
  const sections = wanted.flatMap(({ name, about }) => {
    const own = notes.filter(({ pass }) => pass === name);
    const lines = own.map(({ node, text }) => `    ${node}: ${text}`);
    return [`  ${name}: ${own.length === 0 ? "nothing to do" : about}`, ...lines];
  });
  return ["passes", ...sections];
}

function nodeRow(ir: Ir, node: IrNode, n: number): string[] {
  const { join } = node;
  const losers = join.losers === undefined ? "" : `, cancels ${join.losers.length} losers`;
  const marks = [
    node.is_entry ? "entry" : "",
    node.is_terminal ? "terminal" : "",
    join.arity > 1
      ? `join ${join.kind}${join.kind === "count" ? ` ${join.need}` : ""} of ${join.arity}${losers}`
      : "",
    node.fusible ? "in the step before" : "",
    node.ahead ? "pure: in the step before, if it answers at once" : "",
  ];
  const out = node.out.map((e) => {
    const edge = ir.edges[e];
    const when = edge?.condition === null ? "" : ` if ${edge?.condition ?? ""}`;
    const on = edge?.on === "success" ? "" : ` on ${edge?.on ?? ""}`;
    return `${ir.nodes[edge?.to ?? -1]?.id ?? "?"}${on}${when}`;
  });
  const targets = out.length === 0 ? "" : `-> ${out.join("; ")}`;
  return [String(n), node.id, node.type, marks.filter((m) => m !== "").join(", "), targets];
}
