/**
 * The OpenAPI document: what the routes say of themselves, and what no route says - who may call, and
 * the callbacks, whose addresses are told by the runs that wait.
 *
 * It is served, and kept in the repository (schemas/openapi.json), where CI looks that it is fresh.
 */
import { fastifySwagger } from "@fastify/swagger";
import type { FastifyInstance } from "fastify";
import { CALLBACK_PATH } from "./callbacks.ts";
import { SHARED } from "./rest/schemas.ts";

export const DOCUMENT_PATH = "/api/v1/openapi.json";

const DESCRIPTION =
  "Runs of workflows: submitted, asked about, waited for, signalled, paused, cancelled. " +
  "Whatever is refused has the body `Error`; docs/errors.md has its codes, docs/rest.md examples.";
const KEY = "One of the gateway's `api_keys`. Without any, REST is served to its own machine only.";
const JSON_OF = (name: string): object => ({
  "application/json": { schema: { $ref: `#/components/schemas/${name}` } },
});
const REFUSED = { description: "Refused; the error says why.", content: JSON_OF("Error") };
const TOKEN = { name: "token", in: "path", required: true, schema: { type: "string" } };
const CALL_ID = {
  ...{ name: "Idempotency-Key", in: "header", required: false, schema: { type: "string" } },
  description: "With the same one the call may be repeated.",
};
const CALLBACK: object = {
  post: {
    ...{ operationId: "answerWait", summary: "Answer the wait that this token belongs to, once" },
    ...{ tags: ["callbacks"], security: [], parameters: [TOKEN, CALL_ID] },
    requestBody: { content: { "application/json": { schema: {} } } },
    responses: {
      200: { description: "The wait has it.", content: JSON_OF("Receipt") },
      ...Object.fromEntries([400, 404, 409, 413, 429, 503].map((status) => [status, REFUSED])),
    },
  },
};

/** Has the routes that are added after it described. */
export async function describeRoutes(app: FastifyInstance): Promise<void> {
  for (const [name, schema] of Object.entries(SHARED)) {
    app.addSchema({ $id: name, ...schema });
  }
  await app.register(fastifySwagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        ...{ title: "Gavotte", version: "1", description: DESCRIPTION },
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      components: {
        securitySchemes: { key: { type: "http", scheme: "bearer", description: KEY } },
      },
      security: [{ key: [] }, {}],
      paths: { [`${CALLBACK_PATH}{token}`]: CALLBACK },
    },
    convertConstToEnum: false,
    refResolver: { buildLocalReference: ({ $id }) => String($id) },
  });
  // The schemas of answers are for who reads them: a member that they forget must not be lost.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
}

/** The document, once the app is ready. */
export function documentOf(app: FastifyInstance): object {
  return app.swagger();
}
