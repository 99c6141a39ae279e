/**
 * How an `http` node proves who it is: basic, bearer, an API key, or OAuth 2 client credentials.
 *
 * OAuth tokens are kept per client until shortly before they end, and requested once however many
 * nodes need one at the same time.
 */
import type { IrNode, Json } from "../../compiler/ir.ts";
import type { HttpClient } from "./http-client.ts";
import { fieldAt, isObject } from "./json-data.ts";
import { badInput, ExecutionError } from "./kind.ts";

export interface Credentials {
  headers: { [name: string]: string };
  query: { [name: string]: string };
  /** Further texts that must not be shown, such as a token that a server gave. */
  secrets: string[];
  /** Forget what was kept, because the server does not accept it any more. */
  forget?: () => void;
}

/** A token is renewed this long before its end, for the time that a request is under way. */
const RENEW_EARLY_MS = 30_000;
/** Life of a token whose server does not tell. */
const TOKEN_SECONDS = 300;
/** Tokens kept per client; the oldest go first. */
const TOKENS_MAX = 200;

interface Token {
  value: string;
  endsAtMs: number;
}

const tokensOf = new WeakMap<HttpClient, Map<string, Promise<Token>>>();

/** `auth` is `config.auth` with its templates filled in. Throws ExecutionError. */
export async function credentialsFor(
  node: IrNode,
  auth: Json | undefined,
  client: HttpClient,
  signal: AbortSignal,
): Promise<Credentials> {
  if (auth === undefined || auth === null) return { headers: {}, query: {}, secrets: [] };
  if (!isObject(auth)) throw badInput(node, "config.auth must be an object with a type");
  const text = (name: string, missing?: string): string => textOf(node, auth, name, missing);
  switch (auth["type"]) {
    case "basic": {
      const pair = `${text("username")}:${text("password")}`;
      return bearing("Basic", Buffer.from(pair, "utf8").toString("base64"));
    }
    case "bearer":
      return bearing("Bearer", text("token"));
    case "api_key": {
      const name = text(auth["header"] === undefined ? "name" : "header", "x-api-key");
      const value = text(auth["key"] === undefined ? "value" : "key");
      const inQuery = text("in", "header") === "query";
      const given = { [inQuery ? name : name.toLowerCase()]: value };
      return { headers: inQuery ? {} : given, query: inQuery ? given : {}, secrets: [value] };
    }
    case "oauth2":
      return clientCredentials(node, auth, client, signal);
    default:
      throw badInput(node, "config.auth.type must be basic, bearer, api_key or oauth2");
  }
}

function bearing(scheme: string, value: string): Credentials {
  return { headers: { authorization: `${scheme} ${value}` }, query: {}, secrets: [value] };
}

function textOf(
  node: IrNode,
  auth: { [key: string]: Json },
  name: string,
  missing?: string,
): string {
  const value = auth[name] ?? missing;
  if (typeof value === "string") return value;
  throw badInput(node, `config.auth.${name} must be a text`);
}

async function clientCredentials(
  node: IrNode,
  auth: { [key: string]: Json },
  client: HttpClient,
  signal: AbortSignal,
): Promise<Credentials> {
  const tokens = tokensOf.get(client) ?? new Map<string, Promise<Token>>();
  tokensOf.set(client, tokens);
  const key = JSON.stringify(auth);
  const forget = (): void => void tokens.delete(key);
  const kept = tokens.get(key);
  if (kept !== undefined) {
    const token = await kept.catch(() => null);
    if (token !== null && token.endsAtMs - RENEW_EARLY_MS > client.nowMs()) {
      return { ...bearing("Bearer", token.value), forget };
    }
    // Somebody else may have asked for a new one in the meantime: then that is the one to await.
    if (tokens.get(key) === kept) tokens.delete(key);
    return clientCredentials(node, auth, client, signal);
  }
  const asked = requestToken(node, auth, client, signal);
  tokens.set(key, asked);
  asked.catch(forget);
  for (const oldest of tokens.keys()) {
    if (tokens.size <= TOKENS_MAX) break;
    tokens.delete(oldest);
  }
  return { ...bearing("Bearer", (await asked).value), forget };
}

async function requestToken(
  node: IrNode,
  auth: { [key: string]: Json },
  client: HttpClient,
  signal: AbortSignal,
): Promise<Token> {
  const address = textOf(node, auth, "token_url");
  if (!URL.canParse(address)) throw badInput(node, "config.auth.token_url is not an address");
  const url = new URL(address);
  const pair = [textOf(node, auth, "client_id"), textOf(node, auth, "client_secret")];
  const form = new URLSearchParams({ grant_type: "client_credentials" });
  for (const name of ["scope", "audience"]) {
    if (auth[name] !== undefined) form.set(name, textOf(node, auth, name));
  }
  const basic = Buffer.from(pair.map(encodeURIComponent).join(":")).toString("base64");
  const response = await client.exchange({
    method: "POST",
    url,
    headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json" },
    credentials: { authorization: `Basic ${basic}` },
    body: form.toString(),
    signal,
  });
  const answer = parsed(response.body);
  const value = fieldAt(answer, ["access_token"]);
  if (response.status !== 200 || typeof value !== "string") {
    // 4xx of a token server means that the credentials are wrong; trying again locks accounts.
    throw new ExecutionError(
      "HTTP_AUTH",
      `${url.host} gave no OAuth token (status ${response.status}); check client_id, ` +
        "client_secret and scope",
      { retryable: response.status >= 500 || response.status === 429 },
    );
  }
  const seconds = Number(fieldAt(answer, ["expires_in"]) ?? TOKEN_SECONDS);
  return { value, endsAtMs: client.nowMs() + seconds * 1000 };
}

function parsed(body: Buffer): Json {
  try {
    return JSON.parse(body.toString("utf8")) as Json;
  } catch {
    return null;
  }
}
