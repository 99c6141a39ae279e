/** `gavotte cancel RUN`: ends a run. */
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { withClient } from "../with-client.ts";

const TOLD_WITHIN_MS = 10_000;

/** 0 when the run is cancelled, also if it was before. */
export async function cancel(
  context: Context,
  runId: string,
  flags: { reason?: string },
): Promise<number> {
  return withClient(context, async (client, { signal }) => {
    await client.cancel(runId, flags.reason);
    const { status } = await client.ended(runId, { signal, timeoutMs: TOLD_WITHIN_MS });
    context.output.line(`${runId} ${status}`);
    context.output.document({ run_id: runId, status });
    return EXIT.done;
  });
}
