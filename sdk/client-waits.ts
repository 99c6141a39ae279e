/**
 * The client's part of waits: signals, callbacks, approvals.
 *
 * What can be checked with the workflow at hand is checked here, so that the sender is told: does
 * the run wait for this signal at all, does the payload fit what the node asks for. Whether anything
 * waits right now is decided by the scripts, atomically with timers and with others who answer.
 */
import { uuidv7 } from "uuidv7";
import type { Ir, Json } from "../compiler/ir.ts";
import { timestamp } from "./clock.ts";
import { GavotteError } from "./errors.ts";
import { assertKept } from "./given.ts";
import {
  listApprovals,
  readApproval,
  readRun,
  resolveValues,
  type ApprovalFilter,
  type ApprovalRow,
  type ApprovalState,
  type RunRow,
} from "./postgres/index.ts";
import type { ScriptRunner } from "./redis/script-runner.ts";
import {
  callbackWait,
  decideApproval,
  readWait,
  signalRun,
  type AnswerOutcome,
} from "./redis/wait-scripts.ts";
import { tookCallback, tookSignal, wasGiven } from "./repeated-answers.ts";
import { misfit } from "./schema-check.ts";
import { isTerminal } from "./status.ts";
import { whileAwake, type WakeClient } from "./wake.ts";
import {
  parseWaitToken,
  SIGNAL_BYTES_MAX,
  SIGNAL_ID_LENGTH_MAX,
  SIGNALS_KEPT_MAX,
  signalNames,
  signalSchemas,
  waitToken,
  type WaitAddress,
  type WaitInfo,
} from "./waits.ts";

/** What the functions here need of a client. */
export interface WaitClient extends WakeClient {
  scriptsOf(runId: string): Promise<ScriptRunner>;
  irOf(hash: string): Promise<Ir>;
}

export interface SignalReceipt {
  run_id: string;
  signal: string;
  id: string;
  /** kept: the next node that waits for it takes it. repeated: this id was accepted before. */
  outcome: "delivered" | "kept" | "repeated";
}

export interface CallbackReceipt {
  run_id: string;
  outcome: "delivered" | "repeated";
}

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

const RETRY_MS = 50;
/** Characters of a form in a message. */
const FORM_SHOWN_MAX = 500;

/** See Client.signal. */
export async function sendSignal(
  client: WaitClient,
  runId: string,
  name: string,
  data: Json,
  id: string = uuidv7(),
): Promise<SignalReceipt> {
  assertText("the signal's id", id);
  const row = await readRun(client.db, runId);
  if (row === null) {
    throw noRun(runId);
  }
  if (isTerminal(row.status)) {
    return repeatedSignal(client, row, name, id);
  }
  assertAwaited(await client.irOf(row.irHash), name, data);
  const value = { kind: "signal", name, id, data };
  assertSize(value);
  const scripts = await client.scriptsOf(runId);
  const outcome = await patiently(client, runId, () =>
    signalRun(scripts, { runId, id, name, data }),
  );
  switch (outcome) {
    case "delivered":
    case "kept":
    case "repeated":
      return { run_id: runId, signal: name, id, outcome };
    case "full":
      throw new GavotteError(
        "GV_SIGNALS_FULL",
        `run ${runId} keeps ${SIGNALS_KEPT_MAX} signals that nothing waits for yet, and takes no more`,
      );
    case "too_large":
      throw tooLarge();
    default:
      return repeatedSignal(client, row, name, id);
  }
}

/** The receipt of a signal that the run took before it ended; of another one the error. */
async function repeatedSignal(
  client: WaitClient,
  { id: runId, status }: RunRow,
  name: string,
  id: string,
): Promise<SignalReceipt> {
  if (await tookSignal(client, runId, id)) {
    return { run_id: runId, signal: name, id, outcome: "repeated" };
  }
  throw ended(runId, isTerminal(status) ? status : undefined);
}

/** See Client.callback. */
export async function sendCallback(
  client: WaitClient,
  token: string,
  data: Json,
  id: string = uuidv7(),
): Promise<CallbackReceipt> {
  const at = parseWaitToken(token);
  if (at === null) {
    throw unknownToken(token);
  }
  assertText("the callback's id", id);
  assertSize({ kind: "callback", id, data });
  const scripts = await client.scriptsOf(at.runId);
  const outcome = await patiently(client, at.runId, async () => {
    const wait = await readWait(scripts, at);
    assertFits("the payload", wait?.schema, data);
    return callbackWait(scripts, at, { id, data });
  });
  switch (outcome) {
    case "done":
    case "repeated":
      return { run_id: at.runId, outcome: outcome === "done" ? "delivered" : "repeated" };
    case "other_kind":
    case "unknown":
      throw unknownToken(token);
    case "too_large":
      throw tooLarge();
    case "ended":
      if (await tookCallback(client, at, id)) {
        return { run_id: at.runId, outcome: "repeated" };
      }
      throw ended(at.runId);
    default:
      if ((await wasGiven(client, scripts, at)) === false) {
        throw unknownToken(token);
      }
      throw new GavotteError(
        "GV_CALLBACK_USED",
        `callback token ${token} was used before, or what it belonged to is over`,
      );
  }
}

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
    return { approval_id: id, run_id: at.runId, state, repeated: outcome === "repeated" };
  }
  const row = await readApproval(client.db, id);
  const before = row?.decisions.find((said) => said.actor === actor);
  if ((outcome === "over" || outcome === "ended") && before?.approved === approved) {
    // Redis has forgotten it: the run has gone on since.
    const state = row?.state === "rejected" ? "rejected" : "approved";
    return { approval_id: id, run_id: at.runId, state, repeated: true };
  }
  throw refusal(row, id, actor, outcome);
}

/** Still parked: more people have to agree. Else what is archived, if it is yet. */
async function stateAfter(
  client: WaitClient,
  scripts: ScriptRunner,
  at: WaitAddress,
  approved: boolean,
): Promise<DecisionReceipt["state"]> {
  if ((await readWait(scripts, at)) !== null) {
    return "open";
  }
  const row = await readApproval(client.db, waitToken(at.unit, at.node, at.secret));
  const isKnown = row?.state === "approved" || row?.state === "rejected";
  return isKnown ? (row.state as "approved" | "rejected") : approved ? "approved" : "rejected";
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

/**
 * Calls until the run is there to answer: one that was accepted a moment ago is not in Redis yet, one
 * in repair soon will be, and one that is asleep is woken.
 */
async function patiently<T extends string>(
  client: WaitClient,
  runId: string,
  call: () => Promise<T>,
): Promise<Exclude<T, "gone" | "busy"> | "ended" | "unknown"> {
  const untilMs = client.clock.monotonicMs() + client.patienceMs;
  for (;;) {
    const outcome = await call();
    if (outcome !== "gone" && outcome !== "busy") {
      return outcome as Exclude<T, "gone" | "busy">;
    }
    const row = await readRun(client.db, runId);
    if (row === null || isTerminal(row.status)) {
      return row === null ? "unknown" : "ended";
    }
    const isAsleep = row.asleepSinceMs !== null;
    if (client.clock.monotonicMs() >= untilMs) {
      const gone = isAsleep ? "is falling asleep" : "has not started yet";
      const why = outcome === "gone" ? gone : "is being repaired";
      throw new GavotteError("GV_RUN_NOT_READY", `run ${runId} ${why}; try again later`);
    }
    await (isAsleep ? whileAwake(client, row) : client.pause(RETRY_MS));
  }
}

function assertAwaited(ir: Ir, name: string, data: Json): void {
  const schemas = signalSchemas(ir, name);
  if (schemas.length === 0) {
    const names = signalNames(ir);
    const known = names.length === 0 ? "it waits for none" : `it waits for ${names.join(", ")}`;
    const message = `workflow ${ir.name} never waits for a signal "${name}": ${known}`;
    throw new GavotteError("GV_SIGNAL_UNKNOWN", message, { details: { known: names } });
  }
  // Which of them it will serve is not known yet: it must fit one.
  const problems = schemas.map((schema) => misfit(schema, data));
  const [first] = problems;
  if (!problems.includes(null)) {
    throw badInput(`the payload of signal "${name}" does not fit its schema: ${first}`);
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

function assertFits(what: string, schema: Json | undefined, data: Json): void {
  const wrong = misfit(schema, data);
  if (wrong !== null) {
    throw badInput(`${what} does not fit its schema: ${wrong}`);
  }
}

function assertText(what: string, text: string): void {
  if (text === "" || text.length > SIGNAL_ID_LENGTH_MAX) {
    throw badInput(`${what} must have 1 to ${SIGNAL_ID_LENGTH_MAX} characters`);
  }
}

function assertSize(value: Json): void {
  const text = JSON.stringify(value);
  if (Buffer.byteLength(text) > SIGNAL_BYTES_MAX) {
    throw tooLarge();
  }
  assertKept(value, text);
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

function badInput(message: string): GavotteError {
  return new GavotteError("GV_BAD_INPUT", message);
}

function tooLarge(): GavotteError {
  const what = "the payload, with its id and name, has";
  const message = `${what} more than ${SIGNAL_BYTES_MAX} bytes as JSON; send a reference`;
  return new GavotteError("GV_SIGNAL_TOO_LARGE", message);
}

function noRun(runId: string): GavotteError {
  const message = `there is no run ${runId}; "gavotte runs" shows those there are`;
  return new GavotteError("GV_RUN_NOT_FOUND", message);
}

function ended(runId: string, status?: string): GavotteError {
  const how = status === undefined ? "" : ` (${status})`;
  return new GavotteError("GV_RUN_ENDED", `run ${runId} has ended${how}: it waits for nothing`);
}

function unknownToken(token: string): GavotteError {
  const message = `"${token}" is no callback token; "gavotte status RUN" shows those of a run`;
  return new GavotteError("GV_CALLBACK_UNKNOWN", message);
}

function noApproval(id: string): GavotteError {
  const message = `there is no approval ${id}; "gavotte approvals" shows those there are`;
  return new GavotteError("GV_APPROVAL_NOT_FOUND", message);
}
