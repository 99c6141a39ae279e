/** Pure kinds that make data from data: `transform`, `filter`, `aggregate`. */
import { inputOverride, orTemplate } from "./kind.ts";
import type { Kind } from "./kind.ts";

const transform: Kind = {
  type: "transform",
  isPure: true,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      expression: { description: "A CEL expression, or a value with templates in it." },
      transformation: {
        description: "What is done to the input, by name.",
        enum: [
          ...["identity", "uppercase", "lowercase", "trim", "normalize"],
          ...["flatten", "sort", "unique", "keys", "values"],
        ],
      },
      input: inputOverride,
    },
    oneOf: [{ required: ["expression"] }, { required: ["transformation"] }],
    "x-expect": "an object with either `expression` or `transformation`",
  },
  expressions: ["expression"],
  variables: [],
};

const filter: Kind = {
  type: "filter",
  isPure: true,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      filter_expression: {
        description: "CEL over `value` and `index`: which elements are kept.",
        type: "string",
        minLength: 1,
        "x-expect": "a CEL expression",
      },
      items: orTemplate(
        { type: "array" },
        "a list or a template",
        "The list; without it, the input.",
      ),
      input: inputOverride,
    },
    required: ["filter_expression"],
  },
  expressions: ["filter_expression"],
  variables: ["value", "index"],
};

const aggregate: Kind = {
  type: "aggregate",
  isPure: true,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      strategy: {
        description: "How values become one: objects merged, lists united or joined, or a list.",
        enum: ["merge", "union", "concat", "collect"],
      },
      operation: {
        description: "What is computed of the elements.",
        enum: ["sum", "avg", "min", "max", "count", "group_by"],
      },
      field: {
        description: "The field of each element that counts.",
        type: "string",
        minLength: 1,
        "x-expect": "the name of a field",
      },
      items: orTemplate(
        { type: "array" },
        "a list or a template",
        "The list; without it, the input.",
      ),
      input: inputOverride,
    },
    oneOf: [{ required: ["strategy"] }, { required: ["operation"] }],
    "x-expect": "an object with either `strategy` or `operation`",
  },
  expressions: [],
  literals: ["field"],
  variables: [],
};

export const DATA_KINDS: readonly Kind[] = [transform, filter, aggregate];
