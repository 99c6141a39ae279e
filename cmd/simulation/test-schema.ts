/** The JSON Schema of workflow test files. `gavotte schema test` prints it. */
import { MOCKS_PROPERTIES } from "./mocks-schema.ts";

const mocks = (description: string): object => ({
  ...{ description, type: "object", additionalProperties: false },
  ...{ "x-expect": "mocks: nodes, functions, workflows, …", properties: MOCKS_PROPERTIES },
});

const STATUSES = ["COMPLETED", "FAILED", "WAITING"] as const;
const NODE_STATUSES = [
  ...(["pending", "waiting", "completed", "failed", "skipped", "cancelled"] as const),
];

const errorParts = {
  code: { type: "string", description: "Its code." },
  message: { type: "string", description: "Its message." },
  node: { type: "string", description: "The node that failed." },
} as const;

const expectation = {
  description: "What the case has to come to; what is left out is not looked at.",
  type: "object",
  additionalProperties: false,
  "x-expect": "an object with status, output, error, path, nodes, ms, ms_at_most",
  properties: {
    status: { enum: STATUSES, description: "Default: COMPLETED." },
    output: { description: "The run's output, all of it." },
    error: {
      description: "The run's error: its code, or some of its parts.",
      type: ["string", "object"],
      "x-expect": "an error code, or an object with code, message, node",
      if: { type: "object" },
      then: { type: "object", additionalProperties: false, properties: errorParts },
    },
    path: {
      description: "These nodes end in this order; others may end between them.",
      type: "array",
      items: { type: "string" },
      "x-expect": "a list of node ids",
    },
    nodes: {
      description: "By node id: its status, or some parts of its result.",
      type: "object",
      "x-expect": "statuses by node id",
      additionalProperties: {
        type: ["string", "object"],
        "x-expect": "a status, or an object with status, output, attempts, activations",
        if: { type: "string" },
        then: { enum: NODE_STATUSES },
        else: {
          type: "object",
          additionalProperties: false,
          properties: {
            status: { enum: NODE_STATUSES },
            output: {},
            error: { type: "object", additionalProperties: false, properties: errorParts },
            attempts: { type: "integer", minimum: 0, description: "Of the last activation." },
            activations: { type: "integer", minimum: 0, description: "Rounds of loops count." },
          },
        },
      },
    },
    ms: { type: "number", minimum: 0, description: "How long it takes, exactly." },
    ms_at_most: { type: "number", minimum: 0, description: "How long it may take." },
  },
} as const;

export const TEST_SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  $id: "urn:gavotte:test:1",
  title: "tests of a workflow",
  description: "Cases: what a workflow does with an input and mocks.",
  type: "object",
  additionalProperties: false,
  "x-expect": "an object with workflow and cases",
  required: ["workflow", "cases"],
  properties: {
    $schema: { type: "string" },
    workflow: {
      description: "The workflow file; its path counts from the test file.",
      type: "string",
      minLength: 1,
      "x-expect": "the path of a workflow file",
    },
    mocks: mocks("Of all cases; a case's own come before them."),
    cases: {
      type: "array",
      minItems: 1,
      "x-expect": "a list of cases",
      items: {
        type: "object",
        additionalProperties: false,
        "x-expect": "an object with name, input, mocks, expect",
        required: ["expect"],
        properties: {
          name: { type: "string", minLength: 1 },
          input: { description: "The run's input. Default: {}." },
          mocks: mocks("Over those of the file, node by node."),
          seed: { type: "integer", description: "For what is drawn. Default: 1." },
          start_at: {
            description: "Begin at this node instead of the entries.",
            type: "string",
            minLength: 1,
            "x-expect": "the id of a node",
          },
          value: { description: "The input of the node at which it starts. Default: {}." },
          given: {
            description: "Outputs of nodes that do not run, by id.",
            type: "object",
            "x-expect": "outputs by node id",
          },
          expect: expectation,
        },
      },
    },
  },
} as const;
