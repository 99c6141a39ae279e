/**
 * S01, S03, S04: the gateway against its OpenAPI document. Every operation of the document has cases
 * here, each answer has a status that the document knows and a body as its schema says, and what is
 * refused has the one body of all.
 */
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectPostgres } from "../../sdk/postgres/index.ts";
import { startEngine, type Engine } from "../../test/harness/engine.ts";
import { testRedis, waitFor } from "../../test/support/index.ts";
import { createGateway, type Gateway } from "../index.ts";

interface Operation {
  operationId: string;
  summary?: string;
  parameters?: { name: string; in: string; required?: boolean }[];
  responses: { [status: string]: { content?: { "application/json"?: { schema: object } } } };
}
interface Document {
  openapi: string;
  paths: { [path: string]: { [method: string]: Operation } };
}
/** One call: which answer is expected, and what it is called with. */
interface Case {
  expect: number;
  /** Names in the path. */
  at?: { [name: string]: string | (() => string | Promise<string>) };
  query?: string;
  body?: unknown;
  type?: string;
  key?: string | null;
  on?: "open" | "alone";
}

const KEY = "key-of-the-contract";
const document = JSON.parse(
  readFileSync(new URL("../../schemas/openapi.json", import.meta.url), "utf8"),
) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);
const logger = pino({ level: "silent" });
let engine: Engine;
let redis: Awaited<ReturnType<typeof testRedis>>;
let keyed: Gateway;
/** One without keys that others could reach, one that nobody answers. */
let open: Gateway;
let alone: Gateway;

const echo = {
  metadata: { name: "echo", version: "1.0.0" },
  nodes: [{ id: "a", type: "function", config: { function_name: "builtin.echo" } }],
};
const waits = { name: "waits", nodes: [{ id: "w", type: "wait", config: { signal: "s" } }] };

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker();
  const at = { port: 0, redisUrl: engine.redisUrl, db: engine.db, partitions: 1, logger };
  keyed = createGateway({ ...at, host: "127.0.0.1", apiKeys: [KEY] });
  open = createGateway({ ...at, host: "0.0.0.0" });
  // Nobody takes in what comes to this Redis, and at the other's port nobody listens.
  redis = await testRedis();
  const db = connectPostgres({ url: "postgres://nobody@127.0.0.1:1/none", name: "away" });
  const there = { host: "127.0.0.1", redisUrl: redis.url, db, submitTimeoutMs: 200 };
  alone = createGateway({ ...at, ...there, apiKeys: [KEY] });
  await Promise.all([keyed.start(), open.start(), alone.start()]);
});
afterAll(async () => {
  await Promise.all([keyed.stop(1000), open.stop(1000), alone.stop(1000)]);
  await Promise.all([engine.stop(), redis.close()]);
});

const submitted = (workflow: object) => (): Promise<string> => engine.submit({ workflow });
const done = async (): Promise<string> => {
  const id = await engine.submit({ workflow: echo, input: { n: 1 } });
  await engine.ended(id);
  return id;
};
const failed = async (): Promise<string> => {
  const config = { expression: "1 / 0" };
  const nodes = [{ id: "t", type: "transform", config }];
  const id = await engine.submit({ workflow: { name: "fails", nodes } });
  await engine.ended(id);
  return id;
};
/** A run that waits, and its callback token. */
const waiting = async (): Promise<{ id: string; token: string }> => {
  const id = await engine.submit({ workflow: waits });
  const headers = { authorization: `Bearer ${KEY}` };
  const told = await waitFor(async () => {
    const response = await fetch(`${keyed.url()}/api/v1/runs/${id}`, { headers });
    const run = (await response.json()) as { nodes: { w: { wait?: { token: string } } } };
    return run.nodes.w.wait?.token;
  });
  return { id, token: told };
};
const token = async (): Promise<string> => (await waiting()).token;
const begun = async (): Promise<string> => (await waiting()).id;
/** A run that waits for one thing and will wait for another, and has kept as much of that as it may. */
const full = async (): Promise<string> => {
  const late = { id: "v", type: "wait", config: { signal: "late" } };
  const edges = [{ from: "w", to: "v" }];
  const id = await engine.submit({ workflow: { ...waits, nodes: [...waits.nodes, late], edges } });
  const headers = { authorization: `Bearer ${KEY}` };
  const url = `${keyed.url()}/api/v1/runs/${id}/signals/late`;
  while ((await fetch(url, { method: "POST", headers })).status === 200);
  return id;
};
const paused = async (): Promise<string> => {
  const { id } = await waiting();
  const headers = { authorization: `Bearer ${KEY}` };
  await fetch(`${keyed.url()}/api/v1/runs/${id}/pause`, { method: "POST", headers });
  return id;
};
const usedToken = async (): Promise<string> => {
  const used = await token();
  await fetch(`${keyed.url()}/api/v1/callbacks/${used}`, { method: "POST" });
  return used;
};

/** JSON as it is read, and not written again. */
const DEEP = "[".repeat(100_000) + "]".repeat(100_000);
const NOBODY = { id: "nobody" };
const REFUSED: Case[] = [
  { expect: 401, key: null },
  { expect: 401, key: "wrong" },
  { expect: 403, key: null, on: "open" },
];
const refusedAt = (id: string): Case[] => REFUSED.map((one) => ({ ...one, at: { id } }));
/** Whatever is done to a run with a reason. */
const STEERED: Case[] = [
  { expect: 400, at: NOBODY, body: { reson: "enough" } },
  { expect: 404, at: NOBODY },
  { expect: 409, at: { id: done } },
  { expect: 413, at: NOBODY, body: "x".repeat(4 * 1024 * 1024 + 1) },
  { expect: 415, at: NOBODY, body: {}, type: "application/xml" },
  { expect: 503, at: NOBODY, on: "alone" },
];
const CASES: { [operationId: string]: Case[] } = {
  submitRun: [
    ...REFUSED.map((one) => ({ ...one, body: { workflow: echo } })),
    { expect: 201, body: { workflow: echo, input: [1], priority: "high", tenant: "shop" } },
    { expect: 201, body: { workflow: echo, idempotency_key: "contract" } },
    { expect: 409, body: { workflow: echo, idempotency_key: "contract", input: 2 } },
    { expect: 400, body: {} },
    { expect: 400 },
    { expect: 404, body: { workflow_ref: "nobody" } },
    { expect: 413, body: "x".repeat(4 * 1024 * 1024 + 1) },
    { expect: 415, body: { workflow: echo }, type: "text/plain" },
    { expect: 422, body: { workflow: { name: "bad", nodes: [{ id: "a", type: "what" }] } } },
    { expect: 503, body: { workflow: echo, idempotency_key: "none" }, on: "alone" },
  ],
  validateWorkflow: [
    ...REFUSED.map((one) => ({ ...one, body: echo })),
    { expect: 200, body: echo },
    {
      expect: 200,
      body: `name: 1\nnodes: [{id: a, typ: wait}, {id: a}]`,
      type: "application/yaml",
    },
    { expect: 200, body: echo, on: "alone" },
    { expect: 400 },
    { expect: 400, body: echo, query: "strict=true" },
    { expect: 413, body: "x".repeat(4 * 1024 * 1024 + 1) },
    { expect: 415, body: echo, type: "text/plain" },
  ],
  listRuns: [
    ...REFUSED,
    { expect: 200 },
    { expect: 200, query: "status=COMPLETED&workflow=echo&tenant=shop&limit=1" },
    { expect: 400, query: "limit=many" },
    { expect: 503, on: "alone" },
  ],
  getRun: [
    ...refusedAt("x"),
    { expect: 200, at: { id: done } },
    { expect: 200, at: { id: failed } },
    { expect: 200, at: { id: submitted(waits) } },
    { expect: 400, at: { id: "%00" } },
    { expect: 404, at: NOBODY },
    { expect: 503, at: NOBODY, on: "alone" },
  ],
  getResult: [
    ...refusedAt("x"),
    { expect: 200, at: { id: done }, query: "wait=30s" },
    { expect: 200, at: { id: failed } },
    { expect: 202, at: { id: submitted(waits) }, query: "wait=1ms" },
    { expect: 400, at: NOBODY, query: "wait=-1" },
    { expect: 404, at: NOBODY },
    { expect: 503, at: NOBODY, on: "alone" },
  ],
  cancelRun: [
    ...refusedAt("x"),
    { expect: 200, at: { id: submitted(waits) }, body: { reason: "enough" } },
    { expect: 200, at: { id: submitted(waits) } },
    ...STEERED,
  ],
  signalRun: [
    ...refusedAt("x").map((one) => ({ ...one, at: { id: "x", name: "s" } })),
    { expect: 200, at: { id: submitted(waits), name: "s" }, body: { paid: true } },
    { expect: 200, at: { id: submitted(waits), name: "s" } },
    { expect: 400, at: { id: "nobody", name: "s" }, body: "{" },
    { expect: 400, at: { id: begun, name: "s" }, body: DEEP },
    { expect: 404, at: { id: "nobody", name: "s" } },
    { expect: 404, at: { id: submitted(waits), name: "nothing" } },
    { expect: 409, at: { id: done, name: "s" } },
    { expect: 413, at: { id: submitted(waits), name: "s" }, body: ["x".repeat(100_000)] },
    { expect: 413, at: { id: "nobody", name: "s" }, body: "x".repeat(4 * 1024 * 1024 + 1) },
    { expect: 415, at: { id: "nobody", name: "s" }, body: {}, type: "text/plain" },
    { expect: 429, at: { id: full, name: "late" } },
    { expect: 503, at: { id: "nobody", name: "s" }, on: "alone" },
  ],
  pauseRun: [
    ...refusedAt("x"),
    { expect: 200, at: { id: begun }, body: { reason: "a closer look" } },
    { expect: 200, at: { id: paused } },
    ...STEERED,
  ],
  resumeRun: [
    ...refusedAt("x"),
    { expect: 200, at: { id: paused }, body: { reason: "looked at" } },
    { expect: 409, at: { id: begun } },
    ...STEERED,
  ],
  answerWait: [
    { expect: 200, at: { token }, body: { paid: true }, key: null },
    { expect: 400, at: { token: "nobody" }, body: "{" },
    { expect: 400, at: { token }, body: DEEP },
    { expect: 404, at: { token: "nobody" }, body: {} },
    { expect: 409, at: { token: usedToken }, body: {} },
    { expect: 413, at: { token: "nobody" }, body: "x".repeat(300_000) },
    { expect: 503, at: { token }, body: {}, on: "alone" },
  ],
  getHealth: [{ expect: 200, key: null }],
  getReadiness: [
    { expect: 200, key: null },
    { expect: 503, on: "alone" },
  ],
};
/** What a case cannot make happen here; each has a test of its own. */
const ELSEWHERE: { [operationId: string]: number[] } = {
  submitRun: [429], // away.test.ts
  validateWorkflow: [422, 429, 503], // file-checks.test.ts
  getResult: [429],
  answerWait: [429], // strangers.test.ts
  cancelRun: [202], // away.test.ts
};

const ajv = addFormats.default(
  new Ajv2020({ strict: false, allErrors: true }).addSchema({ ...document, $id: "api" }),
);

/** What is wrong with an answer; "" for nothing. `at`: where its schema is in the document. */
function misfit(at: readonly string[], body: unknown): string {
  const pointer = at.map((part) => part.replaceAll("~", "~0").replaceAll("/", "~1"));
  const check = ajv.compile({ $ref: `api#/${pointer.map(encodeURIComponent).join("/")}` });
  return check(body) ? "" : ajv.errorsText(check.errors);
}

async function call(method: string, path: string, one: Case): Promise<[Response, unknown]> {
  let url = path;
  for (const [name, value] of Object.entries(one.at ?? {})) {
    url = url.replace(`{${name}}`, typeof value === "string" ? value : await value());
  }
  const gateway = { open, alone }[one.on as "open"] ?? keyed;
  const { key = KEY, body, type = "application/json", query = "" } = one;
  const headers = {
    ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    ...(body === undefined ? {} : { "content-type": type }),
  };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${gateway.url().replace("0.0.0.0", "127.0.0.1")}${url}?${query}`, {
    ...{ method: method.toUpperCase(), headers },
    ...(body === undefined ? {} : { body: text }),
  });
  return [response, await response.json()];
}

describe("S03: the OpenAPI document", () => {
  it("is served as it is in the repository", async () => {
    const response = await fetch(`${keyed.url()}/api/v1/openapi.json`);
    expect(response.headers.get("content-type")).toContain("application/json");
    expect(await response.json()).toEqual(document);
  });

  it("is of OpenAPI 3.1, names each operation once, and declares what is in its paths", () => {
    expect(document.openapi).toMatch(/^3\.1\./);
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { path, operation } of operations) {
      expect(operation.summary, path).toBeTruthy();
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = (operation.parameters ?? []).filter((one) => one.in === "path");
      expect(declared.map(({ name, required }) => (required === true ? name : ""))).toEqual(named);
    }
  });

  it("refers to nothing that it does not have, and every schema compiles", () => {
    for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      expect(() => misfit(["components", "schemas", name ?? ""], null)).not.toThrow();
    }
  });
});

describe("S01: what the document says", () => {
  it("has a case for each operation, and for each status of it", () => {
    expect(Object.keys(CASES).sort()).toEqual(
      operations.map(({ operation }) => operation.operationId).sort(),
    );
    for (const { operation } of operations) {
      const { operationId, responses } = operation;
      const met = [...(CASES[operationId] ?? []).map((one) => one.expect)];
      const all = new Set([...met, ...(ELSEWHERE[operationId] ?? [])].map(String));
      expect([...all].sort(), operationId).toEqual(Object.keys(responses).sort());
    }
  });

  const all = operations.flatMap(({ path, method, operation }) =>
    (CASES[operation.operationId] ?? []).map(
      (one) => [operation.operationId, one.expect, { path, method, operation, one }] as const,
    ),
  );
  it.each(all)("%s: %i", async (_, expected, { path, method, one }) => {
    const [response, body] = await call(method, path, one);
    expect(response.status, JSON.stringify(body).slice(0, 300)).toBe(expected);
    const answer = ["paths", path, method, "responses", String(expected)];
    expect(misfit([...answer, "content", "application/json", "schema"], body)).toBe("");
    if (expected >= 400 && !path.endsWith("z")) {
      expect(misfit(["components", "schemas", "Error"], body)).toBe(""); // S04
    }
    if (expected === 503 && !path.endsWith("z")) {
      expect(response.headers.get("retry-after")).toBe("1");
    }
  });
});
