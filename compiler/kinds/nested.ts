/** Kinds that run other graphs: `map` (a body per element), `subworkflow` (another workflow). */
import { inputOverride } from "./kind.ts";
import type { Kind } from "./kind.ts";

const map: Kind = {
  type: "map",
  isPure: false,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      items: {
        description: "The list: CEL, a template, or a list. Without it, the input.",
        type: ["string", "array"],
        minLength: 1,
        "x-expect": "CEL that gives a list, a template, or a list",
      },
      // Its shape is checked where it is read: see read-graph.ts.
      do: {
        description: "What is done for each element: one node, or nodes and edges.",
        type: "object",
        "x-expect": "a node, or an object with `nodes` and `edges`",
      },
      max_concurrency: {
        description: "Elements at one time.",
        type: "integer",
        minimum: 1,
        "x-expect": "an integer from 1",
      },
      tolerated_failures: {
        description: "Elements that may fail before the map does.",
        type: "integer",
        minimum: 0,
        "x-expect": "an integer from 0",
      },
      input: inputOverride,
    },
    required: ["do"],
  },
  expressions: ["items"],
  variables: [],
};

const subworkflow: Kind = {
  type: "subworkflow",
  isPure: false,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      workflow: {
        description: "Name of the workflow, or name@version.",
        type: "string",
        pattern: "^[^@\\s${}]+(?:@[^@\\s${}]+)?$",
        maxLength: 400,
        "x-expect": "the name of a workflow, or name@version; it cannot be a template",
      },
      wait: { type: "boolean", description: "False: start it and go on." },
      input: inputOverride,
    },
    required: ["workflow"],
  },
  expressions: [],
  variables: [],
  literals: ["workflow"],
};

export const NESTED_KINDS: readonly Kind[] = [map, subworkflow];
