/**
 * `http`: one request; its output is the body of the answer.
 *
 * The body and not an envelope, because that is what the next node wants: `output.total` and
 * `ctx.fetch.output.id`. `config.output: "response"` asks for `{status, headers, body}` instead.
 */
import type { IrNode, Json } from "../../compiler/ir.ts";
import { compileTemplate } from "../../condition/index.ts";
import type { Template, Vars } from "../../condition/index.ts";
import { parseJson } from "../../condition/json-text.ts";
import { credentialsFor } from "./http-auth.ts";
import type { Credentials } from "./http-auth.ts";
import type { HttpRequest, HttpResponse } from "./http-client.ts";
import { isObject } from "./json-data.ts";
import { badInput, ExecutionError, fill, perNode } from "./kind.ts";
import type { KindContext } from "./kind.ts";

const METHODS: ReadonlySet<string> = new Set("GET HEAD POST PUT PATCH DELETE OPTIONS".split(" "));
/** Methods whose repetition may do something twice: they carry the step's idempotency key. */
const UNSAFE_METHODS: ReadonlySet<string> = new Set(["POST", "PATCH"]);
/** Client errors that pass by themselves; the others would be answered in the same way again. */
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 409, 423, 425, 429]);
/** Characters of an error's body that are kept in the error's details. */
const EXCERPT_LENGTH = 500;
/** A server may not park a node for longer than this. */
const RETRY_AFTER_MS_MAX = 3_600_000;
/** Shorter secrets are not replaced: they would blank out ordinary words. */
const SECRET_LENGTH_MIN = 4;

type Config = { [key: string]: Json };

interface Compiled {
  template: Template;
  /** Names of the secrets that it cannot do without. */
  secrets: readonly string[];
  readsSecrets: boolean;
}

const compiledOf = perNode<Compiled>((node) => {
  // `input` is evaluated before, by resolveInput, and no part of the request.
  const template = compileTemplate({ ...node.config, input: null });
  const read = template.references.filter(({ path }) => path[0] === "secrets");
  const secrets = read.flatMap(({ path, guarded }) => (guarded ? [] : path.slice(1, 2)));
  return { template, secrets, readsSecrets: read.length > 0 };
});

/**
 * Send the node's request. Throws ExecutionError: HTTP_<status> for a status that is not expected,
 * HTTP_BODY for an answer that is not the JSON it should be, BAD_INPUT, and those of
 * HttpClient.exchange and credentialsFor. Secrets are blanked out in messages and details.
 */
export async function executeHttp(node: IrNode, context: KindContext): Promise<Json> {
  const { template, secrets: needed, readsSecrets } = compiledOf(node);
  const secrets = readsSecrets ? context.secrets() : {};
  const hidden = Object.values(secrets);
  const missing = needed.find((name) => !Object.hasOwn(secrets, name));
  try {
    if (missing !== undefined) {
      const remedy = `start the worker with the variable GAVOTTE_SECRET_${missing}`;
      throw badInput(node, `this worker has no secret ${missing}; ${remedy}`);
    }
    const vars: Vars = readsSecrets ? { ...context.vars, secrets } : context.vars;
    const config = fill(node, "config", template, vars) as Config;
    return await converse(node, config, context, hidden);
  } catch (error) {
    throw error instanceof ExecutionError ? withoutSecrets(error, hidden) : error;
  }
}

async function converse(
  node: IrNode,
  config: Config,
  context: KindContext,
  hidden: string[],
): Promise<Json> {
  const { http, signal } = context;
  for (let round = 1; ; round++) {
    const credentials = await credentialsFor(node, config["auth"], http, signal);
    hidden.push(...credentials.secrets);
    const request = buildRequest(node, config, context, credentials);
    const response = await http.exchange(request);
    if (response.status === 401 && credentials.forget !== undefined && round === 1) {
      credentials.forget();
      continue;
    }
    if (!isExpected(node, config["expected_status"], response.status)) {
      throw unexpected(node, request, response, http.nowMs());
    }
    return outputOf(node, config, request, response);
  }
}

function buildRequest(
  node: IrNode,
  config: Config,
  context: KindContext,
  credentials: Credentials,
): HttpRequest {
  const method = String(config["method"] ?? "GET").toUpperCase();
  if (!METHODS.has(method)) throw badInput(node, `config.method "${method}" is not known`);
  const url = webAddress(node, config["url"]);
  addQuery(node, url, config["query"]);
  for (const [name, value] of Object.entries(credentials.query)) url.searchParams.set(name, value);
  const { body, type } = bodyOf(node, config);
  const headers: { [name: string]: string } = type === null ? {} : { "content-type": type };
  if (UNSAFE_METHODS.has(method)) {
    headers["idempotency-key"] = `${context.runId}/${node.id}/${context.scope}`;
  }
  for (const [name, value] of Object.entries(objectAt(node, config, "headers"))) {
    if (value !== null) headers[name.toLowerCase()] = plainText(node, `headers.${name}`, value);
  }
  return {
    method,
    url,
    headers,
    credentials: credentials.headers,
    body,
    signal: context.signal,
  };
}

function webAddress(node: IrNode, value: Json | undefined): URL {
  const url = typeof value === "string" && URL.canParse(value) ? new URL(value) : null;
  if (url !== null && /^https?:$/.test(url.protocol)) return url;
  throw badInput(node, "config.url must be an http:// or https:// address after its templates");
}

function addQuery(node: IrNode, url: URL, query: Json | undefined): void {
  for (const [name, value] of Object.entries(objectAt(node, { query: query ?? null }, "query"))) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== null) url.searchParams.append(name, plainText(node, `query.${name}`, item));
    }
  }
}

function objectAt(node: IrNode, config: Config, key: string): { [key: string]: Json } {
  const value = config[key] ?? null;
  if (value === null) return {};
  if (isObject(value)) return value;
  throw badInput(node, `config.${key} must be an object`);
}

function plainText(node: IrNode, what: string, value: Json): string {
  if (typeof value !== "object") return String(value);
  throw badInput(node, `config.${what} must be a text, a number or a bool`);
}

/** `form` is urlencoded, a text goes as it is, everything else as JSON. */
function bodyOf(node: IrNode, config: Config): { body: string | null; type: string | null } {
  if (config["form"] !== undefined) {
    const form = new URLSearchParams();
    for (const [name, value] of Object.entries(objectAt(node, config, "form"))) {
      if (value !== null) form.append(name, plainText(node, `form.${name}`, value));
    }
    return { body: form.toString(), type: "application/x-www-form-urlencoded" };
  }
  const body = config["body"];
  if (body === undefined) return { body: null, type: null };
  if (typeof body === "string") return { body, type: "text/plain; charset=utf-8" };
  return { body: JSON.stringify(body), type: "application/json" };
}

/** A status, a class such as "2xx", or a list of them. */
function isExpected(node: IrNode, expected: Json | undefined, status: number): boolean {
  const list = Array.isArray(expected) ? expected : [expected ?? "2xx"];
  return list.some((item) => {
    const text = String(item).toLowerCase();
    if (/^[1-5]xx$/.test(text)) return Math.floor(status / 100) === Number(text[0]);
    if (/^[1-5]\d\d$/.test(text)) return Number(text) === status;
    throw badInput(node, 'config.expected_status must be a status, "2xx", or a list of them');
  });
}

/** Characters of a path in a message. */
const PATH_SHOWN_MAX = 200;

/**
 * The path of the node's address as it stands in the file: what its templates give may be a secret, and
 * so may a query.
 */
function pathOf(node: IrNode): string {
  const url = node.config["url"];
  const path = typeof url === "string" ? /^https?:\/\/[^/?#]+([^?#]*)/i.exec(url)?.[1] : "";
  const whole = (path ?? "").replace(/\$\{[^}]*$/, "…"); // cut in a template: a ? is an operator, too
  return whole.length > PATH_SHOWN_MAX ? `${whole.slice(0, PATH_SHOWN_MAX)}…` : whole;
}

function unexpected(
  node: IrNode,
  request: HttpRequest,
  response: HttpResponse,
  nowMs: number,
): ExecutionError {
  const { status, body, headers } = response;
  const excerpt = body.toString("utf8", 0, EXCERPT_LENGTH * 4).slice(0, EXCERPT_LENGTH);
  const waitMs = retryAfterMs(headers["retry-after"], nowMs);
  return new ExecutionError(
    `HTTP_${status}`,
    `${request.method} ${request.url.host}${pathOf(node)} answered with status ${status}`,
    {
      retryable: status >= 500 || status < 400 || PASSING_STATUSES.has(status),
      details: { status, body: excerpt },
      ...(waitMs === null ? {} : { retryAfterMs: waitMs }),
    },
  );
}

/** Seconds or a date, as RFC 9110 has it. */
function retryAfterMs(header: string | undefined, nowMs: number): number | null {
  if (header === undefined) return null;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX);
}

function outputOf(
  node: IrNode,
  config: Config,
  request: HttpRequest,
  response: HttpResponse,
): Json {
  const output = config["output"] ?? "body";
  if (output !== "body" && output !== "response") {
    throw badInput(node, 'config.output must be "body" or "response"');
  }
  const body = readBody(node, config["response"] ?? "auto", request, response);
  return output === "body" ? body : { status: response.status, headers: response.headers, body };
}

/** `auto` believes the content type; nothing at all is null. */
function readBody(node: IrNode, how: Json, request: HttpRequest, response: HttpResponse): Json {
  if (how !== "auto" && how !== "json" && how !== "text") {
    throw badInput(node, "config.response must be json, text or auto");
  }
  const type = response.headers["content-type"] ?? "";
  const text = decodeText(response.body, type);
  if (how === "text" || (how === "auto" && !/[/+]json\b/i.test(type))) {
    return how === "auto" && text === "" ? null : text;
  }
  if (text === "") return null;
  try {
    return parseJson(text);
  } catch (error) {
    const isRange = error instanceof RangeError;
    const what = isRange ? error.message : `something that is not JSON (content type "${type}")`;
    throw new ExecutionError(
      "HTTP_BODY",
      `${request.method} ${request.url.host} answered with ${what}; ` +
        `config.response: "text" takes it as it is`,
      { details: { status: response.status, body: text.slice(0, EXCERPT_LENGTH) } },
    );
  }
}

function decodeText(body: Buffer, type: string): string {
  const charset = /charset="?([\w-]+)/i.exec(type)?.[1] ?? "utf-8";
  try {
    return new TextDecoder(charset).decode(body);
  } catch {
    // An encoding that nobody knows: UTF-8 is what it most often is.
    return new TextDecoder().decode(body);
  }
}

/** The same error with every secret replaced, by value: a server may echo what it was sent. */
function withoutSecrets(error: ExecutionError, hidden: readonly string[]): ExecutionError {
  const texts = hidden
    .filter((secret) => secret.length >= SECRET_LENGTH_MIN)
    .flatMap((secret) => [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)])
    .sort((a, b) => b.length - a.length);
  if (texts.length === 0) return error;
  const clean = (text: string): string =>
    texts.reduce((result, secret) => result.replaceAll(secret, "***"), text);
  const details = Object.entries(error.details ?? {}).map(([key, value]): [string, Json] => [
    key,
    typeof value === "string" ? clean(value) : value,
  ]);
  return new ExecutionError(error.code, clean(error.message), {
    retryable: error.retryable,
    failsRun: error.failsRun,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    ...(error.details === undefined ? {} : { details: Object.fromEntries(details) }),
  });
}
