/** `gavotte node complete|fail|skip|retry RUN NODE` and `gavotte audit [RUN]`. */
import type { Json } from "../../compiler/ir.ts";
import type { NodeOrder } from "../../sdk/client.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readInput, readValue } from "../read-input.ts";
import { readLimit } from "../read-option.ts";
import { withClient } from "../with-client.ts";
import { noteOf } from "./pause.ts";

export interface NodeFlags {
  output?: string;
  input?: string;
  code?: string;
  scope?: string;
  element?: string;
  as?: string;
  reason?: string;
}

/** Settles a node's open token, or tries it again. */
export async function settleNode(
  context: Context,
  action: NodeOrder["action"],
  run: string,
  node: string,
  flags: NodeFlags,
): Promise<number> {
  const { scope, element, code, reason } = flags;
  const note = noteOf(flags);
  const order: NodeOrder = {
    action,
    ...note,
    ...(flags.output !== undefined && {
      output: await readValue(context, flags.output, "--output"),
    }),
    ...(flags.input !== undefined && { input: await readInput(context, flags.input) }),
    ...(code !== undefined && {
      error: { code, message: reason ?? `failed by ${note.by}` },
    }),
    ...(scope !== undefined && { scope }),
    ...(element !== undefined && { element }),
  };
  return withClient(context, async (client) => {
    const attempt = await client.operations.intervene(run, node, order);
    context.output.line(`${run} ${node} ${action}: a worker was told (attempt ${attempt})`);
    context.output.document({ run_id: run, node, action, attempt });
    return EXIT.done;
  });
}

/** What was done by hand, newest first. */
export async function audit(
  context: Context,
  run: string | undefined,
  flags: { limit?: string },
): Promise<number> {
  const filter = { limit: readLimit(flags.limit), ...(run !== undefined && { runId: run }) };
  return withClient(context, async (client) => {
    const entries = (await client.operations.audit(filter)).map((entry) => ({
      at: new Date(entry.atMs).toISOString(),
      ...{ who: entry.who, action: entry.action, run_id: entry.runId, node: entry.node },
      ...{ scope: entry.scope, reason: entry.reason },
      before: parse(entry.before),
      after: parse(entry.after),
    }));
    const rows = entries.map((e) => [
      e.at,
      e.who,
      e.action,
      e.run_id ?? "-",
      e.node ?? "-",
      e.reason,
    ]);
    if (rows.length > 0) {
      context.output.table([["AT", "WHO", "ACTION", "RUN", "NODE", "REASON"], ...rows]);
    } else if (!context.output.json) {
      context.output.note("nothing was done by hand");
    }
    context.output.document({ audit: entries });
    return EXIT.done;
  });
}

function parse(text: string | null): Json {
  return text === null ? null : (JSON.parse(text) as Json);
}
