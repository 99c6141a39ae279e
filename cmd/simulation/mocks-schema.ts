/**
 * The JSON Schema of mocks files: what is checked, what editors complete by, and the words in which
 * both say it. `gavotte schema mocks` prints it.
 */

const ms = { type: "number", minimum: 0, "x-expect": "milliseconds, 0 or more" } as const;
const msAbove = {
  type: "number",
  exclusiveMinimum: 0,
  "x-expect": "milliseconds, more than 0",
} as const;

const meanAndSd = (description: string): object => ({
  ...{ description, type: "object", additionalProperties: false, required: ["mean", "sd"] },
  properties: { mean: ms, sd: ms },
});

const distribution = {
  type: "object",
  additionalProperties: false,
  minProperties: 1,
  maxProperties: 1,
  "x-expect": "one of constant, uniform, normal, lognormal, exponential, percentiles",
  properties: {
    constant: ms,
    uniform: {
      description: "Any duration from the shortest to the longest, evenly.",
      type: "object",
      additionalProperties: false,
      required: ["min", "max"],
      properties: { min: ms, max: ms },
    },
    normal: meanAndSd("The bell curve; what falls below 0 counts as 0."),
    lognormal: meanAndSd("Skewed to long durations; mean and deviation of the durations."),
    exponential: {
      description: "As likely to end in the next moment as in any before.",
      type: "object",
      additionalProperties: false,
      required: ["mean"],
      properties: { mean: ms },
    },
    percentiles: {
      description: "What was measured, for instance {p50: 80, p95: 200, p99: 900, max: 2000}.",
      type: "object",
      minProperties: 1,
      additionalProperties: false,
      properties: { min: msAbove, max: msAbove },
      patternProperties: { "^p(?:0\\.\\d*[1-9]|[1-9]\\d?(?:\\.\\d+)?)$": msAbove },
      "x-expect": "durations by percentile, such as p50, p95, p99.9",
    },
  },
} as const;

const duration = {
  description: "Virtual milliseconds: a number, a pair [shortest, longest], or a distribution.",
  type: ["number", "array", "object"],
  "x-expect": "a number of milliseconds, a pair of them, or a distribution",
  if: { type: "object" },
  then: distribution,
  else: {
    if: { type: "array" },
    then: { type: "array", minItems: 2, maxItems: 2, items: ms, "x-expect": "a pair of numbers" },
    else: ms,
  },
} as const;

const MOCK_PROPERTIES = {
  output: {
    description: "Its output; strings may be templates. Default: its own input.",
  },
  error: {
    description: "It fails with this.",
    type: "object",
    additionalProperties: false,
    required: ["code"],
    properties: {
      code: { type: "string", minLength: 1, "x-expect": "an error code" },
      message: { type: "string" },
      retryable: {
        type: "boolean",
        description: "False: no other attempt is made. Default: true.",
      },
      details: { type: "object", "x-expect": "an object" },
    },
  },
  timeout: { type: "boolean", description: "It runs out of its time." },
  attempts: {
    description: "Only so many attempts fail; those after them succeed.",
    type: "integer",
    minimum: 1,
    "x-expect": "an integer from 1",
  },
  probability: {
    description: "How likely an attempt fails, from 0 to 1, drawn by the seed. Default: 1.",
    type: "number",
    minimum: 0,
    maximum: 1,
    "x-expect": "a number from 0 to 1",
  },
  duration,
  duration_ms: duration,
} as const;

const mock = {
  description: "What one step answers.",
  type: "object",
  additionalProperties: false,
  "x-expect": "an object with output, error, duration, …",
  properties: MOCK_PROPERTIES,
} as const;

const mocksByName = (description: string): object => ({
  ...{ description, type: "object", additionalProperties: mock },
  "x-expect": "mocks by name",
});

const at = { ...ms, description: "Virtual milliseconds since the run began. Default: 0." };
const child = {
  description: "To the child run of this subworkflow node.",
  type: "string",
  minLength: 1,
  "x-expect": "the id of a subworkflow node",
};

/** Of the mocks inside a test file, too. */
export const MOCKS_PROPERTIES = {
  nodes: mocksByName("By node id, also of nodes in bodies of maps."),
  functions: mocksByName("By function name; a node's own mock comes first."),
  workflows: {
    description: "Child workflows by what config.workflow says: name, or name@version.",
    type: "object",
    "x-expect": "mocks by name of a workflow",
    additionalProperties: {
      type: "object",
      additionalProperties: false,
      "x-expect": "an object with `file`, or with an answer",
      properties: {
        ...MOCK_PROPERTIES,
        file: {
          description: "Simulate this workflow file; its path counts from the mocks' own.",
          type: "string",
          minLength: 1,
          "x-expect": "the path of a workflow file",
        },
        nodes: mocksByName("Mocks of the child's own nodes."),
      },
    },
  },
  signals: {
    description: "Signals to the run.",
    type: "array",
    "x-expect": "a list of signals",
    items: {
      type: "object",
      additionalProperties: false,
      required: ["name"],
      properties: {
        name: { type: "string", minLength: 1, "x-expect": "the name of a signal" },
        value: { description: "Its payload. Default: null." },
        at_ms: at,
        child,
      },
    },
  },
  decisions: {
    description: "What people say to approvals.",
    type: "array",
    "x-expect": "a list of decisions",
    items: {
      type: "object",
      additionalProperties: false,
      required: ["node"],
      properties: {
        node: { type: "string", minLength: 1, "x-expect": "the id of a human node" },
        by: { type: "string", minLength: 1, description: "Who. Default: somebody." },
        approved: { type: "boolean", description: "Default: true." },
        data: { description: "What they have filled in." },
        at_ms: { ...ms, description: "Since the run began; lost if nobody asks by then." },
        after_ms: { ...ms, description: "After they are asked. Default: 0." },
        child,
      },
    },
  },
  now: {
    description: "The moment at which runs begin, for delays `until` a time.",
    type: "string",
    pattern: "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d(?::\\d\\d(?:\\.\\d+)?)?(?:Z|[+-]\\d\\d:\\d\\d)$",
    "x-expect": "a timestamp with its zone, such as 2026-01-31T08:00:00Z",
  },
} as const;

export const MOCKS_SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  $id: "urn:gavotte:mocks:1",
  title: "mocks of a workflow",
  description: "What the steps of a workflow answer in a simulation that reach outside.",
  type: "object",
  additionalProperties: false,
  "x-expect": "an object with nodes, functions, workflows, signals, decisions",
  properties: { $schema: { type: "string" }, ...MOCKS_PROPERTIES },
} as const;
