/**
 * What requests and answers of REST look like: JSON Schema, as the OpenAPI document has it. Requests
 * are checked by it; of answers the contract tests look whether they are so.
 */
import { PRIORITIES, RUN_ID } from "../../sdk/internal.ts";

type Schema = { readonly [keyword: string]: unknown };

export const RUN_STATUSES = [
  ...(["QUEUED", "RUNNING", "PAUSED", "FINISHING"] as const),
  ...(["COMPLETED", "FAILED", "CANCELLED"] as const),
];
/** As of the queue: what is longer is no name. */
const TEXT = { type: "string", minLength: 1, maxLength: 256, pattern: "^[^\\u0000]*$" };
const TIME = { type: "string", format: "date-time" };
const TIME_OR_NULL = { type: ["string", "null"], format: "date-time" };
const ANY_JSON = { description: "Any JSON value." };
const STATUS = { type: "string", enum: RUN_STATUSES };
const BY_NODE = { type: "object", description: "A value by node id." };

const object = (properties: Schema, required = Object.keys(properties), more: Schema = {}) => ({
  ...{ type: "object", properties, required, additionalProperties: false },
  ...more,
});
const nullable = (name: string): Schema => ({ anyOf: [ref(name), { type: "null" }] });

/** A reference to one of SHARED. */
function ref(name: string): Schema {
  return { $ref: `${name}#` };
}

/** The content of an answer that is one of SHARED, in JSON. */
export function answers(name: string): { content: object } {
  return { content: { "application/json": { schema: ref(name) } } };
}

/** The body of `POST /runs`: what the queue takes (sdk/client-submit.ts), but for its inner members. */
export const SUBMISSION = object(
  {
    workflow: {
      type: ["object", "string"],
      description: "The workflow itself: the document, or the text of a file, JSON or YAML.",
    },
    workflow_ref: {
      ...TEXT,
      description: "`name`, `name@version` or `name@tag` of a published one.",
    },
    hash: { ...TEXT, description: "Hash of a workflow that was submitted before." },
    input: ANY_JSON,
    idempotency_key: {
      ...TEXT,
      description: "The same key with the same payload is the same run; or as `Idempotency-Key`.",
    },
    run_id: { type: "string", pattern: RUN_ID.source, description: "A UUID, best of version 7." },
    priority: { type: "string", enum: PRIORITIES },
    tenant: { ...TEXT, description: "On whose behalf: for limits and lists. It proves nothing." },
    start_at: {
      ...{ type: "array", items: { type: "string" }, minItems: 1, maxItems: 10_000 },
      description: "Begin at these nodes instead of the entries.",
    },
    outputs: { ...BY_NODE, description: "With `start_at`: outputs of nodes that do not run." },
    inputs: { ...BY_NODE, description: "With `start_at`: inputs of nodes that begin." },
  },
  [],
  { oneOf: ["workflow", "workflow_ref", "hash"].map((name) => ({ required: [name] })) },
);

/** The other body of `POST /runs`, and what goes with it in the address. */
export const FILE = { type: "string", description: "The workflow's file itself." };
export const FILE_TYPES = ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"];
/** Taken as text, too, so that its lines can be told. */
export const JSON_FILE = { description: "The workflow's file itself, in JSON." };
export const NO_QUERY = object({}, []);
const { priority, tenant, run_id: runId } = SUBMISSION.properties as { [name: string]: Schema };
export const SUBMIT_QUERY = object(
  {
    input: { type: "string", description: "JSON text; with a file as the body." },
    ...{ priority, tenant, run_id: runId },
  },
  [],
  { description: "With a file as the body; a JSON body has them itself." },
);

export const RUN_ID_PARAM = object({ id: { ...TEXT, description: "The run's id." } });
export const HEADERS = {
  type: "object",
  properties: { "idempotency-key": { ...TEXT, description: "As `idempotency_key` in the body." } },
};
export const SIGNAL_PARAMS = object({
  id: { ...TEXT, description: "The run's id." },
  name: { ...TEXT, description: "The signal's name, as its `wait` has it." },
});
/** Its payload: what may be in it is for the schema of the node that waits. */
export const SIGNAL_BODY = { description: "The payload: any JSON value; none is null." };
export const SIGNAL_HEADERS = {
  type: "object",
  properties: {
    "idempotency-key": { ...TEXT, description: "With the same one it is the same signal." },
  },
};
export const WAIT_QUERY = object(
  {
    wait: {
      ...{ type: "string", pattern: "^\\d{1,6}(ms|s|m)?$", examples: ["30s"] },
      description: "How long to wait for the end: `500ms`, `30s`, `1m`; a minute at most.",
    },
  },
  [],
);
export const REASON_BODY = {
  ...object({ reason: { ...TEXT, description: "Kept with the run." } }, []),
  type: ["object", "null"],
};
export const LIST_QUERY = object(
  {
    status: STATUS,
    business_status: TEXT,
    workflow: TEXT,
    tenant: TEXT,
    parent: { ...TEXT, description: "Only children of this run." },
    limit: { type: "integer", minimum: 1, maximum: 1000, default: 20 },
    after: { ...TEXT, description: "`next` of the page before." },
  },
  [],
);

const STATUS_NODE = [
  ...["pending", "ready", "running", "waiting", "retrying"],
  ...["completed", "failed", "skipped", "cancelled"],
];
const SLEEP = object({ since: TIME, wakes_at: TIME_OR_NULL });
const CHILD = { run_id: TEXT, node: { type: "string" }, element: { type: "string" } };
const SUMMARY = {
  ...{ run_id: TEXT, workflow: { type: "string" }, version: { type: "string" }, status: STATUS },
  ...{ priority: { type: "string", enum: PRIORITIES }, created_at: TIME },
  ...{ started_at: TIME_OR_NULL, ended_at: TIME_OR_NULL, error: nullable("RunError") },
};
const SOMETIMES = {
  business_status: { type: "string", description: "What its nodes say of it." },
  asleep: { ...SLEEP, description: "While it waits for long and is not in Redis." },
  frozen: { const: true, description: "While it stands still until it is repaired." },
};
const WAIT = {
  for: { enum: ["delay", "rate_limit", "circuit", "signal", "approval", "child"] },
  ...{ until: TIME_OR_NULL, signal: { type: "string" }, token: { type: "string" } },
  ...{ title: { type: "string" }, assignees: { type: "array", items: { type: "string" } } },
  ...{ run: { type: "string" }, key: { type: "string" } },
};
const PLACE = { type: "integer", minimum: 1 };
const COUNT = { type: "integer", minimum: 0 };
/** From the first character to the one behind the last. */
const RANGE = { line: PLACE, column: PLACE, end_line: PLACE, end_column: PLACE };
const DIAGNOSTIC = {
  code: { type: "string", description: "As `gavotte explain` has it." },
  severity: { enum: ["error", "warning"] },
  message: { type: "string" },
  pointer: { type: "string", description: "JSON pointer into the document." },
  ...RANGE,
};
const DIAGNOSTIC_MORE = {
  hint: { type: "string" },
  fix: { ...object({ ...RANGE, text: { type: "string" } }), description: "Text for the range." },
  related: {
    type: "array",
    items: object({ ...RANGE, message: { type: "string" }, pointer: { type: "string" } }),
  },
};
const RUN = {
  ...{ run_id: TEXT, workflow: { type: "string" }, status: STATUS, output: ANY_JSON },
  ...{ error: nullable("RunError"), started_at: TIME_OR_NULL, ended_at: TIME_OR_NULL },
  nodes: { type: "object", additionalProperties: ref("Node") },
};

/** Named in the document, and referred to by `ref`. */
export const SHARED: { readonly [name: string]: Schema } = {
  Error: object({
    error: object(
      {
        code: { type: "string", pattern: "^GV_[A-Z_]+$", description: "See docs/errors.md." },
        message: { type: "string" },
        problems: { type: "array", items: ref("Problem"), description: "All that is wrong." },
        details: { type: "object", description: "What the message is about: ids, statuses." },
      },
      ["code", "message"],
    ),
  }),
  Problem: object(
    {
      ...{ code: { type: "string" }, message: { type: "string" }, path: { type: "string" } },
      line: { ...PLACE, description: "Of a workflow that was sent as a file's text." },
      column: PLACE,
    },
    ["code", "message"],
  ),
  /** Of an execution: handlers' errors have codes of their own. */
  RunError: {
    ...{ type: "object", required: ["code", "message"] },
    properties: { code: { type: "string" }, message: { type: "string" }, node: { type: "string" } },
  },
  Health: object(
    {
      status: { enum: ["ok", "ready", "not ready"] },
      ...{ redis: { type: "boolean" }, postgres: { type: "boolean" } },
    },
    ["status"],
  ),
  Receipt: object({ run_id: TEXT, outcome: { enum: ["delivered", "repeated"] } }),
  SignalReceipt: object({
    ...{ run_id: TEXT, signal: TEXT, id: TEXT },
    outcome: {
      enum: ["delivered", "kept", "repeated"],
      description: "kept: the next node that waits for it takes it.",
    },
  }),
  Paused: object({ run_id: TEXT, paused: { type: "boolean" } }),
  Diagnostic: object({ ...DIAGNOSTIC, ...DIAGNOSTIC_MORE }, Object.keys(DIAGNOSTIC)),
  Validation: object(
    {
      valid: { type: "boolean", description: "Whether it can be submitted: it has no errors." },
      hash: { type: ["string", "null"], description: "What names it once it was submitted." },
      diagnostics: { type: "array", items: ref("Diagnostic"), description: "By place." },
      more: { ...COUNT, description: "How many were found beyond these." },
    },
    ["valid", "hash", "diagnostics"],
  ),
  Accepted: object({ run_id: TEXT, status: STATUS }),
  Result: object({ run_id: TEXT, status: STATUS, output: ANY_JSON, error: nullable("RunError") }),
  Wait: object(WAIT, ["for", "until"]),
  Node: object(
    {
      ...{ status: { enum: STATUS_NODE }, activations: COUNT, attempts: COUNT, output: ANY_JSON },
      ...{ error: ref("RunError"), wait: ref("Wait") },
    },
    ["status", "activations", "attempts", "output"],
  ),
  Run: object(
    {
      ...RUN,
      ...SOMETIMES,
      elements: { type: "array", items: { type: "object" } },
      admission: { type: "object", description: "What it waits for before it starts." },
      stopped: { type: "object", description: "While the whole deployment is stopped." },
      parent: object({ run_id: TEXT, node: { type: "string" } }),
      children: {
        type: "array",
        items: object(
          { ...CHILD, workflow: { type: "string" }, version: { type: "string" }, status: STATUS },
          ["run_id", "node", "workflow", "version", "status"],
        ),
      },
      compensation: object({ run_id: TEXT, status: STATUS }),
      compensates: { type: "string" },
    },
    Object.keys(RUN),
  ),
  RunSummary: object({ ...SUMMARY, ...SOMETIMES }, Object.keys(SUMMARY)),
  Runs: object({
    runs: { type: "array", items: ref("RunSummary") },
    next: { type: ["string", "null"], description: "For `after`; null: there are no more." },
  }),
};
