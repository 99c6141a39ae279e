/** Whoever reaches the port, with no key, neither ends the gateway nor takes more than is his. */
import type { IncomingMessage, RequestListener, Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { pino } from "pino";
import { afterEach, beforeAll, afterAll, describe, expect, it } from "vitest";
import { startEngine, type Engine } from "../test/harness/engine.ts";
import { waitFor } from "../test/support/index.ts";
import { GatewayCounts } from "./counts.ts";
import { Access } from "./access.ts";
import { createApp } from "./app.ts";
import { readJson, Room } from "./body.ts";
import { Callbacks } from "./callbacks.ts";
import type { EngineClient } from "./engine-client.ts";
import { createGateway } from "./index.ts";
import { createHttpServer, type HttpLimits } from "./server.ts";

const logger = pino({ level: "silent" });
const LIMITS: HttpLimits = {
  ...{ connectionsMax: 100, idleMs: 60_000, pipelinedMax: 4 },
  ...{ headMs: 60_000, requestMs: 60_000, checkMs: 20 },
};
const GET = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/** A request whose body is what the test writes. */
function requestOf(more: object = {}): IncomingMessage & PassThrough {
  return Object.assign(new PassThrough(), { headers: {}, ...more }) as never;
}

describe("a body", () => {
  it("that comes in single bytes is not kept in as many pieces", async () => {
    const request = requestOf();
    const read = readJson(request, 100, "GV_BODY_TOO_LARGE");
    const piece = Buffer.alloc(1);
    for (const byte of Buffer.from('"word"')) {
      piece[0] = byte; // whoever had kept it would have six times the same
      request.emit("data", piece);
    }
    request.emit("end");
    expect(await read).toBe("word");
  });

  it("that does not end makes room for those that do", async () => {
    const room = new Room(8 * 1024);
    const read = (request: IncomingMessage) => readJson(request, 6000, "GV_BODY_TOO_LARGE", room);
    const endless = [requestOf(), requestOf()];
    const refused = endless.map((request) =>
      read(request).catch(({ code }: Error & { code: string }) => code),
    );
    endless.forEach((request) => request.emit("data", Buffer.alloc(4000, " ")));
    const good = requestOf();
    const value = read(good);
    good.emit("data", Buffer.from("[1,"));
    good.emit("data", Buffer.from(`2${" ".repeat(3000)}]`));
    expect(await refused[0]).toBe("GV_GATEWAY_BUSY");
    endless[0]?.emit("data", Buffer.alloc(1000, " "));
    good.emit("end");
    expect(await value).toEqual([1, 2]);
    expect(room.bytes).toBe(4000);
    endless[1]?.emit("close");
    expect(await refused[1]).toBe("GV_BAD_INPUT");
    expect(room.bytes).toBe(0);
  });
});

it("callbacks under way are bounded while the engine does not answer", async () => {
  let answer: (receipt: object) => void = () => undefined;
  const told = new Promise<object>((resolve) => (answer = resolve));
  const engine = { get: () => Promise.resolve({ callback: () => told }) };
  const callbacks = new Callbacks(engine as unknown as EngineClient, 2);
  const call = (): Promise<{ code: number }> => {
    const request = requestOf({ method: "POST" });
    request.end("{}");
    return callbacks.answer(request, "/api/v1/callbacks/x");
  };
  const first = [call(), call()];
  const third = await call();
  expect(third).toMatchObject({ code: 429, body: { error: { code: "GV_GATEWAY_BUSY" } } });
  answer({});
  expect((await Promise.all(first)).map(({ code }) => code)).toEqual([200, 200]);
  expect((await call()).code).toBe(200);
});

it("an address that cannot be decoded is answered, whatever its callback fails with", async () => {
  const callbacks = { answer: () => Promise.reject(new TypeError("x is not a function")) };
  const rest = { runs: {} as never, submissions: {} as never, checks: {} as never };
  const parts = { access: new Access([], "127.0.0.1"), rest, logger, counts: new GatewayCounts() };
  const readiness = (): Promise<{ code: number; body: object }> =>
    Promise.reject(new Error("not now"));
  const app = await createApp({ ...parts, callbacks: callbacks as never, readiness });
  await new Promise<void>((resolve) => app.server.listen(0, "127.0.0.1", resolve));
  const { port } = app.server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/callbacks/%E0%A4%A`);
  expect(await response.json()).toMatchObject({ error: { code: "GV_INTERNAL" } });
  app.server.close();
});

it("long polls asked one behind the other are all let go when their connection is closed", async () => {
  const signals: AbortSignal[] = [];
  const result = (_id: string, _ms: number, signal: AbortSignal): Promise<object> => {
    signals.push(signal);
    const row = { id: "r", status: "RUNNING" };
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve(row)));
  };
  const rest = { runs: { result } as never, submissions: {} as never, checks: {} as never };
  const access = new Access([], "127.0.0.1");
  const parts = { access, rest, logger, callbacks: {} as never, counts: new GatewayCounts() };
  const app = await createApp({ ...parts, readiness: () => Promise.reject(new Error("not now")) });
  await new Promise<void>((resolve) => app.server.listen(0, "127.0.0.1", resolve));
  const socket = connect((app.server.address() as AddressInfo).port, "127.0.0.1");
  const asked = "GET /api/v1/runs/r/result?wait=60s HTTP/1.1\r\nhost: localhost\r\n\r\n";
  socket.write(asked.repeat(3));
  await waitFor(() => signals.length === 3);
  expect(signals.filter(({ aborted }) => aborted)).toEqual([]);
  socket.destroy();
  await waitFor(() => signals.every(({ aborted }) => aborted));
  app.server.close();
});

describe("a connection", () => {
  let server: Server;
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  async function serve(more: Partial<HttpLimits>, handler: RequestListener): Promise<void> {
    server = createHttpServer(handler, { ...LIMITS, ...more });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  }
  /** `closed`: what came, once the other side has closed it. */
  async function dial(): Promise<{ socket: Socket; heard: () => string; closed: Promise<string> }> {
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, "127.0.0.1");
    let heard = "";
    socket.on("data", (piece: Buffer) => (heard += piece.toString()));
    socket.on("error", () => undefined);
    const closed = new Promise<string>((resolve) => socket.on("close", () => resolve(heard)));
    await new Promise((resolve) => socket.once("connect", resolve));
    return { socket, heard: () => heard, closed };
  }
  const answering: RequestListener = (request, response) => {
    request.resume().on("end", () => response.end("heard"));
  };

  it("more than there may be is closed, and idle ones make room", async () => {
    await serve({ connectionsMax: 2 }, answering);
    const [idle, other] = [await dial(), await dial()];
    idle.socket.write(GET);
    await waitFor(() => idle.heard().includes("heard"));
    expect(await (await dial()).closed).toBe("");
    await idle.closed;
    const last = await dial();
    last.socket.write(GET);
    await waitFor(() => last.heard().includes("heard"));
    other.socket.write(GET);
    await waitFor(() => other.heard().includes("heard"));
  });

  it.each([
    ["that says nothing", ""],
    ["whose head does not end", "GET /healthz HTTP/1.1\r\nhost: x\r\nx: "],
  ])("%s is closed", async (_, text) => {
    await serve({ headMs: 50 }, answering);
    const { socket, closed } = await dial();
    socket.write(text);
    await closed;
  });

  it("whose body does not end is closed", async () => {
    await serve({ headMs: 50, requestMs: 50 }, answering);
    const { socket, closed } = await dial();
    socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12");
    await closed;
  });

  it("that takes no answer is closed", async () => {
    let gone = false;
    await serve({ idleMs: 100 }, (request, response) => {
      request.socket.on("close", () => (gone = true));
      response.end(Buffer.alloc(32 * 1024 * 1024));
    });
    const { socket } = await dial();
    socket.pause().write(GET);
    await waitFor(() => gone);
    socket.destroy();
  });

  it("that sends one request behind the other, and waits for no answer, is closed", async () => {
    let asked = 0;
    await serve({}, () => void asked++);
    const { socket, closed } = await dial();
    socket.write(GET.repeat(1000));
    await closed;
    expect(asked).toBe(LIMITS.pipelinedMax);
  });

  it("may send as many as it likes, one after the other", async () => {
    await serve({}, answering);
    const { socket, heard } = await dial();
    for (let n = 1; n <= 3 * LIMITS.pipelinedMax; n++) {
      socket.write(GET);
      await waitFor(() => heard().split("heard").length > n);
    }
  });
});

describe("readiness", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.stop());

  it("is looked for once for all who ask at one time", async () => {
    let looks = 0;
    let go: () => void = () => undefined;
    const may = new Promise<void>((resolve) => (go = resolve));
    const query = (...asked: unknown[]): unknown => {
      const { name } = asked[0] as { name?: string };
      void (name === "gateway_ready" && looks++);
      return may.then(() => engine.db.query(asked[0] as never));
    };
    const db = new Proxy(engine.db, {
      get: (target, name) => (name === "query" ? query : (Reflect.get(target, name) as unknown)),
    });
    const at = { host: "127.0.0.1", port: 0, redisUrl: engine.redisUrl, partitions: 1, logger };
    const gateway = createGateway({ ...at, db });
    await gateway.start();
    const asked = Array.from({ length: 50 }, () => fetch(`${gateway.url()}/readyz`));
    await waitFor(() => looks > 0);
    await fetch(`${gateway.url()}/healthz`);
    go();
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(looks).toBeLessThan(10);
    await gateway.stop(1000);
  });
});
