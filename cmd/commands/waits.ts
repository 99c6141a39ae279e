/** `gavotte signal | callback | approvals | approve | reject`: what runs wait for. */
import { GavotteError } from "../../sdk/errors.ts";
import type { Approval } from "../../sdk/client.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { formText } from "../form-text.ts";
import { readData } from "../read-input.ts";
import { readChoice, readLimit } from "../read-option.ts";
import { withClient } from "../with-client.ts";

const STATES = ["open", "approved", "rejected", "expired", "cancelled", "all"] as const;

/** Sends a signal; 0 also when it was there before. */
export async function signal(
  context: Context,
  runId: string,
  name: string,
  flags: { data?: string; id?: string },
): Promise<number> {
  const data = await readData(context, flags.data);
  return withClient(context, async (client) => {
    const id = flags.id === undefined ? {} : { id: flags.id };
    const receipt = await client.signal(runId, name, data, id);
    const told = {
      delivered: `${runId} goes on`,
      kept: `kept for the next node of ${runId} that waits for ${name}`,
      repeated: `${runId} has had signal ${receipt.id} before`,
    };
    context.output.line(told[receipt.outcome]);
    context.output.document(receipt);
    return EXIT.done;
  });
}

/** Answers one waiting node; 0 also when this very call was there before. */
export async function callback(
  context: Context,
  token: string,
  flags: { data?: string; id?: string },
): Promise<number> {
  const data = await readData(context, flags.data);
  return withClient(context, async (client) => {
    const id = flags.id === undefined ? {} : { id: flags.id };
    const receipt = await client.callback(token, data, id);
    const before = receipt.outcome === "repeated" ? " (this call was there before)" : "";
    context.output.line(`${receipt.run_id} goes on${before}`);
    context.output.document(receipt);
    return EXIT.done;
  });
}

/** Lists what people are asked. */
export async function approvals(
  context: Context,
  flags: { state?: string; assignee?: string; run?: string; limit?: string },
): Promise<number> {
  const limit = readLimit(flags.limit);
  const state = readChoice("--state", flags.state ?? "open", STATES);
  const { assignee, run } = flags;
  return withClient(context, async (client) => {
    const list = await client.approvals({
      limit,
      ...(state === "all" ? {} : { state }),
      ...(assignee === undefined ? {} : { assignee }),
      ...(run === undefined ? {} : { runId: run }),
    });
    if (list.length > 0) {
      const head = ["ID", "STATE", "TITLE", "WHO", "AGREED", "UNTIL", "DATA"];
      context.output.table([head, ...list.map(rowOf)]);
    } else if (!context.output.json) {
      context.output.note("no approvals");
    }
    context.output.document({ approvals: list });
    return EXIT.done;
  });
}

/** Takes one person's decision down. */
export async function decide(
  context: Context,
  id: string,
  approved: boolean,
  flags: { as?: string; data?: string },
): Promise<number> {
  const { as: actor } = flags;
  if (actor === undefined) {
    throw new GavotteError("GV_BAD_INPUT", "who decides? name yourself: --as NAME");
  }
  const data = await readData(context, flags.data);
  return withClient(context, async (client) => {
    const receipt = await client.decide(id, { approved, actor, data });
    const more = receipt.state === "open" ? ", more approvals are needed" : "";
    const before = receipt.repeated ? " (decided so before)" : "";
    context.output.line(`${id} ${receipt.state}${more}${before}`);
    context.output.document(receipt);
    return EXIT.done;
  });
}

function rowOf(approval: Approval): string[] {
  const { id, state, title, assignees, decisions, required, expires_at, form } = approval;
  const agreed = decisions.filter((decision) => decision.approved).length;
  const who = assignees.length === 0 ? "anybody" : assignees.join(", ");
  return [id, state, title, who, `${agreed}/${required}`, expires_at ?? "-", formText(form)];
}
