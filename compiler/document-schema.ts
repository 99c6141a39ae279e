/**
 * The JSON Schema of a workflow document: the shape, before any meaning.
 *
 * Also published as it is, for editors. What it cannot say (who may refer to whom, what a kind's
 * config holds) is checked afterwards. `x-expect` carries the words for messages.
 */
import { TYPE_NAMES } from "./kinds/types.ts";

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

const node = {
  type: "object",
  properties: {
    id: nodeId,
    type: { type: "string", "x-expect": `one of ${TYPE_NAMES.join(", ")}` },
    config: { type: "object" },
    timeout_ms: { ...positive, type: ["integer", "null"] },
    retry,
    queue: {
      type: "string",
      pattern: "^[A-Za-z0-9_.:-]+$",
      maxLength: 200,
      "x-expect": "a queue name of letters, digits, `_`, `.`, `:` and `-`",
    },
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
    nodes: { type: "array", items: node, minItems: 1, "x-expect": "a list of at least one node" },
    edges: { type: "array", items: edge },
    output: true,
    settings: {
      type: "object",
      properties: {
        timeout_ms: { ...positive, type: ["integer", "null"] },
        priority: { enum: ["high", "normal", "low"] },
        failure: { enum: ["fail_fast", "continue"] },
        fusion: { type: "boolean" },
      },
      additionalProperties: false,
    },
  },
  required: ["nodes"],
  additionalProperties: false,
} as const;
