import { uuidv7 } from "uuidv7";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startEngine, type Engine } from "../test/harness/engine.ts";
import { testDatabase, testRedis, waitFor } from "../test/support/index.ts";
import { createClient, type Client } from "./client.ts";
import type { GavotteError } from "./errors.ts";
import type { JsonObject } from "./define-function.ts";
import { defineWorkflow } from "./define-workflow.ts";
import { globalKeys } from "./keys.ts";

let engine: Engine;
let client: Client;

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker();
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const call = (function_name: string, params?: JsonObject): JsonObject => {
  const config = params === undefined ? { function_name } : { function_name, params };
  return { name: "one", nodes: [{ id: "a", type: "function", config }] };
};
const BY = { by: "ann" };
const parked = call("nobody.has.this");
const waiting = { name: "w", nodes: [{ id: "w", type: "wait", config: { signal: "go" } }] };

describe("submit", () => {
  it("resolves with the run's id once it is stored, also for many at once", async () => {
    const ids = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        client.submit({ workflow: call("builtin.add", { a: n, b: 1 }) }),
      ),
    );
    expect(new Set(ids).size).toBe(50);
    const rows = await Promise.all(ids.map((id) => client.ended(id, { timeoutMs: 20_000 })));
    expect(rows.map(({ output }) => output)).toEqual(ids.map((_, n) => `{"sum":${n + 1}}`));
  });

  it("takes a workflow written in TypeScript, and its end is told as data", async () => {
    const workflow = defineWorkflow({
      name: "typed",
      nodes: [
        {
          id: "a",
          type: "function",
          config: { function_name: "builtin.add", params: { a: 1, b: 2 } },
        },
      ],
    });
    const runId = await client.submit({ workflow });
    expect(await client.wait(runId, { timeoutMs: 20_000 })).toMatchObject({
      ...{ run_id: runId, workflow: "typed", status: "COMPLETED", output: { sum: 3 } },
    });
  });

  it("takes nothing that JSON would lose, nor do signals, decisions and what is done by hand", async () => {
    const lost = { sum: [1, Number.NaN] };
    const given = client.submit({ workflow: parked, input: lost });
    await expect(given).rejects.toMatchObject({
      code: "GV_BAD_INPUT",
      message: expect.stringContaining("at /input/sum/1: JSON has none") as string,
    });
    const runId = await client.submit({ workflow: waiting });
    const refused = {
      code: "GV_BAD_INPUT",
      message: expect.stringContaining("invalid date at") as string,
    };
    await expect(client.signal(runId, "go", lost)).rejects.toMatchObject(refused);
    const { token } = await waitFor(
      async () => (await client.status(runId)).nodes["w"]?.wait ?? null,
    );
    await expect(client.callback(token ?? "", lost)).rejects.toMatchObject(refused);
    const order = { ...BY, action: "complete" as const, output: lost };
    await expect(client.operations.intervene(runId, "w", order)).rejects.toMatchObject(refused);
    await client.signal(runId, "go", { sum: null });
    expect(await engine.ended(runId)).toMatchObject({ output: '{"sum":null}' });
  });

  it("throws what the answer says", async () => {
    await expect(client.submit({ workflow: { name: "x", nodes: 3 } })).rejects.toMatchObject({
      code: "GV_WORKFLOW_INVALID",
    });
    await expect(client.submit({ workflow_ref: "unheard" })).rejects.toMatchObject({
      code: "GV_WORKFLOW_NOT_FOUND",
    });
    const input_schema = { properties: { order: { type: "string" } }, required: ["order"] };
    const strict = { name: "strict", nodes: [{ id: "a", type: "pass" }], input_schema };
    const misfit = client.submit({ workflow: strict, input: { order: 1 } } as never);
    await expect(misfit).rejects.toMatchObject({
      message: "the submission was rejected: GV_BAD_INPUT: input/order must be string",
    });
  });

  it("that was aborted before adds nothing", async () => {
    const before = await engine.redis.xinfo("STREAM", globalKeys.submissions);
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(client.submit({ workflow: parked }, { signal })).rejects.toThrow("enough");
    const after = await engine.redis.xinfo("STREAM", globalKeys.submissions);
    expect(addedTo(after)).toBe(addedTo(before));
  });
});

describe("a submission that nobody answers", () => {
  it("names its run if that is certain, else says how to hear of it, and what may be away", async () => {
    const other = await testRedis();
    const redisUrl = other.url;
    const alone = await createClient({ redisUrl, database: engine.db, submitTimeoutMs: 1000 });
    const told = async (request: object): Promise<GavotteError> =>
      alone.submit({ workflow: parked, ...request }).then(
        () => expect.unreachable(),
        (error: unknown) => error as GavotteError,
      );
    const run_id = uuidv7();
    const key = { idempotency_key: "k" };
    const all = [told({}), told(key), told({ ...key, run_id })] as const;
    const [plain, keyed, named] = await Promise.all(all);
    expect(plain).toMatchObject({ code: "GV_INTAKE_UNAVAILABLE" });
    expect(plain.message).toMatch(
      /none runs, one has just died, or Postgres is away \("gavotte doctor" says which\)/,
    );
    expect(plain.message).toContain((plain.details as { run_id: string }).run_id);
    expect(keyed.details).not.toHaveProperty("run_id");
    expect(keyed.message).toContain("submit it again with the same idempotency key");
    expect(keyed.message).not.toMatch(/becomes run [0-9a-f]/);
    expect(named).toMatchObject({ details: { run_id } });
    await alone.close();
    await other.close();
  });
});

describe("a client that was closed", () => {
  const closed = { name: "GavotteError", code: "GV_CLIENT_CLOSED" };

  it("says so, and ends what waits", async () => {
    const { redisUrl, db: database } = engine;
    const other = await createClient({ redisUrl, database });
    const runId = await other.submit({ workflow: waiting });
    const waits = other.wait(runId);
    waits.catch(() => undefined); // looked at later
    await other.close();
    const ofRun = { ...closed, details: { run_id: runId } };
    await expect(waits).rejects.toMatchObject(ofRun);
    await expect(other.wait(runId)).rejects.toMatchObject(ofRun);
    await expect(other.status(runId)).rejects.toMatchObject(ofRun);
    await expect(other.cancel(runId)).rejects.toMatchObject(ofRun);
    await expect(other.signal(runId, "go")).rejects.toMatchObject(ofRun);
    await expect(other.submit({ workflow: waiting })).rejects.toMatchObject(closed);
    const calls = [
      () => other.operations.pause(runId, BY),
      () => other.operations.pauses(),
      () => other.operations.audit({ limit: 1 }),
      () => other.dispatch.stop(),
      () => other.dispatch.stopped(),
      () => other.circuits.list(),
      () => other.circuits.open("bank", BY),
      () => other.letters.read("no-such"),
      () => other.letters.retry("no-such", BY),
      () => other.deadLetter("no-such"),
      () => other.view(runId),
      () => other.path(runId),
      () => other.irOf("no-such"),
    ];
    for (const call of calls) {
      await expect(call(), String(call)).rejects.toMatchObject(closed);
    }
    await other.close();
    await client.cancel(runId);
  });

  it("says so to who waits for the answer to a submission, and what becomes of that", async () => {
    const server = await testRedis(); // which no supervisor reads
    const other = await createClient({ redisUrl: server.url, database: engine.db });
    const run_id = uuidv7();
    const told = other.submit({ workflow: waiting, run_id }).catch((error: unknown) => error);
    const redis = server.connect();
    await waitFor(async () => (await redis.xlen(globalKeys.submissions)) === 1);
    await other.close();
    expect(await told).toMatchObject({
      ...closed,
      cause: { message: expect.stringContaining(`becomes run ${run_id} later`) as string },
    });
    await server.close();
  });
});

describe("a run", () => {
  it("that nobody knows is told as such", async () => {
    for (const ask of ["status", "wait", "cancel"] as const) {
      await expect(client[ask]("x")).rejects.toMatchObject({ code: "GV_RUN_NOT_FOUND" });
    }
  });

  it("is waited for no longer than asked", async () => {
    const runId = await client.submit({ workflow: parked });
    for (const ask of ["ended", "wait"] as const) {
      await expect(client[ask](runId, { timeoutMs: 50 })).rejects.toMatchObject({
        ...{ name: "GavotteError", code: "GV_AWAIT_TIMED_OUT", details: { run_id: runId } },
        message: expect.stringContaining(`run ${runId} has not ended within 50 ms`) as string,
      });
    }
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(client.ended(runId, { signal })).rejects.toThrow("enough");
    await client.cancel(runId);
  });

  it("is cancelled once, with the reason, and not after it has ended", async () => {
    const runId = await client.submit({ workflow: parked });
    await client.cancel(runId, "no longer wanted");
    expect((await client.ended(runId, { timeoutMs: 20_000 })).status).toBe("CANCELLED");
    await client.cancel(runId);
    expect(await client.status(runId)).toMatchObject({
      status: "CANCELLED",
      error: { code: "CANCELLED", message: "no longer wanted" },
      nodes: { a: { status: "cancelled" } },
    });
    const done = await client.submit({ workflow: call("builtin.echo") });
    await client.ended(done, { timeoutMs: 20_000 });
    await expect(client.cancel(done)).rejects.toMatchObject({ code: "GV_RUN_ENDED" });
  });

  it("is followed from its beginning to its end, each transition once", async () => {
    const runId = await client.submit({ workflow: call("builtin.echo") });
    const events: string[] = [];
    let status = "";
    for await (const { row, transitions } of client.follow(runId, { timeoutMs: 20_000 })) {
      transitions.forEach(({ transition }) => events.push(transition.e));
      status = row.status;
    }
    expect(events).toEqual(["run.started", "node.completed", "run.completed"]);
    expect(status).toBe("COMPLETED");
  });

  it("is followed from where one knows it", async () => {
    const runId = await client.submit({ workflow: call("builtin.echo") });
    const places = async (after?: string): Promise<string[]> => {
      const heard: string[] = [];
      const options = { timeoutMs: 20_000, ...(after === undefined ? {} : { after }) };
      for await (const { transitions } of client.follow(runId, options)) {
        heard.push(...transitions.map(({ position }) => position));
      }
      return heard;
    };
    const all = await places();
    for (const [index, position] of all.entries()) {
      expect(await places(position)).toEqual(all.slice(index + 1));
    }
  });
});

describe("a dead letter", () => {
  it("of a submission is submitted again, however large it is, and marked", async () => {
    const text = "x".repeat(100_000);
    const bad = { workflow_ref: "later", input: { text } };
    await expect(client.submit(bad)).rejects.toMatchObject({ code: "GV_WORKFLOW_NOT_FOUND" });
    const [letter] = await client.deadLetters({ state: "open", limit: 1 });
    const id = letter?.id ?? "";
    await client.submit({ workflow: { ...call("builtin.echo"), name: "later" } });
    const { runId, kind } = await client.letters.retry(id, BY);
    expect(kind).toBe("submission");
    const { output } = await client.ended(runId ?? "", { timeoutMs: 20_000 });
    expect(JSON.parse(output ?? "")).toEqual({ text });
    expect(await client.deadLetter(id)).toMatchObject({
      ...{ state: "retried", outcome: `submitted again as run ${runId}` },
    });
    await expect(client.letters.drop(id, BY)).rejects.toMatchObject({
      code: "GV_DEAD_LETTER_NOT_FOUND",
    });
  });

  it("of a submission that is refused again gives way to the one that says so", async () => {
    const fits = { code: "GV_WORKFLOW_NOT_FOUND", limit: 50 };
    const open = async (): Promise<string[]> =>
      (await client.deadLetters({ ...fits, state: "open" })).map(({ id }) => id);
    await client.letters.dropAll(fits, BY); // what tests before this one have left
    const key = { idempotency_key: "order-1" };
    const submissions = [{ workflow_ref: "missing" }, { workflow_ref: "missing", ...key }];
    for (const bad of submissions) {
      await expect(client.submit(bad)).rejects.toMatchObject({ code: "GV_WORKFLOW_NOT_FOUND" });
    }
    const first = await open();
    expect(first).toHaveLength(2);
    const settled = await client.letters.retryAll(fits, BY);
    const second = await open();
    expect(second).toHaveLength(2);
    expect(settled.map(({ error }) => error?.code)).toEqual(
      second.map(() => "GV_WORKFLOW_NOT_FOUND"),
    );
    for (const { id, outcome } of settled) {
      expect(first).toContain(id);
      const [said, now] = /^refused again: see dead letter (.*)$/.exec(outcome) ?? [];
      expect(second).toContain(now);
      expect(await client.deadLetter(id)).toMatchObject({ state: "retried", outcome: said });
    }

    const [id = ""] = second;
    await expect(client.letters.retry(id, BY, { input: 5 })).rejects.toMatchObject({
      code: "GV_WORKFLOW_NOT_FOUND",
    });
    await client.submit({ workflow: { ...call("builtin.echo"), name: "missing" } });
    const again = await client.letters.retryAll(fits, BY);
    const outputs = again.map(async ({ runId }) => {
      return (await client.ended(runId ?? "", { timeoutMs: 20_000 })).output;
    });
    expect((await Promise.all(outputs)).sort()).toEqual(["5", "null"]); // with the edited input
    expect(await open()).toEqual([]);
  });

  it("of a step is retried in its run, with another input if one is given", async () => {
    const workflow = call("builtin.fail", { code: "BAD_LUCK" });
    const first = await client.submit({ workflow, input: { n: 2 } });
    expect((await client.ended(first, { timeoutMs: 20_000 })).status).toBe("FAILED");
    const [letter] = await client.deadLetters({ runId: first, limit: 10 });
    expect(letter).toMatchObject({ kind: "token", node: "a", attempts: 1, state: "open" });
    const edit = { input: { n: 3 } };
    const settled = await client.letters.retry(letter?.id ?? "", BY, edit);
    expect(settled).toMatchObject({ runId: first, outcome: "run again in attempt 2 of its run" });
    expect(await client.ended(first, { timeoutMs: 20_000 })).toMatchObject({
      ...{ status: "FAILED", attempt: 2 },
    });
    const [again, before] = await client.deadLetters({ runId: first, limit: 10 });
    expect(again).toMatchObject({ state: "open" });
    expect(before).toMatchObject({ id: letter?.id, state: "retried", outcome: settled.outcome });
  });

  it("is found by workflow, node and code; all that fit are retried or dropped", async () => {
    const workflow = { ...call("builtin.fail", { code: "BULK" }), name: "bulk" };
    const runs = await Promise.all([1, 2, 3].map(() => client.submit({ workflow })));
    for (const run of runs) {
      await client.ended(run, { timeoutMs: 20_000 });
    }
    const fits = { workflow: "bulk", node: "a", code: "BULK", limit: 10 };
    const open = { ...fits, state: "open" } as const;
    expect(await client.deadLetters(open)).toHaveLength(3);
    expect(await client.deadLetters({ ...open, code: "OTHER" })).toEqual([]);
    expect(await client.deadLetters({ ...open, workflow: "other" })).toEqual([]);
    const retried = await client.letters.retryAll({ ...fits, limit: 2 }, BY);
    expect(retried.map(({ error }) => error)).toEqual([undefined, undefined]);
    for (const run of runs) {
      await client.ended(run, { timeoutMs: 20_000 });
    }
    expect(await client.deadLetters({ ...fits, state: "retried" })).toHaveLength(2);
    expect(await client.letters.dropAll(fits, { by: "ann", why: "old" })).toHaveLength(3);
    expect(await client.deadLetters(open)).toEqual([]);
    const [dropped] = await client.deadLetters({ ...fits, state: "dropped" });
    expect(dropped).toMatchObject({ outcome: "dropped by ann: old" });
  });

  it("that nobody knows is told as such", async () => {
    await expect(client.deadLetter("x")).rejects.toMatchObject({
      code: "GV_DEAD_LETTER_NOT_FOUND",
    });
  });
});

describe("a client", () => {
  it("says where Redis cannot be reached, without its password", async () => {
    const redisUrl = "redis://user:secret@127.0.0.1:1";
    const unreachable = createClient({ redisUrl, database: engine.db, connectTimeoutMs: 300 });
    await expect(unreachable).rejects.toMatchObject({
      code: "GV_REDIS_UNAVAILABLE",
      message: expect.not.stringContaining("secret"),
    });
  });
});

function addedTo(info: unknown): unknown {
  const list = info as unknown[];
  return list[list.indexOf("entries-added") + 1];
}

describe("a deployment", () => {
  it("that no supervisor has begun is told as such, also before its database is migrated", async () => {
    const [own, database] = [await testRedis(), await testDatabase({ migrated: false })];
    const early = await createClient({ redisUrl: own.url, database: database.connect() });
    await expect(early.deployment()).rejects.toMatchObject({ code: "GV_INTAKE_UNAVAILABLE" });
    await early.close();
    await Promise.all([own.close(), database.close()]);
  });
});
