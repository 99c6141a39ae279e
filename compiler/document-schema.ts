/**
 * The JSON Schema of a workflow document: the shape, before any meaning.
 *
 * Also published as it is, for editors. What it cannot say (who may refer to whom, what a kind's
 * config holds) is checked afterwards. `x-expect` carries the words for messages.
 */
import { msFrom0, msFrom1, UP_TO_MS } from "./kinds/durations.ts";
import { TYPE_NAMES } from "./kinds/types.ts";
import { functionName } from "./kinds/work.ts";

const positive = { type: "integer", minimum: 1, "x-expect": "an integer from 1" } as const;
const text = { type: "string" } as const;
const nodeId = {
  type: "string",
  pattern: "^[A-Za-z0-9_-]+$",
  maxLength: 200,
  "x-expect": "a node id of letters, digits, `_` and `-`",
} as const;
const nodeIds = {
  anyOf: [nodeId, { type: "array", items: nodeId }],
  "x-expect": "a node id or a list of them",
} as const;
const condition = {
  type: ["string", "boolean", "null"],
  "x-expect": "a CEL expression",
} as const;
/** Of `name@version` each part is found again, and a reference has 256 characters. */
const REFERENCE_PART = "^[^@\\u0000-\\u001f\\u007f]*$";
const name = {
  type: "string",
  pattern: REFERENCE_PART,
  maxLength: 150,
  "x-expect": "a text of at most 150 characters in one line, without `@`",
} as const;
const version = {
  type: ["string", "number"],
  pattern: REFERENCE_PART,
  maxLength: 100,
  "x-expect": "a string of at most 100 characters in one line, without `@`",
} as const;
const tag = {
  type: "string",
  pattern: REFERENCE_PART,
  maxLength: 100,
  "x-expect": "a text of at most 100 characters in one line, without `@`",
} as const;
const tags = { type: "array", items: tag } as const;

const code = { type: "string", minLength: 1 } as const;
const errorCodes = {
  anyOf: [code, { type: "array", items: code, minItems: 1 }],
  "x-expect": "an error code or a list of them",
} as const;

const retry = {
  type: "object",
  properties: {
    max_attempts: {
      description: "Executions in all, the first one included. 1 without it.",
      type: "integer",
      minimum: 1,
      maximum: 100,
      "x-expect": "an integer from 1 to 100",
    },
    backoff_ms: { ...msFrom0, description: "Wait before the second attempt; 1000." },
    backoff_multiplier: {
      description: "Each further wait is this many times the one before; 2.",
      type: "number",
      minimum: 1,
      "x-expect": "a number from 1",
    },
    max_backoff_ms: { ...msFrom0, description: "No wait is longer, before jitter; 60000." },
    jitter: {
      description: "Share of each wait that is random, so that not all try at once; 0.2.",
      type: ["number", "boolean"],
      minimum: 0,
      maximum: 1,
      "x-expect": "a share from 0 to 1, or a boolean",
    },
    on: { ...errorCodes, description: "Error codes that are tried again; all without it." },
    not_on: { ...errorCodes, description: "Error codes that are not tried again." },
    condition: {
      description: "CEL over `error`: whether to try again.",
      type: ["string", "boolean"],
      "x-expect": "a CEL expression",
    },
  },
  additionalProperties: false,
  "x-expect": "an object such as { max_attempts: 3 }",
} as const;

const branchCondition = { type: ["string", "boolean"], "x-expect": "a CEL expression" } as const;
const remark = { ...text, description: "For readers; it has no effect." } as const;

const branch = {
  type: "object",
  properties: {
    rules: {
      description: "Tried in this order; the first whose condition holds is taken.",
      type: "array",
      items: {
        type: "object",
        properties: {
          condition: { ...branchCondition, description: "CEL over the node's `output`." },
          next_nodes: { ...nodeIds, description: "Where to go if it holds." },
          description: remark,
        },
        required: ["condition", "next_nodes"],
        additionalProperties: false,
      },
    },
    default: { ...nodeIds, description: "Where to go if no rule holds." },
  },
  required: ["rules"],
  additionalProperties: false,
} as const;

const JOIN_MODES = ["all", "any", "settled"] as const;

const join = {
  anyOf: [
    { enum: JOIN_MODES },
    {
      type: "object",
      properties: {
        mode: { enum: JOIN_MODES, description: "As if it stood alone." },
        count: { ...positive, description: "Arrivals that are waited for." },
        cancel_losers: {
          type: "boolean",
          description: "Whether what is still open of its branches is cancelled when it fires.",
        },
      },
      oneOf: [{ required: ["mode"] }, { required: ["count"] }],
      additionalProperties: false,
    },
  ],
  "x-expect": '"all", "any", "settled", {"count": n} with n from 1, or {"mode": …}',
} as const;

const cache = {
  anyOf: [
    { type: "boolean" },
    {
      type: "object",
      properties: { ttl_ms: { ...msFrom1, description: "How long an output is reused." } },
      additionalProperties: false,
    },
  ],
  "x-expect": 'true, false or {"ttl_ms": n}',
} as const;

const key = { type: "string", "x-expect": "a string, best with an expression in it" } as const;

const rateLimit = {
  type: "object",
  properties: {
    key: { ...key, description: "What is limited: one limit for each value." },
    per_second: { ...positive, description: "How many in a second." },
    per_minute: { ...positive, description: "How many in a minute." },
    per_hour: { ...positive, description: "How many in an hour." },
    limit: { ...positive, description: "How many in `per_ms`." },
    per_ms: { ...msFrom1, description: "The time for `limit`." },
  },
  oneOf: [
    { required: ["per_second"] },
    { required: ["per_minute"] },
    { required: ["per_hour"] },
    { required: ["limit", "per_ms"] },
  ],
  additionalProperties: false,
  "x-expect":
    "an object with one of `per_second`, `per_minute`, `per_hour`, or `limit` and `per_ms`",
} as const;

/** One level instead of `anyOf`, so that what is wrong inside the object is told by itself. */
const circuitBreaker = {
  type: ["boolean", "object"],
  properties: {
    key: { ...key, description: "What fails as one: one circuit for each value." },
    failures: {
      ...positive,
      maximum: 1000,
      description: "So many failures open it; 5 without it.",
      "x-expect": "a whole number from 1 to 1000",
    },
    within_ms: { ...msFrom1, description: "The time for `failures`; a minute without it." },
    open_ms: {
      ...msFrom1,
      minimum: 100,
      description: "How long before one execution may try; 30 s without it.",
      "x-expect": `an integer from 100 ${UP_TO_MS}`,
    },
    on_open: {
      description: "What becomes of the node meanwhile: it waits, or fails with CIRCUIT_OPEN.",
      enum: ["wait", "fail"],
    },
  },
  additionalProperties: false,
  "x-expect": "true, or an object with `failures`, `within_ms`, `open_ms`, `key`, `on_open`",
} as const;

const concurrency = {
  type: "object",
  properties: {
    key: { ...key, description: "Runs with the same value count together." },
    limit: { ...positive, description: "Runs at one time; 1 without it." },
    on_conflict: {
      description:
        "What happens to a run over the limit: it waits, is refused, or ends the others.",
      enum: ["queue", "reject", "cancel_running"],
    },
  },
  additionalProperties: false,
  "x-expect": "an object with `key`, `limit`, `on_conflict`",
} as const;

const queueName = {
  type: "string",
  pattern: "^[A-Za-z0-9_.:-]+$",
  maxLength: 200,
  "x-expect": "a queue name of letters, digits, `_`, `.`, `:` and `-`",
} as const;

/** One level instead of `anyOf`, so that what is wrong inside the object is told by itself. */
const compensate = {
  ...functionName,
  type: ["string", "object"],
  properties: {
    function_name: { ...functionName, description: "The function that undoes the node's work." },
    params: { description: "Its parameters; templates are filled in." },
    queue: { ...queueName, description: "Queue whose workers execute it." },
  },
  required: ["function_name"],
  additionalProperties: false,
  "x-expect": "the name of a function, or an object with `function_name` and `params`",
} as const;

const node = {
  type: "object",
  properties: {
    id: { ...nodeId, description: "Unique in the workflow; edges and `ctx.<id>` name it." },
    type: {
      description: "What the node does; it decides what `config` holds.",
      type: "string",
      "x-expect": `one of ${TYPE_NAMES.join(", ")}`,
    },
    config: { type: "object", description: "What the node's type needs to know." },
    timeout_ms: {
      ...msFrom1,
      type: ["integer", "null"],
      description: "How long one attempt may take.",
    },
    retry: { ...retry, description: "Whether and when a failed attempt is followed by another." },
    queue: { ...queueName, description: "Queue whose workers execute the node." },
    queue_timeout_ms: { ...msFrom1, description: "How long it may wait for a worker." },
    sets_status: {
      type: "string",
      pattern: '^[^\\s"\\\\]([^"\\\\\\n\\r\\t]{0,62}[^\\s"\\\\])?$',
      description: "Business status that the run has from the node's success on.",
      "x-expect": "a name of at most 64 characters",
    },
    pure: {
      type: "boolean",
      description: "True: the function only computes, so it may be called in the step before it.",
    },
    expected_ms: {
      ...msFrom1,
      description: "How long it usually takes; only the order of steps rests on it.",
    },
    input_schema: {
      type: ["object", "boolean"],
      description: "JSON Schema of what the node takes.",
      "x-expect": "a JSON Schema",
    },
    output_schema: {
      type: ["object", "boolean"],
      description: "JSON Schema of what the node puts out.",
      "x-expect": "a JSON Schema",
    },
    rate_limit: { ...rateLimit, description: "How often nodes of this key may start." },
    circuit_breaker: {
      ...circuitBreaker,
      description: "When nodes of this key are held back because too many have failed.",
    },
    compensate: { ...compensate, description: "What undoes the node's work if the run fails." },
    join: {
      ...join,
      description:
        "Which in-edges it waits for: all, any, a number, or all whether they fail or not (settled).",
    },
    wait_for_all: { type: "boolean", description: "Older spelling of `join`: all or any." },
    // Its inside is checked with the kinds, where a missing limit has a code of its own.
    loop: { type: "object", description: "After its own work, another round or on." },
    branch: { ...branch, description: "Where to go from here, without edges." },
    cache: { ...cache, description: "Without effect in this version: every step is executed." },
    description: remark,
  },
  required: ["id", "type"],
  additionalProperties: false,
  "x-expect": "a node such as { id: a, type: function, config: { … } }",
} as const;

const edge = {
  type: "object",
  properties: {
    from: { ...nodeId, description: "Id of the node it starts at." },
    to: { ...nodeId, description: "Id of the node it leads to." },
    condition: { ...condition, description: "CEL over `output` of `from`; taken if it holds." },
    on: {
      description: "After which end of `from`; success without it.",
      enum: ["success", "error", "timeout", "always"],
    },
    description: remark,
  },
  required: ["from", "to"],
  additionalProperties: false,
  "x-expect": "an edge such as { from: a, to: b }",
} as const;

const edges = {
  description: "What follows what.",
  type: "array",
  items: edge,
  "x-expect": "a list of edges such as { from: a, to: b }",
} as const;

const nodes = {
  description: "The steps, in any order.",
  type: "array",
  items: node,
  minItems: 1,
  "x-expect": "a list of at least one node",
} as const;

/** `do` of a map, written as one node: it needs no id. */
export const BODY_NODE_SCHEMA = { ...node, required: ["type"] } as const;

/** `do` of a map, written as a graph. */
export const BODY_GRAPH_SCHEMA = {
  type: "object",
  properties: {
    nodes,
    edges,
    output: { description: "Template of an element's result; without it, outputs of the leaves." },
    description: remark,
  },
  required: ["nodes"],
  additionalProperties: false,
} as const;

const VERSION =
  "Yours to choose; `name@version` finds it again. A number counts as it is written: 1.10 is not 1.1.";
const METADATA = {
  name: { ...name, description: "What the workflow is called; runs are listed by it." },
  version: { ...version, description: VERSION },
  description: remark,
  tags: { ...tags, description: "Words to find it by." },
} as const;

export const DOCUMENT_SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Gavotte workflow",
  type: "object",
  properties: {
    $schema: { ...text, description: "Where this schema lies, for editors." },
    metadata: {
      description: "What is known of the workflow as a whole.",
      type: "object",
      properties: METADATA,
    },
    ...METADATA,
    input_schema: {
      description: "JSON Schema of a run's input, checked when a run is submitted.",
      type: ["object", "boolean", "null"],
      "x-expect": "a JSON Schema",
    },
    nodes,
    edges,
    output: { description: "Template of the run's output; without it, the outputs of the leaves." },
    settings: {
      description: "What holds for the whole run.",
      type: "object",
      properties: {
        timeout_ms: {
          ...msFrom1,
          type: ["integer", "null"],
          description: "How long a run may take.",
        },
        priority: { enum: ["high", "normal", "low"], description: "Whose steps go first." },
        order: {
          enum: ["as_ready", "critical_path"],
          description:
            "Which steps of a run go first: those that are ready, or those it waits for.",
        },
        failure: {
          description: "After a failure nobody handles: end at once, or do what does not need it.",
          enum: ["fail_fast", "continue"],
        },
        fusion: {
          description: "False: also pure nodes and chains go through a queue.",
          type: "boolean",
        },
        concurrency: { ...concurrency, description: "How many runs there are at one time." },
        rate_limit: { ...rateLimit, description: "How often runs may start." },
        pause_after_errors: {
          ...positive,
          description: "So many failed attempts without a success in between pause the run.",
        },
      },
      additionalProperties: false,
    },
  },
  required: ["nodes"],
  additionalProperties: false,
} as const;
