/** S04: whatever the gateway refuses over HTTP, and whoever notices, has one body. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ERRORS, GavotteError, type ErrorCode } from "../sdk/internal.ts";
import { startEngine, type Engine } from "../test/harness/engine.ts";
import { refusal, refusalOf } from "./errors.ts";

let engine: Engine;

beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.stop());

/** What comes back for bytes that need be no HTTP. */
function raw(text: string): Promise<{ status: number; body: unknown }> {
  const { hostname, port } = new URL(engine.gateway.url());
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(text));
    let heard = "";
    socket.on("error", reject);
    socket.on("data", (piece: Buffer) => (heard += piece.toString()));
    socket.on("close", () => {
      const [head = "", body = ""] = heard.split("\r\n\r\n");
      resolve({ status: Number(head.split(" ")[1]), body: JSON.parse(body) });
    });
  });
}

describe("S04: what no route answers", () => {
  it("is told as everything that is refused, a path that nobody knows", async () => {
    const response = await fetch(`${engine.gateway.url()}/api/v1/nothing?x=1`);
    expect(response.status).toBe(404);
    const message = expect.stringContaining("/api/v1/nothing;") as string;
    expect(await response.json()).toEqual({ error: { code: "GV_ROUTE_UNKNOWN", message } });
  });

  it("a method that the path does not take, with those that it does", async () => {
    const response = await fetch(`${engine.gateway.url()}/healthz`, { method: "POST", body: "x" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    const message = "/healthz takes GET, HEAD";
    expect(await response.json()).toEqual({ error: { code: "GV_METHOD_REFUSED", message } });
  });

  it.each([
    ["no HTTP", "what is this\r\n\r\n"],
    ["a header without end", `GET /healthz HTTP/1.1\r\nx: ${"x".repeat(20_000)}\r\n\r\n`],
    ["an address that is none", "GET /%E0%A4%A HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"],
  ])("%s", async (_, text) => {
    const code = "GV_REQUEST_MALFORMED";
    expect(await raw(text)).toMatchObject({ status: 400, body: { error: { code } } });
  });
});

describe("S04: an error's answer", () => {
  it("has a status of its own for each code, and the time to wait where it may pass", () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const { code: status, headers } = refusal(code, "why");
      expect(status, code).toBeGreaterThanOrEqual(400);
      const waits = headers?.["retry-after"] !== undefined;
      expect(waits, code).toBe(ERRORS[code].retryable && [429, 503].includes(status));
    }
  });

  it("lists what is wrong as problems, and tells the other details", () => {
    const errors = [{ code: "GV1001", message: "no name", path: "workflow" }];
    const error = new GavotteError("GV_WORKFLOW_INVALID", "why", { details: { errors, at: 1 } });
    expect(refusalOf(error)?.body).toEqual({
      error: { code: "GV_WORKFLOW_INVALID", message: "why", problems: errors, details: { at: 1 } },
    });
  });

  it("of drivers says which service is away, and of anything else nothing", () => {
    const told = (error: unknown): unknown => refusalOf(error)?.body;
    expect(told(new Error("Command timed out"))).toMatchObject({
      error: { code: "GV_REDIS_UNAVAILABLE" },
    });
    expect(told(Object.assign(new Error("x"), { code: "57P01" }))).toMatchObject({
      error: { code: "GV_DATABASE_UNAVAILABLE" },
    });
    expect(refusalOf(new TypeError("x is not a function"))).toBeNull();
  });
});
