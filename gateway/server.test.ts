/** What a stranger may do to the connection itself, and which offers of other protocols are taken. */
import { request, type IncomingHttpHeaders } from "node:http";
import { connect, type Socket } from "node:net";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startEngine, type Engine } from "../test/harness/engine.ts";
import { waitFor } from "../test/support/index.ts";
import { createGateway, type Gateway } from "./index.ts";

let engine: Engine;
let gateway: Gateway;
let keyed: Gateway;

beforeAll(async () => {
  engine = await startEngine();
  const { redisUrl, db } = engine;
  const logger = pino({ level: "silent" });
  const at = { port: 0, redisUrl, db, partitions: 1, logger, host: "127.0.0.1" };
  gateway = createGateway(at);
  keyed = createGateway({ ...at, apiKeys: ["first-key-of-the-shop"] });
  await Promise.all([gateway.start(), keyed.start()]);
});
afterAll(async () => {
  await Promise.all([gateway.stop(1000), keyed.stop(1000)]);
  await engine.stop();
});

function dial(to: Gateway): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(to.url()).port), "127.0.0.1", () => resolve(socket));
    socket.on("error", () => undefined);
  });
}

/** The first line of what comes back for a text. */
function firstLine(socket: Socket, text: string): Promise<string> {
  return new Promise((resolve) => {
    socket.once("data", (piece: Buffer) => resolve(piece.toString().split("\r\n")[0] ?? ""));
    socket.write(text);
  });
}

describe("a connection that is reset while it asks for the feed", () => {
  let died: unknown[];
  let before: NodeJS.UncaughtExceptionListener[];

  beforeEach(() => {
    died = [];
    before = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", (error) => died.push(error));
  });
  afterEach(() => {
    process.removeAllListeners("uncaughtException");
    before.forEach((listener) => process.on("uncaughtException", listener));
  });

  const handshake = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  it.each([
    ["without a key", (): Gateway => keyed, handshake],
    ["where none is asked for", (): Gateway => gateway, handshake],
    ["with half a handshake", (): Gateway => gateway, ""],
  ])("%s ends nothing", async (_, to, more) => {
    const offer = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    const ask = `GET /api/v1/ws HTTP/1.1\r\nHost: x\r\n${offer}${more}\r\n`;
    for (let n = 0; n < 200 && died.length === 0; n++) {
      const socket = await dial(to());
      const closed = new Promise((resolve) => socket.on("close", resolve));
      socket.write(ask, () => socket.resetAndDestroy());
      await closed;
    }
    expect((await fetch(`${to().url()}/healthz`)).status).toBe(200);
    expect(died).toEqual([]);
  });
});

/** As Java's client and curl --http2 send with every request. */
const H2C = {
  connection: "Upgrade, HTTP2-Settings",
  ...{ upgrade: "h2c", "http2-settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA" },
};
const WEBSOCKET = {
  connection: "Upgrade",
  ...{ upgrade: "WebSocket", "sec-websocket-version": "13" },
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

function statusOf(
  [method, path, body]: readonly [string, string, string],
  more: IncomingHttpHeaders,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", ...more };
    const asked = request(gateway.url() + path, { method, headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    asked.on("upgrade", (_answer, socket) => {
      socket.destroy();
      resolve(101);
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

describe("an offer of another protocol", () => {
  const ASKED = [
    ["GET", "/healthz", ""],
    ["GET", "/api/v1/runs", ""],
    ["POST", "/api/v1/callbacks/unknown", "{}"],
    ["POST", "/api/v1/runs", '{"workflow_ref":"nowhere"}'],
  ] as const;

  it.each(ASKED)("with %s %s is not taken: it is answered as ever", async (...asked) => {
    const plain = await statusOf(asked, {});
    expect([await statusOf(asked, H2C), await statusOf(asked, WEBSOCKET)]).toEqual([plain, plain]);
  });

  it("is taken where it is the feed's", async () => {
    expect(await statusOf(["GET", "/api/v1/ws?x=1", ""], WEBSOCKET)).toBe(101);
    expect(await statusOf(["GET", "/api/v1/ws", ""], H2C)).toBe(404);
  });

  it("leaves the connection to the next request", async () => {
    const head = Object.entries({ host: "x", ...H2C }).map(([name, is]) => `${name}: ${is}\r\n`);
    const post = `POST /api/v1/callbacks/x HTTP/1.1\r\n${head.join("")}content-length: 2\r\n\r\n{}`;
    const socket = await dial(gateway);
    expect(await firstLine(socket, post)).toBe("HTTP/1.1 404 Not Found");
    expect(await firstLine(socket, post)).toBe("HTTP/1.1 404 Not Found");
    expect(await firstLine(socket, "GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")).toContain("200");
    socket.destroy();
  });
});

describe("a handshake of the feed that fails", () => {
  const head = (method: string, more: object): string => {
    const headers = Object.entries({ host: "x", ...more }).map(
      ([name, is]) => `${name}: ${is}\r\n`,
    );
    return `${method} /api/v1/ws HTTP/1.1\r\n${headers.join("")}\r\n`;
  };
  it.each([
    ["without its key", "GET", { "sec-websocket-key": "x" }, 400, "Sec-WebSocket-Key"],
    ["of another version", "GET", { "sec-websocket-version": "7" }, 400, "Sec-WebSocket-Version"],
    ["of another method", "POST", {}, 405, "GET"],
  ])("%s is told so as REST tells it", async (_, method, more, status, named) => {
    const socket = await dial(gateway);
    let heard = "";
    socket.on("data", (piece: Buffer) => (heard += piece.toString()));
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.write(head(method, { ...WEBSOCKET, ...more }));
    await closed;
    const [lines = "", body = ""] = heard.split("\r\n\r\n");
    expect(lines).toMatch(
      new RegExp(`^HTTP/1.1 ${status} [^]*content-type: application/json`, "i"),
    );
    const code = status === 405 ? "GV_METHOD_REFUSED" : "GV_REQUEST_MALFORMED";
    const message = expect.stringContaining(named) as string;
    expect(JSON.parse(body)).toEqual({ error: { code, message } });
    const told = { 400: "sec-websocket-version: 13", 405: "allow: GET" }[status] ?? "";
    expect(named === "Sec-WebSocket-Key" || lines.toLowerCase().includes(told.toLowerCase())).toBe(
      true,
    );
  });
});

describe("a message of the feed", () => {
  /** A frame of a client: not the last of its message, unless it is of another kind. */
  const frame = (first: number, payload: string): Buffer =>
    Buffer.concat([Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0]), Buffer.from(payload)]);
  const [TEXT, GOES_ON, LAST, PONG] = [0x01, 0x00, 0x80, 0x8a];

  async function upgraded(): Promise<{ socket: Socket; heard: () => string }> {
    const socket = await dial(gateway);
    let heard = "";
    socket.on("data", (piece: Buffer) => (heard += piece.toString("latin1")));
    const headers = Object.entries({ host: "x", ...WEBSOCKET }).map(
      ([name, is]) => `${name}: ${is}`,
    );
    await firstLine(socket, ["GET /api/v1/ws HTTP/1.1", ...headers, "", ""].join("\r\n"));
    return { socket, heard: () => heard };
  }

  it("may come in a few pieces", async () => {
    const { socket, heard } = await upgraded();
    const pieces = [
      frame(TEXT, '{"type"'),
      frame(PONG, "x"),
      frame(GOES_ON, ':"pi'),
      frame(LAST, 'ng"}'),
    ];
    socket.write(Buffer.concat(pieces));
    await waitFor(() => heard().includes('{"type":"pong"}'));
    socket.destroy();
  });

  it("of many pieces is refused: each holds what came with it", async () => {
    const { socket, heard } = await upgraded();
    // What comes between two pieces of it is not counted as its own.
    const between = Buffer.concat(Array.from({ length: 500 }, () => frame(PONG, "x".repeat(120))));
    const pieces = Array.from({ length: 64 }, () => [frame(GOES_ON, "x"), between]).flat();
    socket.write(Buffer.concat([frame(TEXT, "x"), ...pieces]));
    await waitFor(() => heard().includes("\x03\xf0")); // 1008
    socket.destroy();
  });

  it("whose bytes come one by one is refused as well", async () => {
    const { socket, heard } = await upgraded();
    socket.setNoDelay(true);
    socket.write(Buffer.from([0x81, 0xfe, 0xff, 0xff, 0, 0, 0, 0])); // 65,535 bytes
    const isOver = (): boolean => heard().includes("\x03\xf0");
    for (let n = 0; n < 65_000 && !isOver(); n++) {
      await new Promise((resolve) => void socket.write("x", () => setImmediate(resolve)));
    }
    await waitFor(isOver);
    socket.destroy();
  });
});
