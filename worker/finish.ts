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
import { endElement, finishElement, type Elements } from "./elements.ts";
import type { ExecutionError } from "./kinds/kind.ts";
import { outputFailure, outputText } from "./output-text.ts";
import { outputTemplate, withBlobs, type Settling } from "./output-template.ts";

/**
 * Settles the output of a run, or of an element, that all of its tokens have come to the end of;
 * `failure` is what it ends with in the place of an output that can never be settled.
 */
export async function settleOutput(
  settling: Settling,
  elements: Elements,
  profile: RunProfile,
  token: ReadyToken,
  entryId: string | null,
  failure: ExecutionError | null,
): Promise<void> {
  const { scripts } = settling;
  const isRun = token.unit === token.runId;
  if (failure !== null) {
    const value = outputFailure(failure);
    await (isRun
      ? finishRun(scripts, { ...token, status: "failed", value, entryId })
      : endElement(scripts, profile, { ...token, entryId }, { value, edges: "X" }));
  } else {
    await (isRun
      ? finish(settling, profile, token, entryId)
      : finishElement(settling, elements, profile, token, entryId));
  }
}

/** Evaluates the run's output and ends the run; harmless if somebody else did. */
export async function finish(
  settling: Settling,
  profile: RunProfile,
  token: Pick<ReadyToken, "runId" | "epoch" | "queueKey">,
  entryId: string | null,
): Promise<void> {
  const { scripts, outputBytesMax } = settling;
  const { ir } = profile;
  const { runId, epoch, queueKey } = token;
  const { template, refs } = outputTemplate(ir);
  const fields = [...outputFields(ir, refs), "in", ATTEMPT_FIELD];
  const values = await scripts.redis.hmget(scripts.keys.run(runId), ...fields);
  const data = new RunData(ir, new Map(fields.map((field, i) => [field, values[i] ?? null])));
  await withBlobs(settling, runId, data, async () => {
    let status: "completed" | "failed" = "completed";
    let value: string;
    try {
      const output = template.evaluate({
        input: data.input(),
        ctx: data.context(-1, "", refs),
        run: aboutRun(runId, ir, data),
      });
      value = outputText(output, outputBytesMax);
    } catch (error) {
      status = "failed";
      value = outputFailure(error);
    }
    if (status === "completed") {
      value = await kept(scripts, token, value);
    }
    await finishRun(scripts, { runId, epoch, status, value, queueKey, entryId });
  });
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
