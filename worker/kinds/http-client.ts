/**
 * One HTTP exchange, with everything bounded: address, time, redirects, bytes.
 *
 * Built on node:http rather than fetch, because only there can the resolver of the socket be ours
 * (see http-guard.ts) without another dependency. Connections are kept and shared per client.
 */
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { AddressGuard, AddressRefusedError } from "./http-guard.ts";
import { ExecutionError } from "./kind.ts";

export interface HttpOptions {
  /** Hosts and networks that may be reached though they are not public; see AddressGuard. */
  allow?: readonly string[];
  /** Epoch milliseconds, for the life of OAuth tokens; default the system clock. */
  nowMs?: () => number;
  /** Longest response that is read, after decompression. Default 10 MiB. */
  responseBytesMax?: number;
  /** Longest exchange with its redirects, whatever the node's own timeout. Default 5 minutes. */
  timeoutMs?: number;
}

export interface HttpRequest {
  method: string;
  url: URL;
  headers: { [name: string]: string };
  /** Headers that only the first origin may see: a redirect elsewhere goes without them. */
  credentials: { [name: string]: string };
  body: string | null;
  signal: AbortSignal;
}

export interface HttpResponse {
  status: number;
  /** Lower-case names; several values of one name are joined by ", ". */
  headers: { [name: string]: string };
  body: Buffer;
}

const RESPONSE_BYTES_MAX = 10 * 1024 * 1024;
const EXCHANGE_MS_MAX = 300_000;
const REDIRECTS_MAX = 5;
const SOCKETS_PER_HOST_MAX = 64;
const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Headers of the author that are credentials all the same. */
const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set([
  "authorization",
  "cookie",
  "proxy-authorization",
]);

export class HttpClient {
  readonly nowMs: () => number;
  readonly #guard: AddressGuard;
  readonly #agents: { "http:": HttpAgent; "https:": HttpsAgent };
  readonly #bytesMax: number;
  readonly #timeoutMs: number;

  constructor(options: HttpOptions = {}) {
    this.nowMs = options.nowMs ?? Date.now;
    this.#guard = new AddressGuard(options.allow ?? []);
    this.#bytesMax = options.responseBytesMax ?? RESPONSE_BYTES_MAX;
    this.#timeoutMs = options.timeoutMs ?? EXCHANGE_MS_MAX;
    const agent = {
      keepAlive: true,
      maxSockets: SOCKETS_PER_HOST_MAX,
      lookup: this.#guard.lookup,
    };
    this.#agents = { "http:": new HttpAgent(agent), "https:": new HttpsAgent(agent) };
  }

  /** Close the kept connections. */
  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  /**
   * The response, whatever its status, after up to five redirects. Throws ExecutionError:
   * HTTP_UNREACHABLE (no answer), HTTP_REFUSED (address not allowed), HTTP_REDIRECTS, TOO_LARGE,
   * TIMEOUT, BAD_INPUT (not sendable). No message holds more of the URL than its host.
   */
  async exchange(request: HttpRequest): Promise<HttpResponse> {
    const limit = AbortSignal.timeout(this.#timeoutMs);
    const signal = AbortSignal.any([request.signal, limit]);
    let current: HttpRequest = { ...request, signal };
    try {
      for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
        const response = await this.#sendFresh(current);
        const next = redirectOf(current, response);
        if (next === null) {
          const body = await readBody(response, this.#bytesMax);
          return { status: response.statusCode ?? 0, headers: flatHeaders(response), body };
        }
        response.resume();
        current = next;
      }
    } catch (error) {
      throw asExecutionError(error, current, request.signal);
    }
    throw new ExecutionError(
      "HTTP_REDIRECTS",
      `${request.method} ${request.url.host} was redirected more than ${REDIRECTS_MAX} times`,
      { retryable: false },
    );
  }

  /** A kept connection may have been closed by the server just now: then once more, on a new one. */
  async #sendFresh(request: HttpRequest): Promise<IncomingMessage> {
    const first = this.#send(request);
    try {
      return await first.response;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      const stale = first.sent.reusedSocket && (code === "ECONNRESET" || code === "EPIPE");
      if (!stale || request.signal.aborted || request.method === "POST") throw error;
      return this.#send(request).response;
    }
  }

  #send(request: HttpRequest): { sent: ClientRequest; response: Promise<IncomingMessage> } {
    const { url, method, signal, body } = request;
    this.#guard.assertHost(url.hostname);
    const headers: OutgoingHttpHeaders = {
      "user-agent": "gavotte",
      accept: "application/json, text/*;q=0.9, */*;q=0.8",
      "accept-encoding": "gzip, deflate, br",
      ...request.headers,
      ...request.credentials,
    };
    if (body !== null) headers["content-length"] = Buffer.byteLength(body);
    const secure = url.protocol === "https:";
    const options = { method, headers, signal };
    const sent = secure
      ? httpsRequest(url, { ...options, agent: this.#agents["https:"] })
      : httpRequest(url, { ...options, agent: this.#agents["http:"] });
    const response = new Promise<IncomingMessage>((resolve, reject) => {
      sent.on("response", resolve);
      sent.on("error", reject);
    });
    sent.end(body ?? undefined);
    return { sent, response };
  }
}

/** A client of its own connections and tokens; without options it reaches public addresses only. */
export function createHttpClient(options: HttpOptions = {}): HttpClient {
  return new HttpClient(options);
}

/** The request that a redirect asks for, or null. As browsers do: a POST becomes a GET on 301-303. */
function redirectOf(request: HttpRequest, response: IncomingMessage): HttpRequest | null {
  const location = response.headers.location;
  const status = response.statusCode ?? 0;
  if (!REDIRECT_STATUSES.has(status) || location === undefined) return null;
  const url = URL.canParse(location, request.url.href) ? new URL(location, request.url) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ExecutionError("HTTP_REDIRECTS", `${request.url.host} redirects to no web address`, {
      retryable: false,
    });
  }
  const keepsBody = status >= 307 || request.method === "GET" || request.method === "HEAD";
  const foreign = url.origin !== request.url.origin;
  const headers = Object.entries(request.headers).filter(([name]) => {
    if (foreign && CREDENTIAL_HEADERS.has(name)) return false;
    return keepsBody || !name.startsWith("content-");
  });
  return {
    ...request,
    url,
    method: keepsBody ? request.method : "GET",
    body: keepsBody ? request.body : null,
    headers: Object.fromEntries(headers),
    credentials: foreign ? {} : request.credentials,
  };
}

function decoded(response: IncomingMessage): Readable {
  const decoders = { gzip: createGunzip, "x-gzip": createGunzip, deflate: createInflate };
  const encoding = (response.headers["content-encoding"] ?? "").trim().toLowerCase();
  const make =
    encoding === "br" ? createBrotliDecompress : decoders[encoding as keyof typeof decoders];
  if (make === undefined) return response;
  const decoder = make();
  response.on("error", (error) => decoder.destroy(error));
  return response.pipe(decoder);
}

/** Counted after decompression: a small response may unpack to a very large one. */
async function readBody(response: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of decoded(response) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      response.destroy();
      throw new ExecutionError("TOO_LARGE", `the response is larger than ${bytesMax} bytes`, {
        retryable: false,
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function flatHeaders(response: IncomingMessage): { [name: string]: string } {
  const headers: { [name: string]: string } = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return headers;
}

function asExecutionError(error: unknown, request: HttpRequest, own: AbortSignal): ExecutionError {
  if (error instanceof ExecutionError) return error;
  const what = `${request.method} ${request.url.host}`;
  // The abort of the node itself is told by whoever aborted it: toExecutionError reads its reason.
  if (request.signal.aborted && !own.aborted) {
    return new ExecutionError("TIMEOUT", `${what}: no complete answer in time`);
  }
  const code = String((error as NodeJS.ErrnoException).code ?? "no reason given");
  if (error instanceof AddressRefusedError) {
    return new ExecutionError(error.code, `${what}: ${error.message}`, { retryable: false });
  }
  if (error instanceof TypeError && code.startsWith("ERR_")) {
    return new ExecutionError("BAD_INPUT", `${what}: cannot be sent: ${error.message}`, {
      retryable: false,
    });
  }
  return new ExecutionError("HTTP_UNREACHABLE", `${what}: no answer (${code})`, {
    details: { reason: code },
    cause: error,
  });
}
