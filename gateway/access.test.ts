/** Who may call: each route of REST and the feed, with keys and without. */
import type { IncomingMessage } from "node:http";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { followFeed } from "../sdk/feed-client.ts";
import { feedAddress } from "../sdk/internal.ts";
import { startEngine, type Engine } from "../test/harness/engine.ts";
import { Access } from "./access.ts";
import { createGateway, type Gateway } from "./index.ts";

const KEYS = ["first-key-of-the-shop", "second-key-of-the-shop"];
const logger = pino({ level: "silent" });
let engine: Engine;
let keyed: Gateway;
let open: Gateway;

beforeAll(async () => {
  engine = await startEngine();
  const { redisUrl, db } = engine;
  const at = { port: 0, redisUrl, db, partitions: 1, logger };
  keyed = createGateway({ ...at, host: "0.0.0.0", apiKeys: KEYS });
  open = createGateway({ ...at, host: "0.0.0.0" });
  await Promise.all([keyed.start(), open.start()]);
});
afterAll(async () => {
  await Promise.all([keyed.stop(1000), open.stop(1000)]);
  await engine.stop();
});

const ROUTES = [
  ["POST", "/runs"],
  ["GET", "/runs"],
  ["GET", "/runs/x"],
  ["GET", "/runs/x/result"],
  ["POST", "/runs/x/cancel"],
  ["POST", "/runs/x/signals/y"],
  ["POST", "/runs/x/pause"],
  ["POST", "/runs/x/resume"],
] as const;

async function call(gateway: Gateway, method: string, path: string, key?: string) {
  const authorization = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const headers = { "content-type": "application/json", ...authorization };
  const body = method === "POST" ? { body: "{}" } : {};
  const url = gateway.url().replace("0.0.0.0", "127.0.0.1");
  const response = await fetch(`${url}/api/v1${path}`, { method, headers, ...body });
  const { error } = (await response.json()) as { error?: { code: string; message: string } };
  return { status: response.status, code: error?.code, message: error?.message, response };
}

describe("with keys, every route of REST", () => {
  it.each(ROUTES)("%s %s asks for one of them", async (method, path) => {
    for (const key of [undefined, "", "third-key-of-the-shop", `${KEYS[0]}x`]) {
      const told = await call(keyed, method, path, key);
      expect([told.status, told.code], String(key)).toEqual([401, "GV_KEY_REFUSED"]);
      expect(told.response.headers.get("www-authenticate")).toBe("Bearer");
      expect(told.message).not.toMatch(/shop/);
    }
    for (const key of KEYS) {
      expect([401, 403]).not.toContain((await call(keyed, method, path, key)).status);
    }
  });

  it("and health, callbacks and the document ask for none", async () => {
    const url = keyed.url().replace("0.0.0.0", "127.0.0.1");
    for (const path of ["/healthz", "/readyz", "/api/v1/openapi.json"]) {
      expect((await fetch(`${url}${path}`)).status, path).toBe(200);
    }
    const callback = await fetch(`${url}/api/v1/callbacks/nobody`, { method: "POST" });
    expect(callback.status).toBe(404);
  });
});

describe("with keys, the live feed", () => {
  const url = (): string => keyed.url().replace("0.0.0.0", "127.0.0.1");

  it("asks for one of them before it is opened", async () => {
    const statuses = await Promise.all(
      [{}, { authorization: "Bearer nonsense" }].map((headers) => {
        const socket = new WebSocket(feedAddress(url()), { headers });
        return new Promise((resolve) =>
          socket.on("unexpected-response", (request, response) => {
            resolve([response.statusCode, response.headers["content-type"]]);
            request.destroy();
          }),
        );
      }),
    );
    expect(statuses).toEqual([
      [401, "application/json"],
      [401, "application/json"],
    ]);
  });

  it("is heard by a client that sends one, and one that does not is told what to set", async () => {
    const runId = await engine.submit({
      workflow: { name: "w", nodes: [{ id: "a", type: "wait", config: { signal: "s" } }] },
    });
    const stop = new AbortController();
    const options = { url: url(), runId, onRetry: () => undefined };
    const heard = followFeed({
      ...{ ...options, signal: stop.signal, apiKey: KEYS[1] ?? "" },
      onMessage: () => stop.abort(new Error("heard")),
    });
    await expect(heard).rejects.toThrow("heard");
    const { signal } = new AbortController();
    const refused = followFeed({ ...options, signal, onMessage: () => undefined });
    await expect(refused).rejects.toMatchObject({
      code: "GV_KEY_REFUSED",
      message: expect.stringContaining("GAVOTTE_API_KEY") as string,
    });
  });
});

describe("without keys", () => {
  it.each(ROUTES)("%s %s is refused where others reach the port", async (method, path) => {
    const told = await call(open, method, path);
    expect([told.status, told.code]).toEqual([403, "GV_KEYS_MISSING"]);
    expect(told.message).toContain("GAVOTTE_API_KEYS");
  });

  it.each([
    ["this machine's address", { host: "127.0.0.1:8080" }, true],
    ["its name", { host: "localhost:8080" }, true],
    ["its address in IPv6", { host: "[::1]:8080" }, true],
    ["a page of its own", { host: "localhost", origin: "http://localhost:3000" }, true],
    ["a name that leads here", { host: "evil.example:8080" }, false],
    ["a name that only looks like it", { host: "127.0.0.1.evil.example" }, false],
    ["another's page", { host: "localhost", origin: "https://evil.example" }, false],
    ["a page that has no name", { host: "localhost", origin: "null" }, false],
    ["no name that can be read", { host: "a b" }, false],
  ])("on a loopback address, %s", (_, headers, may) => {
    const access = new Access([], "127.0.0.1");
    expect(access.rest({ headers } as unknown as IncomingMessage) === null).toBe(may);
  });
});
