/** `gavotte runs`: runs, newest first. */
import type { RunFilter } from "../../sdk/postgres/index.ts";
import { GavotteError, type RunStatus } from "../../sdk/internal.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { formatMs } from "../output.ts";
import { readChoice, readLimit } from "../read-option.ts";
import { withClient } from "../with-client.ts";

const STATUSES: readonly RunStatus[] = [
  ...(["QUEUED", "RUNNING", "PAUSED", "FINISHING"] as const),
  ...(["COMPLETED", "FAILED", "CANCELLED"] as const),
];

/** Lists runs. */
export async function runs(
  context: Context,
  flags: {
    [flag in "status" | "businessStatus" | "workflow" | "tenant" | "parent" | "limit"]?: string;
  },
): Promise<number> {
  const filter = { ...filterOf(flags), ...statusesOf(flags.status) };
  return withClient(context, async (client) => {
    const found = await client.runs(filter);
    const rows = found.map((run) => {
      const { started_at: from, ended_at: to } = run;
      const took = from === null || to === null ? "-" : formatMs(Date.parse(to) - Date.parse(from));
      const error = run.error === null ? "" : run.error.code;
      const status = run.asleep === undefined ? run.status : `${run.status} (asleep)`;
      const business = run.business_status === undefined ? "" : `: ${run.business_status}`;
      return [run.run_id, run.workflow, status + business, run.created_at, took, error];
    });
    if (rows.length > 0) {
      context.output.table([["RUN", "WORKFLOW", "STATUS", "CREATED", "TOOK", "ERROR"], ...rows]);
    } else if (!context.output.json) {
      context.output.note("no runs");
    }
    context.output.document({ runs: found });
    return EXIT.done;
  });
}

/** Those that are asked for; without `--status` any. */
function statusesOf(text: string | undefined): Pick<RunFilter, "status"> {
  const names = text?.split(",") ?? [];
  const asked = names.map((name) => readChoice("--status", name.trim().toUpperCase(), STATUSES));
  return text === undefined ? {} : { status: asked };
}

function filterOf(flags: { [flag: string]: string | undefined }): RunFilter {
  const { businessStatus, workflow, tenant, parent } = flags;
  if (workflow === "") {
    throw new GavotteError("GV_BAD_INPUT", "--workflow must be a workflow's name");
  }
  return {
    limit: readLimit(flags.limit),
    ...(businessStatus === undefined ? {} : { businessStatus }),
    ...(workflow === undefined ? {} : { workflow }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(parent === undefined ? {} : { parent }),
  };
}
