/**
 * Reading one entry of gv:submissions: pure, and it never throws. A submission comes from anybody;
 * whatever it holds, the answer is a submission in order or a list of what is wrong with it.
 */
import { hash as digest } from "node:crypto";
import { canonicalJson } from "../compiler/index.ts";
import type { Json, Priority } from "../compiler/ir.ts";
import type { Start } from "../compiler/reference/index.ts";
import { parseJson } from "../condition/json-text.ts";
import {
  globalKeys,
  NAMESPACE_SHAPE,
  namespaceNamed,
  PRIORITIES,
  RUN_ID,
} from "../sdk/internal.ts";

export interface SubmissionProblem {
  code: string;
  message: string;
  path?: string;
  /** Of a workflow that came as a file's text: where in it, both from 1. */
  line?: number;
  column?: number;
}

/** A workflow that came with its submission: as a document, or as the text of a file, JSON or YAML. */
export interface Written {
  source: { document: { [key: string]: Json } } | { text: string };
  /** Of a document its JSON text. */
  text: string;
  /** Equal keys, equal sources. */
  key: string;
}

/** How the workflow is named: itself, `name@version`, or a stored hash. */
export type WorkflowChoice =
  Written | { ref: { name: string; version: string | null } } | { hash: string };

export interface Submission {
  entryId: string;
  runId: string;
  workflow: WorkflowChoice;
  input: Json;
  /** JSON text of the input. */
  inputText: string;
  idempotencyKey: string | null;
  requestHash: string;
  priority: Priority | null;
  tenant: string;
  namespace: string;
  replyTo: string;
  /** Where it begins; null: at its entry nodes. */
  start: Start | null;
  /** What came, for the dead letters. */
  raw: string;
}

export interface BadSubmission {
  entryId: string;
  runId: string | null;
  replyTo: string;
  problems: SubmissionProblem[];
  /** What came, for the dead letters. */
  raw: string;
}

const SUBMISSION_BYTES_MAX = 4 * 1024 * 1024;
const INPUT_BYTES_MAX = 1024 * 1024;
/** Of one that is larger than that: it can never be accepted, so it need not be whole. */
const RAW_KEPT_CHARS = 65_536;
const TEXT_CHARS_MAX = 256;
const MEMBERS = new Set([
  ...["workflow", "workflow_ref", "hash", "input", "idempotency_key", "run_id"],
  ...["priority", "tenant", "reply_to", "namespace", "start_at", "inputs", "outputs"],
]);

/** Reads an entry. */
export function readSubmission(
  entryId: string,
  fields: readonly string[],
): Submission | BadSubmission {
  const at = fields.findIndex((field, i) => i % 2 === 0 && field === "submission");
  const raw = (at < 0 ? undefined : fields[at + 1]) ?? "";
  try {
    return read(entryId, at < 0 ? null : raw);
  } catch (error) {
    // Nested too deeply to be written as JSON again.
    const message = `the submission cannot be read: ${String(error)}`;
    const problems = [{ code: "GV_BAD_SUBMISSION", message }];
    return bad(entryId, null, globalKeys.replies, problems, raw);
  }
}

function read(entryId: string, text: string | null): Submission | BadSubmission {
  const raw = text ?? "";
  const problems: SubmissionProblem[] = [];
  const say = (message: string, path?: string): void => {
    problems.push({ code: "GV_BAD_SUBMISSION", message, ...(path === undefined ? {} : { path }) });
  };
  const members = text === null ? null : parseMembers(raw, say);
  if (text === null) {
    say('the entry has no field "submission"');
  }
  const replyTo = readReplyTo(members?.reply_to, say);
  if (members === null) {
    return bad(entryId, null, replyTo, problems, raw);
  }
  for (const name of Object.keys(members)) {
    if (MEMBERS.has(name)) {
      continue;
    }
    say(
      `unknown member "${name.slice(0, TEXT_CHARS_MAX)}"; known are ${[...MEMBERS].join(", ")}`,
      name,
    );
  }
  const runId = readRunId(members.run_id, entryId, say);
  const workflow = readWorkflow(members, say);
  const inputText = JSON.stringify(members.input ?? null);
  if (Buffer.byteLength(inputText) > INPUT_BYTES_MAX) {
    say(`the input is larger than ${INPUT_BYTES_MAX} bytes`, "input");
  }
  const priority = readPriority(members.priority, say);
  const named = readText(members.namespace, "namespace", say) ?? "";
  const namespace = named === "" ? "" : namespaceNamed(named);
  if (namespace === null) {
    say(`namespace must be ${NAMESPACE_SHAPE}`, "namespace");
  }
  const tenant = readText(members.tenant, "tenant", say) ?? "";
  const idempotencyKey = readText(members.idempotency_key, "idempotency_key", say);
  const start = readStart(members, say);
  if (problems.length > 0 || workflow === null || namespace === null) {
    const given = typeof members.run_id === "string" ? runId : null;
    return bad(entryId, given, replyTo, problems, raw);
  }
  const input = members.input ?? null;
  // Only compared between submissions of one key.
  const requestHash =
    idempotencyKey === null
      ? ""
      : digestOf([
          ...[workflowIdentity(workflow), input, priority, namespace],
          ...(start === null ? [] : [start as unknown as Json]),
        ]);
  return {
    entryId,
    runId,
    workflow,
    input,
    inputText,
    idempotencyKey,
    requestHash,
    priority,
    tenant,
    namespace,
    replyTo,
    start,
    raw,
  };
}

function digestOf(request: Json): string {
  return digest("sha256", canonicalJson(request));
}

/** The answer to a submission that cannot be accepted. */
export function bad(
  entryId: string,
  runId: string | null,
  replyTo: string,
  problems: SubmissionProblem[],
  raw: string,
): BadSubmission {
  const kept = isTooLarge(raw) ? raw.slice(0, RAW_KEPT_CHARS) : raw;
  return { entryId, runId, replyTo, problems, raw: kept };
}

export function isBad(one: Submission | BadSubmission): one is BadSubmission {
  return "problems" in one;
}

function isTooLarge(raw: string): boolean {
  return Buffer.byteLength(raw) > SUBMISSION_BYTES_MAX;
}

type Say = (message: string, path?: string) => void;
type Members = { [name: string]: Json | undefined };

function parseMembers(raw: string, say: Say): Members | null {
  if (isTooLarge(raw)) {
    say(`the submission is larger than ${SUBMISSION_BYTES_MAX} bytes`);
    return null;
  }
  try {
    const value = parseJson(raw);
    if (isObject(value)) {
      return value;
    }
    say("the submission must be a JSON object");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    say(
      error instanceof RangeError
        ? `the submission has ${why}`
        : `the submission is not JSON: ${why}`,
    );
  }
  return null;
}

function readWorkflow(members: Members, say: Say): WorkflowChoice | null {
  const { workflow, workflow_ref: ref, hash } = members;
  if ([workflow, ref, hash].filter((value) => value !== undefined).length !== 1) {
    say("give exactly one of workflow, workflow_ref and hash");
    return null;
  }
  if (workflow !== undefined) {
    return readWritten(workflow, say);
  }
  if (ref !== undefined) {
    const text = readText(ref, "workflow_ref", say);
    const split = text?.lastIndexOf("@") ?? -1;
    if (text === null || text === "") {
      return null;
    }
    return split > 0
      ? { ref: { name: text.slice(0, split), version: text.slice(split + 1) } }
      : { ref: { name: text, version: null } };
  }
  const text = readText(hash, "hash", say);
  return text === null ? null : { hash: text };
}

function readWritten(workflow: Json, say: Say): Written | null {
  if (typeof workflow === "string") {
    return {
      source: { text: workflow },
      text: workflow,
      key: digest("sha256", `file ${workflow}`),
    };
  }
  if (!isObject(workflow)) {
    say("workflow must be an object, or the text of a file", "workflow");
    return null;
  }
  const text = JSON.stringify(workflow);
  return { source: { document: workflow }, text, key: digest("sha256", text) };
}

/** Where the run begins, if not at its entries: whether it can, its workflow says. */
function readStart(members: Members, say: Say): Start | null {
  const { start_at: at = null, inputs = {}, outputs = {} } = members;
  if (at === null) {
    const other = ["inputs", "outputs"].find((name) => members[name] !== undefined);
    if (other !== undefined) {
      say(`${other} goes with start_at`, other);
    }
    return null;
  }
  if (!Array.isArray(at) || at.length === 0 || !at.every((id) => typeof id === "string")) {
    say("start_at must be a list of node ids", "start_at");
    return null;
  }
  if (!isObject(inputs) || !isObject(outputs)) {
    const path = isObject(inputs) ? "outputs" : "inputs";
    say(`${path} must be an object with a value by node id`, path);
    return null;
  }
  if (Buffer.byteLength(JSON.stringify([inputs, outputs])) > INPUT_BYTES_MAX) {
    say(`inputs and outputs are larger than ${INPUT_BYTES_MAX} bytes together`, "outputs");
  }
  return { at: [...new Set(at)], inputs, outputs };
}

/** The id given, or one made of the entry's id: a redelivered entry is the same run. */
function readRunId(value: Json | undefined, entryId: string, say: Say): string {
  if (value === undefined || value === null) {
    return runIdOfEntry(entryId);
  }
  if (typeof value === "string" && RUN_ID.test(value)) {
    return value;
  }
  say("run_id must be a UUID in lower case, best of version 7", "run_id");
  return runIdOfEntry(entryId);
}

/** A UUID in the shape of version 7: the entry's time, then a digest of its id. */
export function runIdOfEntry(entryId: string): string {
  const ms = Number.parseInt(entryId, 10) || 0;
  const time = ms.toString(16).padStart(12, "0").slice(-12);
  const hex = digest("sha256", `submission ${entryId}`);
  const variant = ((Number.parseInt(hex[3] as string, 16) & 3) | 8).toString(16);
  const parts = [time.slice(0, 8), time.slice(8), `7${hex.slice(0, 3)}`];
  return [...parts, `${variant}${hex.slice(4, 7)}`, hex.slice(7, 19)].join("-");
}

function readPriority(value: Json | undefined, say: Say): Priority | null {
  if (value === undefined || value === null) {
    return null;
  }
  if (!PRIORITIES.includes(value as Priority)) {
    say(`priority must be one of ${PRIORITIES.join(", ")}`, "priority");
    return null;
  }
  return value as Priority;
}

/** Where the answer goes: only to a stream of answers, so that nobody writes to other keys. */
function readReplyTo(value: Json | undefined, say: Say): string {
  if (value === undefined || value === null) {
    return globalKeys.replies;
  }
  const own = typeof value === "string" && value.length <= TEXT_CHARS_MAX;
  if (own && (value === globalKeys.replies || value.startsWith(`${globalKeys.replies}:`))) {
    return value;
  }
  say(`reply_to must be ${globalKeys.replies} or begin with ${globalKeys.replies}:`, "reply_to");
  return globalKeys.replies;
}

function readText(value: Json | undefined, path: string, say: Say): string | null {
  if (value === undefined || value === null) {
    return null;
  }
  if (typeof value !== "string" || value.length > TEXT_CHARS_MAX || value.includes("\0")) {
    say(`${path} must be a string of at most ${TEXT_CHARS_MAX} characters without U+0000`, path);
    return null;
  }
  return value;
}

function workflowIdentity(workflow: WorkflowChoice): Json {
  if ("source" in workflow) {
    return "text" in workflow.source ? workflow.source.text : workflow.source.document;
  }
  return "ref" in workflow ? { ref: workflow.ref } : { hash: workflow.hash };
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
