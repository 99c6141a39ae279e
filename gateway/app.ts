/**
 * What the gateway answers over HTTP: routes, and one body for whatever is refused, from a route that
 * throws to a request that is no HTTP.
 *
 * A path that is known answers other methods with 405 and which it takes, before it reads a body.
 */
import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import {
  fastify,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type RouteOptions,
} from "fastify";
import type { Logger } from "pino";
import { GavotteError } from "../sdk/internal.ts";
import type { Access } from "./access.ts";
import { CALLBACK_PATH, type Callbacks } from "./callbacks.ts";
import { internalError, methodRefused, refusal, refusalOf, routeUnknown } from "./errors.ts";
import type { GatewayCounts } from "./counts.ts";
import type { Answer } from "./errors.ts";
import { describeRoutes, DOCUMENT_PATH, documentOf } from "./openapi.ts";
import { addRest, REST_PATH, type RestParts } from "./rest/routes.ts";
import { answers } from "./rest/schemas.ts";
import { answerSocket, createHttpServer } from "./server.ts";

export interface AppParts {
  access: Access;
  callbacks: Callbacks;
  rest: RestParts;
  /** Whether what the gateway needs answers. */
  readiness(): Promise<Answer>;
  counts: GatewayCounts;
  logger: Logger;
}

/** Methods that a path may be asked with; of others the router says that it knows no such path. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;

/** Not in the document: it says there what is to be said of it. */
const HIDDEN = { hide: true };

/** Makes the server, which does not listen yet. */
export async function createApp(parts: AppParts): Promise<FastifyInstance & { server: Server }> {
  const app = fastify({
    // Ours, to listen and to close as the feed needs it.
    serverFactory: (handler) => createHttpServer(handler),
    clientErrorHandler: (error, socket) => refuseSocket(error, socket),
    frameworkErrors: (error, request, reply) => {
      // An address that cannot be decoded reaches no route, and yet it names one.
      const path = pathOf(request);
      void (path.startsWith(CALLBACK_PATH)
        ? parts.callbacks.answer(request.raw, path).then(
            (answer) => send(reply, answer),
            (failed: unknown) => send(reply, refuse(failed, request, parts.logger)),
          )
        : send(reply, refuse(error, request, parts.logger)));
    },
    bodyLimit: Number.MAX_SAFE_INTEGER, // body.ts has the limits
  });
  app.removeAllContentTypeParsers();
  app.setErrorHandler((error, request, reply) => {
    reply.removeHeader("connection"); // the body has been read, or is not waited for
    return send(reply, refuse(error, request, parts.logger));
  });
  app.setNotFoundHandler((request, reply) =>
    send(reply, refuse(routeUnknown(pathOf(request)), request, parts.logger)),
  );
  app.addHook("onResponse", (request, reply, done) => {
    const { method, routeOptions } = request;
    parts.counts.request(method, routeOptions.url, reply.statusCode, reply.elapsedTime);
    done();
  });
  const methods = methodsByPath(app);
  await describeRoutes(app);
  await app.register((scope, _options, done) => {
    addCallbacks(scope, parts.callbacks);
    done();
  });
  await app.register(
    (scope, _options, done) => {
      scope.addHook("onRequest", (request, reply, next) => {
        const refused = parts.access.rest(request.raw);
        void (refused === null ? next() : send(reply, refused));
      });
      addRest(scope, parts.rest);
      done();
    },
    { prefix: REST_PATH },
  );
  addHealth(app, parts);
  refuseOthers(app, methods);
  await app.ready();
  return app;
}

/** The path of a request, without its query. */
export function pathOf(request: FastifyRequest): string {
  return (request.raw.url ?? "/").split("?")[0] ?? "/";
}

function addCallbacks(scope: FastifyInstance, callbacks: Callbacks): void {
  // The body is read there, whatever is said of its type: senders are of many kinds.
  scope.addHook("onRequest", (request, _reply, done) => {
    delete request.raw.headers["content-type"];
    done();
  });
  scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
  const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> =>
    send(reply, await callbacks.answer(request.raw, pathOf(request)));
  scope.route({ method: [...METHODS], url: `${CALLBACK_PATH}*`, handler, schema: HIDDEN });
}

function addHealth(app: FastifyInstance, parts: AppParts): void {
  const about = (operationId: string, summary: string, statuses: number[]): object => {
    const state = { description: "How it stands.", ...answers("Health") };
    const response = Object.fromEntries(statuses.map((status) => [status, state]));
    return { operationId, summary, tags: ["health"], security: [], response };
  };
  const alive = about("getHealth", "Whether the gateway is alive", [200]);
  app.get("/healthz", { schema: alive }, () => ({ status: "ok" }));
  const ready = about("getReadiness", "Whether Redis and Postgres answer it, too", [200, 503]);
  app.get("/readyz", { schema: ready }, async (_request, reply) =>
    send(reply, await parts.readiness()),
  );
  let text = "";
  app.get(DOCUMENT_PATH, { schema: HIDDEN }, (_request, reply) => {
    text ||= JSON.stringify(documentOf(app));
    return reply.type("application/json").send(text);
  });
}

/** Which methods each path has, as routes are added. */
function methodsByPath(app: FastifyInstance): Map<string, Set<string>> {
  const methods = new Map<string, Set<string>>();
  app.addHook("onRoute", ({ url, method }: RouteOptions) => {
    const known = methods.get(url) ?? new Set();
    [method].flat().forEach((one) => known.add(one));
    methods.set(url, known);
  });
  return methods;
}

/** Adds to every path the methods that it does not have. */
function refuseOthers(app: FastifyInstance, methods: Map<string, Set<string>>): void {
  for (const [url, known] of [...methods]) {
    const allowed = [...known];
    const others = METHODS.filter((method) => !known.has(method));
    if (others.length > 0) {
      app.route({
        ...{ method: others, url, schema: HIDDEN },
        onRequest: (request, reply, _done) =>
          void send(reply, methodRefused(pathOf(request), allowed)),
        handler: () => undefined,
      });
    }
  }
}

function send(reply: FastifyReply, { code, body, headers = {} }: Answer): FastifyReply {
  return reply.code(code).headers(headers).type("application/json").send(JSON.stringify(body));
}

function refuse(error: unknown, request: FastifyRequest, logger: Logger): Answer {
  const told = refusalOf(ownWords(error, request));
  if (told === null) {
    const { method } = request;
    logger.error({ err: error, method, path: pathOf(request) }, "a request has failed");
  }
  return told ?? internalError();
}

/** What the framework says in its words, in ours. */
function ownWords(error: unknown, request: FastifyRequest): unknown {
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  switch (code) {
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE": {
      const type = request.headers["content-type"] ?? "none";
      const takesFiles = [`${REST_PATH}/runs`, `${REST_PATH}/validate`].includes(pathOf(request));
      const others = takesFiles ? ", or a workflow's file, as application/yaml" : "";
      const message = `the body's content-type is "${type}"; send JSON, as application/json${others}`;
      return new GavotteError("GV_MEDIA_TYPE_REFUSED", message);
    }
    case "FST_ERR_BAD_URL": {
      const message = "the address cannot be decoded: a % begins two hexadecimal digits";
      return new GavotteError("GV_REQUEST_MALFORMED", message);
    }
    case "FST_ERR_MAX_PARAM_LENGTH":
      return routeUnknown("an address with so long a part");
    default:
      return code?.startsWith("FST_") === true && statusCode !== undefined && statusCode < 500
        ? new GavotteError("GV_REQUEST_MALFORMED", (error as Error).message)
        : error;
  }
}

/** Of what is no HTTP, or came too slowly, there is no request yet to answer. */
function refuseSocket(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === "ECONNRESET" || socket.destroyed) {
    return;
  }
  const message = `this is no request of HTTP/1.1 that can be read (${error.code ?? error.message})`;
  answerSocket(socket, refusal("GV_REQUEST_MALFORMED", message));
}
