/**
 * Limits of whole runs (settings.concurrency, settings.rate_limit, places of tenants), with three
 * supervisors that take submissions at one time, and runs of one key in different partitions.
 */
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../compiler/ir.ts";
import { createClient, type Client } from "../sdk/index.ts";
import { defineFunction } from "../sdk/define-function.ts";
import { connectionAt, globalKeys, partitionKeys } from "../sdk/internal.ts";
import { claimPlace, listDeadLetters, readRun, type RunRow } from "../sdk/postgres/index.ts";
import { createSupervisor, whyRun, type Supervisor } from "../supervisor/index.ts";
import { FunctionRegistry } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { emptyRedis, waitFor } from "./support/index.ts";

const PARTITIONS = 4;
/** Round trips for which a run holds its place: another that is let in meanwhile is seen beside it. */
const TRIPS = 20;
const logger = pino({ level: process.env["GAVOTTE_TEST_LOG"] ?? "silent" });
let engine: Engine;
let client: Client;
const others: Supervisor[] = [];

/** What of a key executes now, and the most that ever did; what began, in order. */
const active = new Map<string, number>();
const most = new Map<string, number>();
const begun = new Map<string, Json[]>();
const gates = new Map<string, Promise<void>>();

async function another(): Promise<Supervisor> {
  const { redisUrl, db } = engine;
  const supervisor = createSupervisor({ redisUrl, database: db, logger, tenantRunsMax: 3 });
  await supervisor.start();
  others.push(supervisor);
  return supervisor;
}

beforeAll(async () => {
  engine = await startEngine({ partitions: PARTITIONS, tenantRunsMax: 3 });
  const track = defineFunction<{ key: string; name: Json }>(
    "track",
    async ({ params: { key, name } }) => {
      const now = (active.get(key) ?? 0) + 1;
      active.set(key, now);
      most.set(key, Math.max(most.get(key) ?? 0, now));
      begun.set(key, [...(begun.get(key) ?? []), name]);
      for (let trip = 0; trip < TRIPS; trip++) {
        await engine.redis.ping();
      }
      await gates.get(key);
      active.set(key, (active.get(key) ?? 0) - 1);
      if (name === "fails") {
        throw Object.assign(new Error("as it was told"), { code: "TOLD" });
      }
      return name;
    },
  );
  await engine.worker({ registry: new FunctionRegistry([track]) });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
  await another();
  await another();
});
afterAll(async () => {
  await client.close();
  await Promise.all(others.map((one) => one.stop(5000)));
  await engine.stop();
});

function workflow(settings: object, name = "tracked"): { [key: string]: Json } {
  const params = { key: "${input.key}", name: "${input.name}" };
  const node = { id: "a", type: "function", config: { function_name: "track", params } };
  return { name, nodes: [node], edges: [], settings } as never;
}

interface Refusal {
  errors: { code: string }[];
}

interface Wish {
  settings: object;
  key: string;
  name?: Json;
  priority?: "high" | "normal" | "low";
  tenant?: string;
  idempotencyKey?: string;
}

function submit(wish: Wish): Promise<string> {
  const { settings, key, name = 0, priority, tenant, idempotencyKey } = wish;
  return client.submit({
    workflow: workflow(settings),
    input: { key, name },
    ...(priority ? { priority } : {}),
    ...(tenant ? { tenant } : {}),
    ...(idempotencyKey ? { idempotency_key: idempotencyKey } : {}),
  });
}

/** Runs of this key stay where they are until the returned function is called. */
function hold(key: string): () => void {
  let open = (): void => undefined;
  gates.set(key, new Promise<void>((resolve) => (open = resolve)));
  return () => open();
}

const ended = (id: string, timeoutMs = 30_000): Promise<RunRow> => client.ended(id, { timeoutMs });
const begins = (key: string, count: number): Promise<boolean> =>
  waitFor(() => Promise.resolve((begun.get(key) ?? []).length >= count), {
    describe: `${count} of ${key} begin`,
  });

async function reasonsOf(runId: string): Promise<{ kind: string; text: string }[]> {
  const { redis, db } = engine;
  const deployment = await client.deployment();
  const explained = await whyRun({ redis, db, deployment, runId, irOf: (h) => client.irOf(h) });
  return explained?.reasons ?? [];
}

const queue = (limit: number): object => ({
  concurrency: { key: "${input.key}", limit, on_conflict: "queue" },
});

describe("settings.concurrency: queue", () => {
  it("holds exactly, though three supervisors accept at one time and partitions differ", async () => {
    const keys = ["k1", "k2"];
    const wishes = Array.from({ length: 60 }, (_, i) => ({
      ...{ settings: queue(2), key: keys[i % 2] as string, name: i },
    }));
    const ids = await Promise.all(wishes.map(submit));
    const rows = await Promise.all(ids.map((id) => ended(id, 100_000)));
    expect(new Set(rows.map((row) => row.status))).toEqual(new Set(["COMPLETED"]));
    expect(new Set(rows.map((row) => row.partition)).size).toBeGreaterThan(1);
    expect(keys.map((key) => most.get(key))).toEqual([2, 2]);
  }, 120_000); // fifteen hand-overs of each place, one after the other

  it("by priority, then in the order of acceptance; why and status name who has the place", async () => {
    const release = hold("order");
    const first = await submit({ settings: queue(1), key: "order", name: "first" });
    await begins("order", 1);
    const names = ["n1", "low", "n2", "high"];
    const ids: string[] = [];
    for (const name of names) {
      const priority = name === "low" || name === "high" ? name : "normal";
      ids.push(await submit({ settings: queue(1), key: "order", name, priority }));
    }
    const report = await client.status(ids[1] as string);
    expect(report.status).toBe("QUEUED");
    expect(report.admission).toMatchObject({
      ...{ for: "concurrency", key: "order", limit: 1, held_by: [first], ahead: 3 },
    });
    const [reason] = await reasonsOf(ids[0] as string);
    expect(reason).toMatchObject({ kind: "concurrency" });
    expect(reason?.text).toContain(first);
    release();
    await Promise.all([first, ...ids].map((id) => ended(id)));
    expect(begun.get("order")).toEqual(["first", "high", "n1", "n2", "low"]);
  });

  it("a run that is cancelled while it waits leaves its turn to the next", async () => {
    const release = hold("gone");
    const first = await submit({ settings: queue(1), key: "gone", name: 1 });
    await begins("gone", 1);
    const second = await submit({ settings: queue(1), key: "gone", name: 2 });
    const third = await submit({ settings: queue(1), key: "gone", name: 3 });
    await client.cancel(second);
    release();
    await Promise.all([first, third].map((id) => ended(id)));
    expect((await ended(second)).status).toBe("CANCELLED");
    expect(begun.get("gone")).toEqual([1, 3]);
  });

  it("survives the loss of Redis: who has the places is in Postgres", async () => {
    const release = hold("lost");
    const ids = [await submit({ settings: queue(1), key: "lost", name: 0 })];
    await begins("lost", 1);
    for (let i = 1; i < 4; i++) {
      ids.push(await submit({ settings: queue(1), key: "lost", name: i }));
    }
    await emptyRedis(engine.redis);
    await waitFor(
      async () => (await engine.redis.exists(partitionKeys(0).meta)) === 1 || undefined,
      {
        describe: "the partition is certified again",
      },
    );
    release();
    const rows = await Promise.all(ids.map((id) => ended(id)));
    expect(rows.map((row) => row.status)).toEqual(rows.map(() => "COMPLETED"));
    // The one that was executing is executed again; the others begin one after the other.
    expect([...new Set(begun.get("lost"))]).toEqual([0, 1, 2, 3]);
  });
});

describe("settings.concurrency: reject and cancel_running", () => {
  const reject = { concurrency: { key: "${input.key}", limit: 1, on_conflict: "reject" } };
  const replace = { concurrency: { key: "${input.key}", limit: 1, on_conflict: "cancel_running" } };

  it("reject answers with a code and the run that has the place; its row has ended", async () => {
    const release = hold("full");
    const first = await submit({ settings: reject, key: "full" });
    const again = submit({ settings: reject, key: "full", idempotencyKey: "mine" });
    await expect(again).rejects.toMatchObject({ code: "GV_CONCURRENCY_LIMIT" });
    await expect(again).rejects.toThrow(first);
    const [row] = await client.runs({ status: "CANCELLED", workflow: "tracked", limit: 1 });
    expect(row?.error).toMatchObject({ code: "GV_CONCURRENCY_LIMIT", details: { run_id: first } });
    release();
    await ended(first);
    const third = await submit({ settings: reject, key: "full", idempotencyKey: "mine" });
    expect((await ended(third)).status).toBe("COMPLETED");
  });

  it("of many that come at one time, the limit is accepted", async () => {
    const release = hold("race");
    const wishes = Array.from({ length: 20 }, (_, name) => ({
      settings: reject,
      key: "race",
      name,
    }));
    const answers = await Promise.allSettled(wishes.map(submit));
    const accepted = answers.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    expect(accepted).toHaveLength(1);
    release();
    await ended(accepted[0] as string);
    expect(begun.get("race")).toHaveLength(1);
  });

  it("two of one idempotency key that come at one time are refused alike, and are no mistakes", async () => {
    const release = hold("twice");
    const first = await submit({ settings: reject, key: "twice" });
    const { replies, submissions } = globalKeys;
    const [before = "0"] = (await engine.redis.xrevrange(replies, "+", "-", "COUNT", 1))[0] ?? [];
    const wish = { workflow: workflow(reject), input: { key: "twice" }, idempotency_key: "both" };
    const sent = connectionAt(engine.redis, submissions).multi();
    for (let i = 0; i < 2; i++) {
      sent.xadd(submissions, "*", "submission", JSON.stringify(wish));
    }
    await sent.exec();
    const answers = await waitFor(async () => {
      const entries = await engine.redis.xrange(replies, `(${before}`, "+");
      return entries.length === 2 ? entries.map(([, fields]) => fields[1]) : undefined;
    });
    const codes = answers.map((text) => (JSON.parse(text ?? "") as Refusal).errors[0]?.code);
    expect(codes).toEqual(["GV_CONCURRENCY_LIMIT", "GV_CONCURRENCY_LIMIT"]);
    expect(await listDeadLetters(engine.db, { state: "open", limit: 5 })).toEqual([]);
    release();
    await ended(first);
  });

  it("reject counts a run that is being redriven", async () => {
    const failing = await submit({ settings: reject, key: "claimed", name: "fails" });
    expect((await ended(failing)).status).toBe("FAILED");
    // As a redrive does first.
    const holder = await engine.db.transaction((tx) => claimPlace(tx, failing, 60_000));
    expect(holder).toBeNull();
    const other = submit({ settings: reject, key: "claimed" });
    await expect(other).rejects.toMatchObject({ code: "GV_CONCURRENCY_LIMIT" });
    await expect(other).rejects.toThrow(failing);
  });

  it("cancel_running ends older runs of the key, and never has two at one time", async () => {
    const ids: string[] = [];
    const release = hold("newest");
    for (let i = 0; i < 5; i++) {
      ids.push(await submit({ settings: replace, key: "newest", name: i }));
    }
    release();
    const rows = await Promise.all(ids.map((id) => ended(id)));
    expect(rows.at(-1)?.status).toBe("COMPLETED");
    expect(rows.slice(0, -1).map((row) => row.status)).not.toContain("FAILED");
    expect(rows.filter((row) => row.status === "CANCELLED").length).toBeGreaterThan(0);
    expect(rows.find((row) => row.status === "CANCELLED")?.error).toContain("newer");
  });
});

describe("a redrive", () => {
  it("takes a place of its key, and is refused while another run has it", async () => {
    const failing = await submit({ settings: queue(1), key: "again", name: "fails" });
    expect((await ended(failing)).status).toBe("FAILED");
    const release = hold("again");
    const other = await submit({ settings: queue(1), key: "again", name: 1 });
    await begins("again", 2);
    const redriven = client.operations.redrive(failing, { by: "ann" });
    await expect(redriven).rejects.toMatchObject({ code: "GV_CONCURRENCY_LIMIT" });
    await expect(redriven).rejects.toThrow(other);
    const preview = (): Promise<object> => client.operations.previewRedrive(failing, { by: "ann" });
    await expect(preview()).rejects.toMatchObject({ code: "GV_CONCURRENCY_LIMIT" });
    release();
    await ended(other);
    // It takes no place: the redrive after it is let in, and so would another run be.
    expect(await preview()).toMatchObject({ attempt: 2 });
    await client.operations.redrive(failing, { by: "ann" });
    const third = await submit({ settings: queue(1), key: "again", name: 2 });
    expect((await ended(failing)).status).toBe("FAILED");
    expect((await ended(third)).status).toBe("COMPLETED");
    expect(most.get("again")).toBe(1);
  });
});

/** Writes every admission at the key `rated` down: what is out of its window is forgotten there. */
async function noteStarts(): Promise<void> {
  const steps = [
    "CREATE TABLE seen_starts (run_id text, at bigint)",
    `CREATE FUNCTION note_start() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO seen_starts VALUES (NEW.run_id, NEW.admitted_at_ms); RETURN NULL; END $$`,
    `CREATE TRIGGER note_start AFTER INSERT OR UPDATE ON admissions FOR EACH ROW
      WHEN (NEW.rate_text = 'rated' AND NEW.admitted_at_ms IS NOT NULL)
      EXECUTE FUNCTION note_start()`,
  ];
  for (const [i, text] of steps.entries()) {
    await engine.db.query({ name: `note_starts_${i}`, text });
  }
}

describe("settings.rate_limit", () => {
  it("no window of its time has more starts than the limit, by key", async () => {
    await noteStarts();
    const settings = { rate_limit: { key: "${input.key}", limit: 3, per_ms: 1000 } };
    const wishes = Array.from({ length: 8 }, (_, name) => ({ settings, key: "rated", name }));
    const ids = await Promise.all(wishes.map(submit));
    await waitFor(
      async () => (await reasonsOf(ids.at(-1) as string)).some((r) => r.kind === "start_rate"),
      { describe: "the last of them waits for its start" },
    );
    await Promise.all(ids.map((id) => ended(id)));
    const text = "SELECT run_id, at FROM seen_starts";
    const rows = await engine.db.query<{ run_id: string; at: number }>({ name: "starts", text });
    const starts = new Map(rows.map(({ run_id, at }) => [run_id, at]));
    expect(starts.size).toBe(8);
    const times = [...starts.values()].sort((x, y) => x - y);
    times
      .slice(3)
      .forEach((at, i) => expect(at - (times[i] as number)).toBeGreaterThanOrEqual(1000));
  });
});

describe("places of tenants", () => {
  it("a tenant has so many runs in progress, others are not held up, and why says so", async () => {
    const release = hold("crowd");
    const crowd = await Promise.all(
      Array.from({ length: 10 }, (_, name) =>
        submit({ settings: {}, key: "crowd", tenant: "crowd", name }),
      ),
    );
    await begins("crowd", 3);
    const one = await submit({ settings: {}, key: "quiet", tenant: "quiet" });
    expect((await ended(one)).status).toBe("COMPLETED");
    const rows = await Promise.all(crowd.map((id) => readRun(engine.db, id)));
    const waiting = rows.filter((row) => row?.held === true);
    expect(waiting).toHaveLength(7);
    expect(await reasonsOf(waiting[0]?.id ?? "")).toMatchObject([{ kind: "tenant" }]);
    release();
    await Promise.all(crowd.map((id) => ended(id)));
    expect(most.get("crowd")).toBe(3);
  });
});

describe("supervisors that die", () => {
  it("leave nobody waiting: what they admitted is started, what they did not see is found", async () => {
    const keys = ["unseen", "unstarted"];
    const releases = keys.map(hold);
    const firsts = await Promise.all(keys.map((key) => submit({ settings: queue(1), key })));
    await Promise.all(keys.map((key) => begins(key, 1)));
    const seconds = await Promise.all(keys.map((key) => submit({ settings: queue(1), key })));
    await engine.supervisor.stop(0);
    await Promise.all(others.map((one) => one.stop(0)));
    // As one leaves it that dies between the commit of an admission and the start.
    const [unseen, unstarted] = seconds as [string, string];
    const state = "UPDATE admissions SET state = 'admitted', key_limit = 2 WHERE run_id = $1";
    await engine.db.query({ name: "test_admitted", text: state }, [unstarted]);
    const row = "UPDATE runs SET held = false WHERE id = $1";
    await engine.db.query({ name: "test_not_held", text: row }, [unstarted]);
    releases[0]?.();
    await another();
    expect((await ended(unseen)).status).toBe("COMPLETED");
    releases[1]?.();
    expect((await ended(unstarted)).status).toBe("COMPLETED");
    await Promise.all(firsts.map((id) => ended(id)));
    expect(most.get("unseen")).toBe(1);
  });
});
