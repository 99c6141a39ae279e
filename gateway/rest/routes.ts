/**
 * The routes of REST: where they are, what they take and give. What they do is in runs.ts and
 * submissions.ts.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from "fastify";
import type { Json, SubmissionRequest } from "../../sdk/index.ts";
import { GavotteError, isTerminal, type ErrorCode } from "../../sdk/internal.ts";
import { readJson, readText } from "../body.ts";
import type { FileChecks } from "../file-checks.ts";
import { resultText, waitMsOf, type ListQuery, type Runs } from "./runs.ts";
import {
  answers,
  REASON_BODY,
  HEADERS,
  FILE,
  FILE_TYPES,
  JSON_FILE,
  NO_QUERY,
  LIST_QUERY,
  RUN_ID_PARAM,
  SIGNAL_BODY,
  SIGNAL_HEADERS,
  SIGNAL_PARAMS,
  SUBMISSION,
  SUBMIT_QUERY,
  WAIT_QUERY,
} from "./schemas.ts";
import { requestOf, type Submissions, type SubmitQuery } from "./submissions.ts";
import { compileValidator } from "./validate.ts";

export const REST_PATH = "/api/v1";
/** As a submission through the queue. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;
const TOO_LARGE: ErrorCode = "GV_BODY_TOO_LARGE";
const RETRY = { "retry-after": "1" };

export interface RestParts {
  runs: Runs;
  submissions: Submissions;
  checks: FileChecks;
}

interface OfRun {
  Params: { id: string };
}

type OfReason = OfRun & { Body: { reason?: string } | null };

/** Adds them, in a scope of its own. */
export function addRest(app: FastifyInstance, parts: RestParts): void {
  app.setValidatorCompiler(({ schema, httpPart }) => {
    return compileValidator(schema as object, httpPart ?? "body");
  });
  app.addContentTypeParser("application/json", async (request: FastifyRequest) =>
    readJson(request.raw, BODY_BYTES_MAX, TOO_LARGE),
  );
  const asText = async ({ raw }: FastifyRequest): Promise<string> =>
    readText(raw, BODY_BYTES_MAX, TOO_LARGE);
  void app.register((scope, _options, done) => {
    scope.addContentTypeParser(FILE_TYPES, asText);
    scope.addHook("preValidation", needBody);
    addSubmit(scope, parts);
    done();
  });
  void app.register((scope, _options, done) => {
    scope.removeContentTypeParser("application/json");
    scope.addContentTypeParser(["application/json", ...FILE_TYPES], asText);
    scope.addHook("preValidation", needBody);
    addValidate(scope, parts);
    done();
  });
  addQuestions(app, parts);
  addCancel(app, parts);
  addSignals(app, parts);
  addPauses(app, parts);
}

/** Where the schema of a body is told by its type, nothing is checked of a body that has none. */
const needBody = async ({ body }: FastifyRequest): Promise<void> => {
  if (body === undefined) {
    const message = "there is no body; send JSON, or a workflow's file as application/yaml";
    throw new GavotteError("GV_BAD_INPUT", message);
  }
};

const FILE_CONTENT: { [type: string]: { schema: object } } = Object.fromEntries(
  FILE_TYPES.map((type) => [type, { schema: FILE }]),
);
/** A submission, or the workflow's file: by the content-type. */
const SUBMIT_CONTENT = { "application/json": { schema: SUBMISSION }, ...FILE_CONTENT };
const CHECK_CONTENT = { "application/json": { schema: JSON_FILE }, ...FILE_CONTENT };

function addSubmit(app: FastifyInstance, { submissions }: RestParts): void {
  const schema = schemaOf("submitRun", "Submit a run", {
    body: { content: SUBMIT_CONTENT },
    querystring: SUBMIT_QUERY,
    headers: HEADERS,
    response: {
      201: answer("Its row is committed: the run will be executed.", "Accepted"),
      ...refusals(400, 404, 409, 413, 415, 422, 429, 503),
    },
  });
  type Body = {
    Body: SubmissionRequest | string;
    Querystring: SubmitQuery;
    Headers: { "idempotency-key"?: string };
  };
  app.post<Body>("/runs", { schema }, async ({ body, query, headers }, reply) => {
    const request = requestOf(body, query);
    const accepted = await submissions.accept(request, headers["idempotency-key"]);
    const location = `${REST_PATH}/runs/${accepted.run_id}`;
    return reply.code(201).header("location", location).send(accepted);
  });
}

function addValidate(app: FastifyInstance, { checks }: RestParts): void {
  const schema = schemaOf("validateWorkflow", "Check a workflow's file; nothing is started", {
    tags: ["workflows"],
    body: { content: CHECK_CONTENT },
    querystring: NO_QUERY,
    response: {
      200: answer("What is wrong with it, if anything.", "Validation"),
      ...refusals(400, 413, 415, 422, 429, 503),
    },
  } as FastifySchema);
  app.post<{ Body: string }>("/validate", { schema }, ({ body }, reply) =>
    checks.check(body, closing(reply)),
  );
}

function addQuestions(app: FastifyInstance, { runs }: RestParts): void {
  const list = schemaOf("listRuns", "List runs, newest first", {
    querystring: LIST_QUERY,
    response: { 200: answer("A page of runs.", "Runs"), ...refusals(400, 503) },
  });
  app.get<{ Querystring: ListQuery }>("/runs", { schema: list }, ({ query }) => runs.list(query));
  const report = schemaOf("getRun", "What a run has done so far", {
    params: RUN_ID_PARAM,
    response: { 200: answer("The run and its nodes.", "Run"), ...refusals(400, 404, 503) },
  });
  app.get<OfRun>("/runs/:id", { schema: report }, ({ params }) => runs.report(params.id));
  const result = schemaOf("getResult", "The output of a run, waited for", {
    params: RUN_ID_PARAM,
    querystring: WAIT_QUERY,
    response: {
      200: answer(
        "It has ended: its output, or its error if it failed or was cancelled.",
        "Result",
      ),
      202: answer("It has not ended; ask again.", "Accepted"),
      ...refusals(400, 404, 429, 503),
    },
  });
  type Wait = OfRun & { Querystring: { wait?: string } };
  app.get<Wait>("/runs/:id/result", { schema: result }, async ({ params, query }, reply) => {
    const row = await runs.result(params.id, waitMsOf(query.wait), closing(reply));
    if (!isTerminal(row.status)) {
      return reply.code(202).headers(RETRY).send({ run_id: row.id, status: row.status });
    }
    return reply.type("application/json; charset=utf-8").send(resultText(row));
  });
}

function addCancel(app: FastifyInstance, { runs }: RestParts): void {
  const schema = schemaOf("cancelRun", "Cancel a run", {
    params: RUN_ID_PARAM,
    body: REASON_BODY,
    response: {
      200: answer("Nothing of it begins any more.", "Accepted"),
      202: answer("Nor here, but the archive is behind: it is told later.", "Accepted"),
      ...refusals(400, 404, 409, 413, 415, 503),
    },
  });
  app.post<OfReason>("/runs/:id/cancel", { schema }, async ({ params, body }, reply) => {
    const told = await runs.cancel(params.id, body?.reason);
    return reply.code(isTerminal(told.status) ? 200 : 202).send(told);
  });
}

function addSignals(app: FastifyInstance, { runs }: RestParts): void {
  const schema = schemaOf("signalRun", "Send a signal to a run", {
    params: SIGNAL_PARAMS,
    headers: SIGNAL_HEADERS,
    body: SIGNAL_BODY,
    response: {
      200: answer("The run has it.", "SignalReceipt"),
      ...refusals(400, 404, 409, 413, 415, 429, 503),
    },
  });
  type Signal = {
    Params: { id: string; name: string };
    Headers: { "idempotency-key"?: string };
    Body: Json | undefined;
  };
  app.post<Signal>("/runs/:id/signals/:name", { schema }, ({ params, headers, body = null }) =>
    runs.signal(params.id, params.name, body, headers["idempotency-key"]),
  );
}

function addPauses(app: FastifyInstance, { runs }: RestParts): void {
  const add = (verb: "pause" | "resume", summary: string, done: string): void => {
    const schema = schemaOf(`${verb}Run`, summary, {
      params: RUN_ID_PARAM,
      body: REASON_BODY,
      response: { 200: answer(done, "Paused"), ...refusals(400, 404, 409, 413, 415, 503) },
    });
    app.post<OfReason>(`/runs/:id/${verb}`, { schema }, ({ params, body }) =>
      runs.pause(params.id, verb === "pause", body?.reason),
    );
  };
  add("pause", "Pause a run", "No node of it begins until it is resumed.");
  add("resume", "Resume a paused run", "It goes on.");
}

function schemaOf(operationId: string, summary: string, more: FastifySchema): FastifySchema {
  return { operationId, summary, tags: ["runs"], ...more } as FastifySchema;
}

function answer(description: string, name: string): object {
  return { description, ...answers(name) };
}

function refusals(...statuses: number[]): { [status: string]: object } {
  const one = answer("Refused; the error says why.", "Error");
  const all = [401, 403, ...statuses]; // of whoever may not call
  return Object.fromEntries(all.map((status) => [status, one]));
}

/** Aborted when whoever asked is gone. */
function closing(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort());
  return gone.signal;
}
