/**
 * Approvals: what people are asked, and their decisions.
 *
 * One person decides once on an approval: the same decision again is the same one, also when the run
 * has gone on since and only Postgres knows of it; the other one is refused.
 */
import type { Json } from "../compiler/ir.ts";
import { assertSize, assertText, patiently, tooLarge, type WaitClient } from "./client-waits.ts";
import { timestamp } from "./clock.ts";
import { GavotteError } from "./errors.ts";
import {
  listApprovals,
  readApproval,
  resolveValues,
  type ApprovalFilter,
  type ApprovalRow,
  type ApprovalState,
} from "./postgres/index.ts";
import type { ScriptRunner } from "./redis/script-runner.ts";
import { decideApproval, readWait, type AnswerOutcome } from "./redis/wait-scripts.ts";
import { misfit } from "./schema-check.ts";
import { parseWaitToken, waitToken, type WaitAddress, type WaitInfo } from "./waits.ts";

/** One thing that people are asked. */
export interface Approval {
  id: string;
  run_id: string;
  node: string;
  scope: string;
  title: string;
  description: string | null;
  /** Empty: anybody may decide. */
  assignees: string[];
  /** JSON Schema of a decision's data. */
  form: Json;
  required: number;
  state: ApprovalState;
  /** ISO 8601. */
  opened_at: string;
  expires_at: string | null;
  closed_at: string | null;
  decisions: { actor: string; approved: boolean; data: Json; decided_at: string }[];
}

export interface DecisionReceipt {
  approval_id: string;
  run_id: string;
  /** open: more approvals are needed. */
  state: "open" | "approved" | "rejected";
  /** The same decision of the same person was there before. */
  repeated: boolean;
}

/** Characters of a form in a message. */
const FORM_SHOWN_MAX = 500;

/** See Client.approvals. */
export async function findApprovals(
  client: WaitClient,
  filter: ApprovalFilter,
): Promise<Approval[]> {
  const rows = await listApprovals(client.db, filter);
  await resolveValues(
    client.db,
    rows.flatMap(({ decisions }) => decisions),
    "data",
  );
  return rows.map(approvalOf);
}

/** See Client.decide. */
export async function decide(
  client: WaitClient,
  id: string,
  decision: { approved: boolean; actor: string; data?: Json },
): Promise<DecisionReceipt> {
  const at = parseWaitToken(id);
  if (at === null) {
    throw noApproval(id);
  }
  const { approved, actor, data = null } = decision;
  assertText("the name of who decides", actor);
  assertSize(data);
  const scripts = await client.scriptsOf(at.runId);
  const outcome = await patiently(client, at.runId, async () => {
    const wait = await readWait(scripts, at);
    // First of all: what is wrong with the data is no help to who may not decide.
    if (wait?.assignees?.length && !wait.assignees.includes(actor)) {
      return "not_assigned" as const;
    }
    assertForm(id, wait, approved, data);
    return decideApproval(scripts, at, { actor, approved, data });
  });
  if (outcome === "done" || outcome === "recorded" || outcome === "repeated") {
    const state = await stateAfter(client, scripts, at, approved);
    if (state !== null) {
      return { approval_id: id, run_id: at.runId, state, repeated: outcome === "repeated" };
    }
  }
  const row = await readApproval(client.db, id);
  const before = row?.decisions.find((said) => said.actor === actor);
  const isDecided = row?.state !== "expired" && row?.state !== "cancelled";
  const isOver = outcome === "over" || outcome === "ended";
  if (isOver && isDecided && before?.approved === approved) {
    // Redis has forgotten it: the run has gone on since.
    const state = row?.state === "rejected" ? "rejected" : "approved";
    return { approval_id: id, run_id: at.runId, state, repeated: true };
  }
  throw refusal(row, id, actor, outcome);
}

/**
 * Still parked: more people have to agree. Else what is archived, if it is yet; null: it was closed
 * without having been decided.
 */
async function stateAfter(
  client: WaitClient,
  scripts: ScriptRunner,
  at: WaitAddress,
  approved: boolean,
): Promise<DecisionReceipt["state"] | null> {
  if ((await readWait(scripts, at)) !== null) {
    return "open";
  }
  const row = await readApproval(client.db, waitToken(at.unit, at.node, at.secret));
  switch (row?.state) {
    case "approved":
    case "rejected":
      return row.state;
    case "expired":
    case "cancelled":
      return null;
    default:
      return approved ? "approved" : "rejected";
  }
}

function refusal(
  row: ApprovalRow | null,
  id: string,
  actor: string,
  outcome: AnswerOutcome | "unknown",
): GavotteError {
  switch (outcome) {
    case "not_assigned":
      return new GavotteError(
        "GV_APPROVAL_FORBIDDEN",
        `${actor} is not among those who may decide ${id}; "gavotte approvals" names them`,
      );
    case "decided":
      return new GavotteError(
        "GV_APPROVAL_DECIDED",
        `${actor} has decided otherwise on ${id} before`,
      );
    case "too_large":
      return tooLarge();
    default:
      return row === null
        ? noApproval(id)
        : new GavotteError(
            "GV_APPROVAL_CLOSED",
            `approval ${id} is over (${row.state === "open" ? "closing" : row.state})`,
          );
  }
}

function assertForm(id: string, wait: WaitInfo | null, approved: boolean, data: Json): void {
  const wrong = approved || data !== null ? misfit(wait?.form, data) : null;
  if (wrong !== null) {
    const given = data === null ? "no data is given, but" : "the data does not fit";
    const asks = data === null ? ` asks for some (--data JSON)` : "";
    const text = JSON.stringify(wait?.form);
    const form = text.length > FORM_SHOWN_MAX ? `${text.slice(0, FORM_SHOWN_MAX)} …` : text;
    const message = `${given} the form of approval ${id}${asks}: ${wrong}; the form is ${form}`;
    throw new GavotteError("GV_BAD_INPUT", message, { details: { form: wait?.form } });
  }
}

function approvalOf(row: ApprovalRow): Approval {
  const { id, runId: run_id, node, scope, title, description, required, state } = row;
  return {
    ...{ id, run_id, node, scope, title, description },
    assignees: JSON.parse(row.assignees) as string[],
    form: row.form === null ? null : (JSON.parse(row.form) as Json),
    ...{ required, state },
    opened_at: new Date(row.openedAtMs).toISOString(),
    expires_at: row.expiresAtMs === null ? null : timestamp(row.expiresAtMs),
    closed_at: row.closedAtMs === null ? null : new Date(row.closedAtMs).toISOString(),
    decisions: row.decisions.map(({ decided_at_ms, ...rest }) => ({
      ...rest,
      decided_at: new Date(decided_at_ms).toISOString(),
    })),
  };
}

function noApproval(id: string): GavotteError {
  const message = `there is no approval ${id}; "gavotte approvals" shows those there are`;
  return new GavotteError("GV_APPROVAL_NOT_FOUND", message);
}
