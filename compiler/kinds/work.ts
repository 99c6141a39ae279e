/** Kinds whose work leaves the process: `function`, `http`, and those not compiled yet. */
import type { NodeType } from "../ir.ts";
import { inputOverride, nonEmptyText, orTemplate } from "./kind.ts";
import type { Kind } from "./kind.ts";

export const functionName = {
  type: "string",
  pattern: "^[A-Za-z0-9_.:/@-]+$",
  maxLength: 200,
  "x-expect": "the name of a function (letters, digits and `_ . : / @ -`)",
} as const;

const scalarMap = {
  type: "object",
  additionalProperties: { type: ["string", "number", "boolean", "null", "array"] },
} as const;

const secretText = { type: "string" } as const;

const auth = {
  type: "object",
  properties: {
    type: { enum: ["basic", "bearer", "api_key", "oauth2"] },
    username: secretText,
    password: secretText,
    token: secretText,
    header: secretText,
    name: secretText,
    in: { enum: ["header", "query"] },
    key: secretText,
    value: secretText,
    token_url: secretText,
    client_id: secretText,
    client_secret: secretText,
    scope: secretText,
  },
  required: ["type"],
} as const;

const status = { type: "integer", minimum: 100, maximum: 599 } as const;

const functionKind: Kind = {
  type: "function",
  isPure: false,
  isSupported: true,
  schema: {
    type: "object",
    properties: { function_name: functionName, params: true, input: inputOverride },
    required: ["function_name"],
  },
  expressions: [],
  variables: [],
};

const httpKind: Kind = {
  type: "http",
  isPure: false,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      method: {
        type: "string",
        pattern: "^[A-Za-z]+$|\\$\\{",
        "x-expect": "an HTTP method",
      },
      url: nonEmptyText,
      query: orTemplate(scalarMap, "an object"),
      headers: orTemplate(scalarMap, "an object"),
      body: true,
      auth: orTemplate(auth, "an object with `type` basic, bearer, api_key or oauth2"),
      expected_status: orTemplate(
        {
          anyOf: [
            status,
            { type: "string", pattern: "^[1-5]xx$" },
            { type: "array", items: { anyOf: [status, { type: "string" }] } },
          ],
        },
        'a status, a list of them, or a class such as "2xx"',
      ),
      response: { enum: ["auto", "json", "text"] },
      input: inputOverride,
    },
    required: ["url"],
  },
  expressions: [],
  variables: ["secrets"],
};

const ahead = (type: NodeType, variables: readonly string[] = []): Kind => ({
  type,
  isPure: false,
  isSupported: false,
  schema: { type: "object", properties: {} },
  expressions: [],
  variables,
});

export const WORK_KINDS: readonly Kind[] = [
  functionKind,
  httpKind,
  ahead("llm", ["secrets"]),
  ahead("emit", ["secrets"]),
];
