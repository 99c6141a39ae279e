/**
 * The output of a run whose workflow has an `output` template: evaluated by the worker that took
 * the run's last step, because the script that saw zero has neither CEL nor the IR (21 A7).
 */
import {
  aboutRun,
  ATTEMPT_FIELD,
  blobRefOf,
  blobText,
  finishRun,
  isBlobSized,
  outputFields,
  putBlobs,
  type ReadyToken,
  RunData,
  type RunProfile,
  type ScriptRunner,
} from "../sdk/internal.ts";
import { endElement, finishElement } from "./elements.ts";
import type { ExecutionError } from "./kinds/kind.ts";
import type { LaneOptions } from "./lane-options.ts";
import { OUTPUT_BYTES_MAX, outputFailure, outputText } from "./output-text.ts";
import { outputTemplate, readBlobs } from "./output-template.ts";

/**
 * Settles the output of a run, or of an element, that all of its tokens have come to the end of;
 * `failure` is what it ends with in the place of an output that can never be settled.
 */
export async function settleOutput(
  {
    scripts,
    elements,
    outputBytesMax,
  }: Pick<LaneOptions, "scripts" | "elements" | "outputBytesMax">,
  profile: RunProfile,
  token: ReadyToken,
  entryId: string | null,
  failure: ExecutionError | null,
): Promise<void> {
  // The finish timer names the queue of the node, whose tokens may begin in another stream.
  const queue = profile.ir.nodes[token.node]?.queue ?? 0;
  const queueKey = entryId === null ? (profile.queueKeys[queue] as string) : token.queueKey;
  const at = { ...token, queueKey };
  const isRun = token.unit === token.runId;
  if (failure !== null) {
    const value = outputFailure(failure);
    await (isRun
      ? finishRun(scripts, { ...at, status: "failed", value, entryId })
      : endElement(scripts, profile, { ...at, entryId }, { value, edges: "X" }));
  } else {
    await (isRun
      ? finish(scripts, profile, at, entryId, outputBytesMax)
      : finishElement(scripts, elements, profile, at, entryId, outputBytesMax));
  }
}

/** Evaluates the run's output and ends the run; harmless if somebody else did. */
export async function finish(
  scripts: ScriptRunner,
  profile: RunProfile,
  token: Pick<ReadyToken, "runId" | "epoch" | "queueKey">,
  entryId: string | null,
  outputBytesMax = OUTPUT_BYTES_MAX,
): Promise<void> {
  const { ir } = profile;
  const { template, refs } = outputTemplate(ir);
  const fields = [...outputFields(ir, refs), "in", ATTEMPT_FIELD];
  const values = await scripts.redis.hmget(scripts.keys.run(token.runId), ...fields);
  const data = new RunData(ir, new Map(fields.map((field, i) => [field, values[i] ?? null])));
  await readBlobs(scripts, token.runId, data);
  let status: "completed" | "failed" = "completed";
  let value: string;
  try {
    const output = template.evaluate({
      input: data.input(),
      ctx: data.context(-1, "", refs),
      run: aboutRun(token.runId, ir, data),
    });
    value = outputText(output, outputBytesMax);
  } catch (error) {
    status = "failed";
    value = outputFailure(error);
  }
  if (status === "completed") {
    value = await kept(scripts, token, value);
  }
  const { runId, epoch, queueKey } = token;
  await finishRun(scripts, { runId, epoch, status, value, queueKey, entryId });
}

/** An output too large to stand in the journal is kept beside it. */
async function kept(
  scripts: ScriptRunner,
  { runId, epoch }: Pick<ReadyToken, "runId" | "epoch">,
  text: string,
): Promise<string> {
  if (!isBlobSized(text)) {
    return text;
  }
  const ref = blobRefOf(text);
  await putBlobs(scripts, { runId, epoch }, [{ sha256: ref.sha256, text }]);
  return blobText(ref);
}
