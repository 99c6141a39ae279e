/** Kinds whose work leaves the process: `function`, `http`, and those not compiled yet. */
import type { Json, NodeType } from "../ir.ts";
import { inputOverride, nonEmptyText, orTemplate } from "./kind.ts";
import type { ConfigProblem, JsonObject, Kind } from "./kind.ts";

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
    type: { enum: ["basic", "bearer", "api_key", "oauth2"], description: "In which way." },
    username: { ...secretText, description: "For basic." },
    password: { ...secretText, description: "For basic; best `${secrets.NAME}`." },
    token: { ...secretText, description: "For bearer; best `${secrets.NAME}`." },
    header: { ...secretText, description: "For api_key: the header field that carries it." },
    name: { ...secretText, description: "For api_key: the name it has." },
    in: { enum: ["header", "query"], description: "For api_key: where it goes." },
    key: { ...secretText, description: "For api_key; best `${secrets.NAME}`." },
    value: { ...secretText, description: "For api_key: the same as `key`." },
    token_url: { ...secretText, description: "For oauth2: where a token is fetched." },
    client_id: { ...secretText, description: "For oauth2." },
    client_secret: { ...secretText, description: "For oauth2; best `${secrets.NAME}`." },
    scope: { ...secretText, description: "For oauth2: what is asked for." },
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
    properties: {
      function_name: { ...functionName, description: "The registered function that is called." },
      params: {
        description: "Its parameters, templates filled in; without it, the other keys of config.",
      },
      input: inputOverride,
    },
    required: ["function_name"],
  },
  expressions: [],
  variables: [],
  check: checkBuiltin,
};

const httpKind: Kind = {
  type: "http",
  isPure: false,
  isSupported: true,
  schema: {
    type: "object",
    properties: {
      method: {
        description: "GET without it.",
        type: "string",
        pattern: "^[A-Za-z]+$|\\$\\{",
        "x-expect": "an HTTP method",
      },
      url: { ...nonEmptyText, description: "Where the request goes; a template mostly." },
      query: orTemplate(scalarMap, "an object", "Added to the URL."),
      headers: orTemplate(scalarMap, "an object", "Header fields of the request."),
      body: { description: "A string as it is; anything else as JSON." },
      auth: orTemplate(
        auth,
        "an object with `type` basic, bearer, api_key or oauth2",
        "How to sign in.",
      ),
      expected_status: orTemplate(
        {
          anyOf: [
            status,
            { type: "string", pattern: "^[1-5]xx$" },
            { type: "array", items: { anyOf: [status, { type: "string" }] } },
          ],
        },
        'a status, a list of them, or a class such as "2xx"',
        "Which statuses are a success; 2xx without it.",
      ),
      response: {
        description: "How the body is read; auto goes by its type.",
        enum: ["auto", "json", "text"],
      },
      form: orTemplate(scalarMap, "an object", "Sent urlencoded instead of a body."),
      output: {
        description: "The body, or {status, headers, body}; the body without it.",
        enum: ["body", "response"],
      },
      input: inputOverride,
    },
    required: ["url"],
  },
  expressions: [],
  variables: ["secrets"],
  check: (config) => [...checkAddress(config), ...checkAuth(config), ...checkContent(config)],
};

/** The functions that every worker has; no handler may have another name of that kind. */
const BUILTINS = ["add", "counter", "echo", "fail", "sleep"].map((name) => `builtin.${name}`);

/** A step of a function that there never is would wait for ever. */
function checkBuiltin({ function_name: name }: JsonObject): ConfigProblem[] {
  if (typeof name !== "string" || !name.startsWith("builtin.") || BUILTINS.includes(name)) {
    return [];
  }
  const message = `there is no \`${name}\`; built in are ${BUILTINS.join(", ")}`;
  return [{ key: "function_name", message }];
}

/** What each way of signing in cannot do without: one key of each list. */
const AUTH_KEYS: ReadonlyMap<Json | undefined, readonly (readonly string[])[]> = new Map([
  ["basic", [["username"], ["password"]]],
  ["bearer", [["token"]]],
  ["api_key", [["key", "value"]]],
  ["oauth2", [["token_url"], ["client_id"], ["client_secret"]]],
]);

function checkAuth({ auth: given }: JsonObject): ConfigProblem[] {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return [];
  const { type } = given;
  const missing = (AUTH_KEYS.get(type) ?? [])
    .filter((keys) => keys.every((key) => given[key] === undefined))
    .map((keys) => `\`${keys.join("` or `")}\``);
  if (missing.length === 0) return [];
  const message = `\`auth\` of type ${JSON.stringify(type)} needs ${missing.join(" and ")}`;
  return [{ key: "auth", message }];
}

/** One request has one body; of two that are written one would be dropped without a word. */
function checkContent({ body, form }: JsonObject): ConfigProblem[] {
  const isForm = typeof form === "object" && form !== null;
  if (!isForm || body === undefined || body === null) return [];
  return [{ key: "body", message: "`body` and `form` are both given, and only one can be sent" }];
}

/** An address without a template in it is known now: no run could ever use another one. */
function checkAddress({ url }: JsonObject): ConfigProblem[] {
  if (typeof url !== "string" || /\$\{|\{\{/.test(url)) return [];
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return [];
  return [{ key: "url", message: "`url` must be an http:// or https:// address, or a template" }];
}

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
