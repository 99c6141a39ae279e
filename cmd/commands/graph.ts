/** `gavotte graph FILE`: a workflow as a picture; with `--run`, how a run of it went. */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Ir } from "../../compiler/index.ts";
import type { NodeState, Picture } from "../../compiler/render/index.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readWorkflow, tellDiagnostics } from "../read-workflow.ts";

export const GRAPH_FORMATS = ["text", "mermaid", "dot", "svg"] as const;
export type GraphFormat = (typeof GRAPH_FORMATS)[number];

export interface GraphFlags {
  format?: unknown;
  out?: unknown;
  run?: unknown;
  dialect?: unknown;
}

/** Draws a file's workflow, or, with `run`, the workflow of a run with the states of its nodes. */
export async function graph(
  context: Context,
  file: string | undefined,
  flags: GraphFlags,
): Promise<number> {
  const format = readFormat(flags.format);
  if (file !== undefined && flags.run !== undefined) {
    const message = `--run draws the workflow of the run: leave ${file} out`;
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  const found = await (typeof flags.run === "string"
    ? ofRun(context, flags.run)
    : ofFile(context, file, flags));
  if (found === null) {
    return EXIT.failed;
  }
  const { pictureOf } = await import("../../compiler/render/index.ts");
  const { ir, states } = found;
  const picture = pictureOf(ir, states === null ? {} : { states });
  await show(context, picture, format, flags.out);
  return EXIT.done;
}

/** `--format`, checked. Throws GV_BAD_INPUT. */
export function readFormat(
  value: unknown,
  formats: readonly string[] = GRAPH_FORMATS,
): GraphFormat {
  const found = formats.find((name) => name === (value ?? formats[0]));
  if (found === undefined) {
    const message = `--format ${String(value)}: there is ${formats.join(", ")}`;
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  return found as GraphFormat;
}

/** Writes a picture to stdout, or to a file. */
export async function show(
  context: Context,
  picture: Picture,
  format: GraphFormat,
  out: unknown,
): Promise<void> {
  const render = await import("../../compiler/render/index.ts");
  const text = {
    text: render.renderText,
    mermaid: render.renderMermaid,
    dot: render.renderDot,
    svg: render.renderSvg,
  }[format](picture);
  context.output.document(picture);
  if (typeof out !== "string") {
    context.output.raw(text);
    return;
  }
  await writeFile(resolve(context.cwd, out), text).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GavotteError("GV_BAD_INPUT", `--out ${out}: cannot be written: ${reason}`);
  });
  context.output.note(`${out}: written`);
}

interface Found {
  ir: Ir;
  states: ReadonlyMap<string, NodeState> | null;
}

async function ofFile(
  context: Context,
  file: string | undefined,
  flags: GraphFlags,
): Promise<Found | null> {
  if (file === undefined) {
    throw new GavotteError("GV_BAD_INPUT", "name a workflow file, or a run with --run");
  }
  const read = await readWorkflow(context, file, flags);
  await tellDiagnostics(context, read);
  const { ir, diagnostics } = read.result;
  if (ir === null) {
    context.output.document({ picture: null, diagnostics });
    return null;
  }
  return { ir, states: null };
}

async function ofRun(context: Context, runId: string): Promise<Found> {
  const { withClient } = await import("../with-client.ts");
  let found: Found | undefined;
  await withClient(context, async (client) => {
    const view = await client.view(runId);
    const states = Object.entries(view.nodes).map(([id, node]): [string, NodeState] => {
      const { status, attempts, started_at: from, ended_at: to } = node;
      const durationMs = from === null || to === null ? null : to - from;
      return [id, { status, attempts, durationMs }];
    });
    found = { ir: view.ir, states: new Map(states) };
    return EXIT.done;
  });
  if (found === undefined) {
    throw new GavotteError("GV_RUN_NOT_FOUND", `there is no run ${runId}`);
  }
  return found;
}
