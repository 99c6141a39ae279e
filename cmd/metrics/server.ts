/**
 * The port of a process for those who look after it: /metrics, /healthz and /readyz. Plain HTTP on an
 * address of its own, for what is told here is nobody's else: no run, no payload, but names of queues.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { GavotteError, type Service } from "../../sdk/internal.ts";
import type { Health } from "./health.ts";

export interface MetricsServerOptions {
  host: string;
  /** 0: any free port. */
  port: number;
  logger: Logger;
  text(): Promise<{ text: string; contentType: string }>;
  health(): Promise<Health>;
}

export interface MetricsServer extends Service {
  /** `http://host:port`, once started. */
  url(): string;
}

const CONNECTIONS_MAX = 100;
const REQUEST_MS_MAX = 10_000;
const JSON_TYPE = "application/json";

interface Answer {
  status: number;
  type: string;
  text: string;
}

/** Makes the server; it listens when started. */
export function createMetricsServer(options: MetricsServerOptions): MetricsServer {
  const { host, port, logger } = options;
  let server: Server | null = null;
  const url = (): string => {
    const address = server?.address() as AddressInfo | null;
    return `http://${host.includes(":") ? `[${host}]` : host}:${address?.port ?? port}`;
  };
  return {
    name: "metrics",
    url,
    async start() {
      server = createServer({ requestTimeout: REQUEST_MS_MAX }, (request, response) => {
        void answer(options, request).then((told) => send(response, request, told));
      });
      server.maxConnections = CONNECTIONS_MAX;
      await listening(server, host, port);
      server.on("error", (error) => logger.warn({ err: error }, "metrics: a connection failed"));
      logger.info({ url: `${url()}/metrics` }, "metrics are served");
    },
    async stop() {
      const stopping = server;
      server = null;
      if (stopping !== null) {
        const closed = new Promise((resolve) => stopping.close(resolve));
        stopping.closeAllConnections();
        await closed;
      }
    },
  };
}

async function listening(server: Server, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, resolve);
    });
  } catch (cause) {
    const { message } = cause as Error;
    const text = `metrics cannot be served on ${host}:${port} (${message})`;
    const remedy = "set metrics_port and metrics_host to what is free; port 0 takes any";
    throw new GavotteError("GV_BAD_CONFIG", `${text}: ${remedy}`, { cause });
  }
}

async function answer(options: MetricsServerOptions, request: IncomingMessage): Promise<Answer> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return told(405, { error: "only GET and HEAD" });
  }
  try {
    switch ((request.url ?? "/").split("?")[0]) {
      case "/metrics": {
        const { text, contentType } = await options.text();
        return { status: 200, type: contentType, text };
      }
      case "/healthz":
        return told(200, { status: "ok" });
      case "/readyz": {
        const { isReady, redis, postgres } = await options.health();
        const asked = Object.entries({ redis, postgres }).filter(([, isUp]) => isUp !== null);
        const stores = Object.fromEntries(asked);
        return told(isReady ? 200 : 503, { status: isReady ? "ready" : "not ready", ...stores });
      }
      default:
        return told(404, { error: "there are /metrics, /healthz and /readyz" });
    }
  } catch (error) {
    options.logger.error({ err: error }, "metrics cannot be told");
    return told(500, { error: "the log says why" });
  }
}

function told(status: number, body: object): Answer {
  return { status, type: JSON_TYPE, text: JSON.stringify(body) };
}

function send(
  response: ServerResponse,
  request: IncomingMessage,
  { status, type, text }: Answer,
): void {
  const length = Buffer.byteLength(text);
  response.writeHead(status, { "content-type": type, "content-length": length });
  response.end(request.method === "HEAD" ? undefined : text);
}
