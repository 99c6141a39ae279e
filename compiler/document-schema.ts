/**
 * The JSON Schema of a workflow document: the shape, before any meaning.
 *
 * Also published as it is, for editors. What it cannot say (who may refer to whom, what a kind's
 * config holds) is checked afterwards. `x-expect` carries the words for messages.
 */
import { TYPE_NAMES } from "./kinds/types.ts";
import { functionName } from "./kinds/work.ts";

const nonNegative = { type: "integer", minimum: 0, "x-expect": "an integer from 0" } as const;
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
const version = { type: ["string", "number"], "x-expect": "a string" } as const;
const tags = { type: "array", items: text } as const;

const code = { type: "string", minLength: 1 } as const;
const errorCodes = {
  anyOf: [code, { type: "array", items: code, minItems: 1 }],
  "x-expect": "an error code or a list of them",
} as const;

const retry = {
  type: "object",
  properties: {
    max_attempts: {
      type: "integer",
      minimum: 1,
      maximum: 100,
      "x-expect": "an integer from 1 to 100",
    },
    backoff_ms: nonNegative,
    backoff_multiplier: { type: "number", minimum: 1, "x-expect": "a number from 1" },
    max_backoff_ms: nonNegative,
    jitter: {
      type: ["number", "boolean"],
      minimum: 0,
      maximum: 1,
      "x-expect": "a share from 0 to 1, or a boolean",
    },
    on: errorCodes,
    not_on: errorCodes,
    condition: { type: ["string", "boolean"], "x-expect": "a CEL expression" },
  },
  additionalProperties: false,
} as const;

const branch = {
  type: "object",
  properties: {
    rules: {
      type: "array",
      items: {
        type: "object",
        properties: {
          condition: { type: ["string", "boolean"], "x-expect": "a CEL expression" },
          next_nodes: nodeIds,
          description: text,
        },
        required: ["condition", "next_nodes"],
        additionalProperties: false,
      },
    },
    default: nodeIds,
  },
  required: ["rules"],
  additionalProperties: false,
} as const;

const join = {
  anyOf: [
    { enum: ["all", "any"] },
    {
      type: "object",
      properties: { count: positive },
      required: ["count"],
      additionalProperties: false,
    },
  ],
  "x-expect": '"all", "any" or {"count": n} with n from 1',
} as const;

const cache = {
  anyOf: [
    { type: "boolean" },
    {
      type: "object",
      properties: { ttl_ms: positive },
      additionalProperties: false,
    },
  ],
  "x-expect": 'true, false or {"ttl_ms": n}',
} as const;

const key = { type: "string", "x-expect": "a string, best with an expression in it" } as const;

const rateLimit = {
  type: "object",
  properties: {
    key,
    per_second: positive,
    per_minute: positive,
    per_hour: positive,
    limit: positive,
    per_ms: positive,
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

const concurrency = {
  type: "object",
  properties: {
    key,
    limit: positive,
    on_conflict: { enum: ["queue", "reject", "cancel_running"] },
  },
  additionalProperties: false,
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
  properties: { function_name: functionName, params: true, queue: queueName },
  required: ["function_name"],
  additionalProperties: false,
  "x-expect": "the name of a function, or an object with `function_name` and `params`",
} as const;

const node = {
  type: "object",
  properties: {
    id: nodeId,
    type: { type: "string", "x-expect": `one of ${TYPE_NAMES.join(", ")}` },
    config: { type: "object" },
    timeout_ms: { ...positive, type: ["integer", "null"] },
    retry,
    queue: queueName,
    queue_timeout_ms: positive,
    rate_limit: rateLimit,
    compensate,
    join,
    wait_for_all: { type: "boolean" },
    // Its inside is checked with the kinds, where a missing limit has a code of its own.
    loop: { type: "object" },
    branch,
    cache,
    description: text,
  },
  required: ["id", "type"],
  additionalProperties: false,
} as const;

const edge = {
  type: "object",
  properties: {
    from: nodeId,
    to: nodeId,
    condition,
    on: { enum: ["success", "error", "timeout", "always"] },
    description: text,
  },
  required: ["from", "to"],
  additionalProperties: false,
} as const;

const nodes = {
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
  properties: { nodes, edges: { type: "array", items: edge }, output: true, description: text },
  required: ["nodes"],
  additionalProperties: false,
} as const;

export const DOCUMENT_SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Gavotte workflow",
  type: "object",
  properties: {
    $schema: text,
    metadata: {
      type: "object",
      properties: { name: text, version, description: text, tags },
    },
    name: text,
    version,
    description: text,
    tags,
    input_schema: { type: ["object", "boolean", "null"], "x-expect": "a JSON Schema" },
    nodes,
    edges: { type: "array", items: edge },
    output: true,
    settings: {
      type: "object",
      properties: {
        timeout_ms: { ...positive, type: ["integer", "null"] },
        priority: { enum: ["high", "normal", "low"] },
        failure: { enum: ["fail_fast", "continue"] },
        fusion: { type: "boolean" },
        concurrency,
        rate_limit: rateLimit,
      },
      additionalProperties: false,
    },
  },
  required: ["nodes"],
  additionalProperties: false,
} as const;
