/** `gavotte await RUN`: returns when the run reaches a status. */
import type { RunStatus } from "../../sdk/internal.ts";
import type { Context } from "../context.ts";
import type { Flags } from "../define.ts";
import { EXIT } from "../exit.ts";
import { gatewayKey, gatewayUrl } from "../gateway-url.ts";
import { readAge, readChoice } from "../read-option.ts";
import { withClient } from "../with-client.ts";

const STATUSES: readonly RunStatus[] = [
  ...(["QUEUED", "RUNNING", "PAUSED", "FINISHING"] as const),
  ...(["COMPLETED", "FAILED", "CANCELLED"] as const),
];

/** Prints the status that the run has come to; the exit code is 0 then. */
export async function awaitCommand(context: Context, runId: string, flags: Flags): Promise<number> {
  const names = String(flags.status).split(",");
  const status = names.map((name) => readChoice("--status", name.trim().toUpperCase(), STATUSES));
  const { timeout } = flags;
  const limit = timeout === undefined ? {} : { timeoutMs: readAge("--timeout", String(timeout)) };
  const config = await context.config();
  const url = await gatewayUrl(context, config);
  return withClient(context, async (client, { signal }) => {
    const reached = await client.awaitStatus(runId, {
      ...{ status, signal, gatewayUrl: url, ...gatewayKey(config), ...limit },
      onRetry: (reason, waitMs) =>
        context.output.note(`connection lost (${reason}); trying again in ${waitMs} ms`),
    });
    context.output.line(reached);
    context.output.document({ run_id: runId, status: reached });
    return EXIT.done;
  });
}
