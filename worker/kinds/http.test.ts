import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Json } from "../../compiler/ir.ts";
import { HttpClient } from "./http-client.ts";
import { executeHttp } from "./http.ts";
import { contextOf, nodeOf } from "./kind.fixture.ts";
import type { KindContext } from "./kind.ts";

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

let answer: Answer;
let seen: { url: string; method: string; headers: IncomingMessage["headers"]; body: string }[];
let nowMs: number;
const servers: Server[] = [];
let base: string;
/** The same server under another origin. */
let other: string;
let http: HttpClient;

async function listen(): Promise<string> {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const { url = "", method = "", headers } = request;
      seen.push({ url, method, headers, body });
      answer(request, response, body);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  base = await listen();
  other = await listen();
});

beforeEach(() => {
  seen = [];
  nowMs = 1_000_000;
  http = new HttpClient({ allow: ["loopback"], nowMs: () => nowMs, responseBytesMax: 5000 });
  answer = (_request, response) => json(response, { ok: true });
  return () => http.close();
});

afterAll(async () => {
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
});

function json(response: ServerResponse, value: Json, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

function send(config: { [key: string]: Json }, more: Partial<KindContext> = {}): Promise<Json> {
  const full = { url: `${base}/orders`, ...config };
  return executeHttp(nodeOf("http", full), contextOf({ id: 7 }, { http, ...more }));
}

async function failure(config: { [key: string]: Json }, more: Partial<KindContext> = {}) {
  return send(config, more).then(
    () => expect.fail("the request was expected to fail"),
    (error: unknown) => error as Error & { code: string; details?: unknown },
  );
}

describe("an http request", () => {
  it("is built from the config's templates, and its output is the body", async () => {
    const url = `${base}/orders/\${data.id}?a=1`;
    const config = {
      url,
      query: { tag: ["x", "y z"], none: null },
      headers: { "X-Id": "${data.id}" },
    };
    expect(await send(config)).toEqual({ ok: true });
    expect(seen[0]).toMatchObject({ method: "GET", url: "/orders/7?a=1&tag=x&tag=y+z" });
    expect(seen[0]?.headers["x-id"]).toBe("7");
  });

  it("carries JSON, text or a form, and the same idempotency key on every attempt", async () => {
    await send({ method: "post", body: { id: "${data.id}" } });
    await send({ method: "POST", body: "plain" });
    await send({ method: "PUT", form: { a: 1, b: "x y" } });
    expect(seen.map((request) => request.body)).toEqual(['{"id":7}', "plain", "a=1&b=x+y"]);
    expect(seen[0]?.headers["content-type"]).toBe("application/json");
    expect(seen[0]?.headers["idempotency-key"]).toBe("run-1/step/");
    expect(seen[2]?.headers["idempotency-key"]).toBeUndefined();
  });

  it("gives status and headers too when asked", async () => {
    const output = await send({ output: "response" });
    expect(output).toMatchObject({ status: 200, body: { ok: true } });
    expect(output).toHaveProperty("headers.content-type", "application/json");
  });

  it("reads JSON or text by content type unless told, and unpacks", async () => {
    answer = (_request, response) => {
      response.writeHead(200, { "content-type": "text/plain", "content-encoding": "gzip" });
      response.end(gzipSync("[1]"));
    };
    expect(await send({})).toBe("[1]");
    expect(await send({ response: "json" })).toEqual([1]);
    answer = (_request, response) => response.writeHead(204).end();
    expect(await send({})).toBeNull();
  });

  it("names a secret that the worker does not have, unless the config can do without", async () => {
    const headers = { authorization: "Bearer ${secrets.API_KEY}" };
    const secrets = (): { [name: string]: string } => ({ OTHER: "x" });
    expect(await failure({ headers }, { secrets })).toMatchObject({
      code: "BAD_INPUT",
      message:
        'node "step" (http): this worker has no secret API_KEY; ' +
        "start the worker with the variable GAVOTTE_SECRET_API_KEY",
    });
    const optional = { "x-key": "${has(secrets.API_KEY) ? secrets.API_KEY : 'none'}" };
    await send({ headers: optional }, { secrets });
    expect(seen.map((request) => request.headers["x-key"])).toEqual(["none"]);
  });

  it("authenticates", async () => {
    const secrets = (): { [name: string]: string } => ({ KEY: "s3cret-key" });
    await send(
      { auth: { type: "basic", username: "me", password: "${secrets.KEY}" } },
      { secrets },
    );
    await send({ auth: { type: "bearer", token: "${secrets.KEY}" } }, { secrets });
    await send({ auth: { type: "api_key", header: "X-API-Key", key: "k" } });
    await send({ auth: { type: "api_key", name: "key", value: "k", in: "query" } });
    expect(seen[0]?.headers.authorization).toBe(`Basic ${btoa("me:s3cret-key")}`);
    expect(seen[1]?.headers.authorization).toBe("Bearer s3cret-key");
    expect(seen[2]?.headers["x-api-key"]).toBe("k");
    expect(seen[3]?.url).toBe("/orders?key=k");
  });
});

describe("OAuth 2 client credentials", () => {
  const auth = (): Json => ({
    type: "oauth2",
    token_url: `${base}/token`,
    client_id: "me",
    client_secret: "very-secret",
    scope: "read",
  });
  const asked = (): number => seen.filter(({ url }) => url === "/token").length;

  beforeEach(() => {
    let issued = 0;
    answer = (request, response) => {
      if (request.url !== "/token") return json(response, { ok: true });
      json(response, { access_token: `token-${++issued}`, expires_in: 600 });
    };
  });

  it("share one token until shortly before its end", async () => {
    await Promise.all([send({ auth: auth() }), send({ auth: auth() })]);
    expect(asked()).toBe(1);
    expect(seen[0]?.body).toBe("grant_type=client_credentials&scope=read");
    expect(seen[1]?.headers.authorization).toBe("Bearer token-1");
    nowMs += 580_000;
    await send({ auth: auth() });
    expect(asked()).toBe(2);
  });

  it("get a new token when the old one is refused, once", async () => {
    const issue = answer;
    answer = (request, response, body) =>
      request.headers.authorization === "Bearer token-1"
        ? json(response, null, 401)
        : issue(request, response, body);
    expect(await send({ auth: auth() })).toEqual({ ok: true });
    expect(asked()).toBe(2);
  });

  it("fail for good when the server refuses the client, without its secret", async () => {
    answer = (_request, response) => json(response, { error: "invalid_client" }, 400);
    const error = await failure({ auth: auth() });
    expect(error).toMatchObject({ code: "HTTP_AUTH", retryable: false });
    expect(JSON.stringify(error) + error.message).not.toContain("very-secret");
  });
});

describe("a failed request", () => {
  it("has the status as its code, and client errors are not retried", async () => {
    for (const [status, retryable] of [
      [404, false],
      [429, true],
      [503, true],
    ] as const) {
      answer = (_request, response) => json(response, { why: "busy" }, status);
      expect(await failure({})).toMatchObject({
        code: `HTTP_${status}`,
        retryable,
        details: { status, body: '{"why":"busy"}' },
      });
    }
  });

  it("is none if the status is expected", async () => {
    answer = (_request, response) => json(response, { gone: true }, 404);
    expect(await send({ expected_status: [200, 404] })).toEqual({ gone: true });
    answer = (_request, response) => json(response, {}, 200);
    expect(await send({ expected_status: ["2xx", 304] })).toEqual({});
    expect(await failure({ expected_status: 201 })).toMatchObject({ code: "HTTP_200" });
  });

  it("waits as long as the server asks", async () => {
    answer = (_request, response) => response.writeHead(429, { "retry-after": "3" }).end();
    expect(await failure({})).toMatchObject({ retryAfterMs: 3000 });
  });

  it("shows the path as it stands in the file, and of nothing more than that", async () => {
    answer = (_request, response) => response.writeHead(404).end();
    const { host } = new URL(base);
    const cases = [
      ["/orders/${data.id}/items?key=1", "/orders/${data.id}/items"],
      ["/a/${data.id > 1 ? 'x' : 'y'}", "/a/…"],
      ["?q=1", ""],
      [`/${"long/".repeat(100)}`, `/${"long/".repeat(39)}long…`],
    ];
    for (const [path = "", shown = ""] of cases) {
      const { message } = await failure({ url: base + path }, { vars: { data: { id: 7 } } });
      expect(message).toBe(`GET ${host}${shown} answered with status 404`);
    }
  });

  it("shows the host and no secret, though the server echoes it", async () => {
    answer = (request, response) => json(response, request.headers.authorization ?? "", 403);
    const secrets = (): { [name: string]: string } => ({ KEY: "s3cret-key" });
    const url = `${base}/x?key=\${secrets.KEY}`;
    const error = await failure(
      { url, auth: { type: "bearer", token: "${secrets.KEY}" } },
      { secrets },
    );
    expect(error.message).toBe(`GET ${new URL(base).host}/x answered with status 403`);
    expect(error.details).toEqual({ status: 403, body: '"Bearer ***"' });
  });

  it("may be one of an address that nobody answers at, or that is not allowed", async () => {
    expect(await failure({ url: "http://127.0.0.1:1/" })).toMatchObject({
      code: "HTTP_UNREACHABLE",
      retryable: true,
      details: { reason: "ECONNREFUSED" },
    });
    const guarded = new HttpClient();
    for (const url of [base, base.replace("127.0.0.1", "localhost"), "http://[::1]/"]) {
      const error = await failure({ url }, { http: guarded });
      expect(error).toMatchObject({ code: "HTTP_REFUSED", retryable: false });
    }
    expect(seen).toEqual([]);
  });

  it("may be one of what was sent", async () => {
    for (const config of [
      { url: "file:///etc/passwd" },
      { method: "BREW" },
      { headers: { a: "\n" } },
    ]) {
      expect(await failure(config)).toMatchObject({ code: "BAD_INPUT", retryable: false });
    }
  });

  it("stops at the size limit, also of what it unpacks to", async () => {
    answer = (_request, response) => {
      response.writeHead(200, { "content-encoding": "gzip" });
      response.end(gzipSync("x".repeat(1_000_000)));
    };
    expect(await failure({})).toMatchObject({ code: "TOO_LARGE", retryable: false });
  });

  it("says so when the answer is not the JSON that it claims to be", async () => {
    answer = (_request, response) => response.end("<html>");
    expect(await failure({ response: "json" })).toMatchObject({ code: "HTTP_BODY" });
    answer = (_request, response) => response.end('{"ids":[7,1e400]}');
    const message = expect.stringContaining("a number beyond 1.8e308 at /ids/1") as string;
    expect(await failure({ response: "json" })).toMatchObject({ code: "HTTP_BODY", message });
  });

  it("stops when the node is aborted, and after the client's own limit", async () => {
    answer = () => {};
    const signal = AbortSignal.abort(new DOMException("late", "TimeoutError"));
    await expect(send({}, { signal })).rejects.toBeDefined();
    const impatient = new HttpClient({ allow: ["loopback"], timeoutMs: 20 });
    expect(await failure({}, { http: impatient })).toMatchObject({ code: "TIMEOUT" });
    impatient.close();
  });
});

describe("a redirect", () => {
  const toward = (target: () => string, status = 302): Answer => {
    return (request, response) =>
      request.url === "/orders"
        ? response.writeHead(status, { location: target() }).end()
        : json(response, { landed: true });
  };
  const login: Json = { type: "bearer", token: "t0ken" };

  it("is followed with its credentials on the same origin, without them elsewhere", async () => {
    answer = toward(() => "/moved");
    expect(await send({ auth: login })).toEqual({ landed: true });
    // By where they landed: a request that a test before has given up may come in late.
    const landed = (): typeof seen => seen.filter(({ url }) => url === "/moved");
    expect(landed()[0]?.headers.authorization).toBe("Bearer t0ken");
    answer = toward(() => `${other}/moved`);
    await send({ auth: login, headers: { Cookie: "a=b" } });
    expect(landed()[1]?.headers).not.toHaveProperty("authorization");
    expect(landed()[1]?.headers).not.toHaveProperty("cookie");
  });

  it("turns a POST into a GET, except for 307 and 308", async () => {
    answer = toward(() => "/moved");
    await send({ method: "POST", body: {} });
    expect(seen[1]).toMatchObject({ method: "GET", body: "" });
    answer = toward(() => "/moved", 307);
    await send({ method: "POST", body: {} });
    expect(seen[3]).toMatchObject({ method: "POST", body: "{}" });
  });

  it("is not followed for ever, nor to a refused address", async () => {
    answer = toward(() => "/orders");
    expect(await failure({})).toMatchObject({ code: "HTTP_REDIRECTS" });
    answer = toward(() => "http://169.254.169.254/latest/meta-data");
    expect(await failure({})).toMatchObject({ code: "HTTP_REFUSED" });
  });
});
