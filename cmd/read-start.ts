/** Where `gavotte run` is to begin: refused, with places in the file, before anything is started. */
import { readNative, type Ir, type Json } from "../compiler/index.ts";
import type { Start, StartProblem } from "../compiler/reference/index.ts";
import { GavotteError } from "../sdk/errors.ts";
import type { SubmissionRequest } from "../sdk/client.ts";
import { readPairs } from "./read-pairs.ts";
import { readDialect, type WorkflowFile } from "./read-workflow.ts";

export interface StartFlags {
  from?: unknown;
  set?: unknown;
  nodeInput?: unknown;
  dialect?: unknown;
}

/**
 * `--from`, with `--set` and `--node-input`; null without. Of a workflow that is stored elsewhere
 * (`workflow` null) the supervisor says whether it can. Throws GV_BAD_INPUT, GV_START_REFUSED.
 */
export async function readStart(
  workflow: { file: WorkflowFile; ir: Ir } | null,
  input: Json,
  flags: StartFlags,
): Promise<Start | null> {
  const start = startOf(flags);
  if (start === null || workflow === null) {
    return start;
  }
  const { file, ir } = workflow;
  const { planStart, runVars, START_FLAGS } = await import("../compiler/reference/index.ts");
  const plan = planStart(ir, start, runVars(ir, "", input), START_FLAGS);
  if ("problems" in plan) {
    throw refused(file, start, plan.problems, flags);
  }
  return start;
}

/** Where to begin, as a submission says it. */
export function startMembers(
  start: Start | null,
): Pick<SubmissionRequest, "start_at" | "outputs" | "inputs"> {
  const { at: start_at, ...given } = start ?? {};
  return start_at === undefined ? {} : { start_at, ...given };
}

/** What the options say, unchecked. */
function startOf(flags: StartFlags): Start | null {
  const [at, set, nodeInput] = [flags.from, flags.set, flags.nodeInput].map(
    (list) => list as string[] | undefined,
  );
  if (at !== undefined) {
    const outputs = readPairs("--set", set ?? []);
    return { at, outputs, inputs: readPairs("--node-input", nodeInput ?? []) };
  }
  if (set === undefined && nodeInput === undefined) {
    return null;
  }
  throw new GavotteError("GV_BAD_INPUT", "--set and --node-input go with --from NODE");
}

function refused(
  { file, text }: WorkflowFile,
  { at }: Start,
  problems: readonly StartProblem[],
  flags: StartFlags,
): GavotteError {
  const dialect = readDialect(flags.dialect);
  const read = readNative({ text, file, ...(dialect === undefined ? {} : { dialect }) });
  const nodes = (read.value as { nodes?: { id?: Json }[] } | undefined)?.nodes ?? [];
  const lines = problems.map(({ node, message }) => {
    const index = nodes.findIndex(({ id }) => id === node);
    const isShown = index >= 0 && "map" in read;
    const line = isShown ? `:${read.map.locate(`/nodes/${index}`).line}` : "";
    return `${file}${line}: ${message}`;
  });
  const message = `a run cannot begin at "${at.join('", "')}":\n  ${lines.join("\n  ")}`;
  return new GavotteError("GV_START_REFUSED", message, { details: { problems } });
}
