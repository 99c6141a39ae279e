import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  commonQueueKey,
  connectionAt,
  fireTimers,
  GROUP,
  interveneToken,
  parseEntry,
  partitionKeys,
  signalRun,
  type ReadyToken,
} from "../sdk/internal.ts";
import { changeRuns, insertRuns, readJournal, readRun } from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { explainRun, type Reason } from "./explain.ts";
import { Reaper } from "./reaper.ts";
import { StalledWatch } from "./stalled.ts";
import { chainIr, startPartition, startRuns } from "./stack.fixture.ts";
import { TestClock, work, type Stack, type Supervised } from "./stack.fixture.ts";

const keys = partitionKeys(0);
const ir = chainIr(["a", "b"]);
const queueKey = keys.entryQueue("fn:work", "normal");
const clock = new TestClock();
let stack: Stack;
let context: SupervisorContext;
let supervised: Supervised;

beforeAll(async () => {
  supervised = await startPartition({ clock });
  ({ stack, context } = supervised);
});
afterAll(() => supervised.close());

async function explain(runId: string): Promise<Reason[]> {
  const irOf = (hash: string) => Promise.resolve(hash === "h-ab" ? ir : null);
  return (await explainRun({ redis: stack.redis, partition: 0, runId, irOf })).reasons;
}

async function read(consumer: string): Promise<void> {
  const group = ["GROUP", GROUP, consumer] as const;
  await stack.redis.xreadgroup(...group, "COUNT", 1, "STREAMS", queueKey, ">");
}

describe("explainRun", () => {
  it("says that no worker reads the queue, then who executes it", async () => {
    await startRuns(context, ir, "h-ab", ["run-1"]);
    expect(await explain("run-1")).toMatchObject([
      { kind: "no_worker", node: "a", queue: "fn:work" },
    ]);
    await stack.redis.xgroup("CREATE", queueKey, GROUP, "0");
    await read("w7");
    expect(await explain("run-1")).toMatchObject([
      { kind: "executing", node: "a", consumer: "w7", deliveries: 1 },
    ]);
  });

  it("counts the entries ahead of a queued token", async () => {
    await startRuns(context, ir, "h-ab", ["run-2"]);
    expect(await explain("run-2")).toMatchObject([{ kind: "queued", ahead: 1 }]);
  });

  it("says when the next attempt is due, and that a run is not there", async () => {
    await startRuns(context, ir, "h-ab", ["run-3"]);
    const value = '{"error":{"code":"E","message":"m"}}';
    await work(stack, ir, "h-ab", () => ({ op: "R", value, edges: "", delayMs: 600_000 }));
    const [reason] = await explain("run-3");
    expect(reason).toMatchObject({ kind: "retry", node: "a", attempt: 2 });
    expect((reason as { dueMs: number }).dueMs).toBeGreaterThan(clock.nowMs());
    expect(await explain("nobody")).toMatchObject([{ kind: "not_in_redis" }]);
  });
});

describe("stalled watch", () => {
  it("X16: tells why a quiet run stands still, and leaves alone one that waits", async () => {
    await startRuns(context, ir, "h-ab", ["run-waits"]);
    const value = '{"error":{"code":"E","message":"m"}}';
    await work(stack, ir, "h-ab", () => ({ op: "R", value, edges: "", delayMs: 3_600_000 }));
    await startRuns(context, ir, "h-ab", ["run-stuck"]);
    for (const id of ["run-waits", "run-stuck"]) {
      await waitFor(async () => (await readRun(stack.db, id))?.status === "RUNNING");
    }
    const hash = (): Promise<object> => stack.redis.hgetall(keys.run("run-waits"));
    const before = await hash();
    const watch = new StalledWatch(context);
    clock.offsetMs = 600_000;
    await watch.look(new AbortController().signal);
    clock.offsetMs = 0;
    const reasonOf = (id: string) => watch.runs.find(({ runId }) => runId === id)?.reasons;
    expect(reasonOf("run-waits")).toMatchObject([{ kind: "retry", node: "a" }]);
    expect(reasonOf("run-stuck")).toMatchObject([{ kind: "queued", node: "a" }]);
    expect(await hash()).toEqual(before);
    await work(stack, ir, "h-ab");
  });

  it("A14: puts back an entry that a deleted consumer took with it", async () => {
    await startRuns(context, ir, "h-ab", ["run-4"]);
    await read("gone");
    await stack.redis.xgroup("DELCONSUMER", queueKey, GROUP, "gone");
    expect(await explain("run-4")).toMatchObject([{ kind: "lost_entry", node: "a" }]);
    await waitFor(async () => (await readRun(stack.db, "run-4"))?.status === "RUNNING");
    clock.offsetMs = 600_000;
    const watch = new StalledWatch(context);
    await watch.look(new AbortController().signal);
    clock.offsetMs = 0;
    expect(watch.runs.find(({ runId }) => runId === "run-4")?.reasons).toMatchObject([
      { kind: "lost_entry" },
    ]);
    expect(await explain("run-4")).toMatchObject([{ kind: "queued" }]);
    expect(await work(stack, ir, "h-ab")).toBeGreaterThanOrEqual(2);
    await waitFor(async () => (await readRun(stack.db, "run-4"))?.status === "COMPLETED");
  });

  it("puts back a token that was answered together with its answer", async () => {
    const waiting = chainIr(["w"]);
    Object.assign(waiting.nodes[0] as object, { type: "wait", config: { signal: "go" } });
    await startRuns(context, waiting, "h-w", ["run-w"]);
    const wait = { kind: "signal", signal: "go", token: "run-w.0-secret-0" } as const;
    await work(stack, waiting, "h-w", () => ({ op: "W", value: "", extra: "", wait }));
    const scripts = scriptsOf(context, 0);
    await signalRun(scripts, { runId: "run-w", id: "s1", name: "go", data: 7 });
    const own = keys.queue("fn:work", "normal");
    const entries = await stack.redis.xrange(own, "-", "+");
    const [lost] = entries.find(([, fields]) => fields[1]?.startsWith("run-w")) ?? [];
    await stack.redis.xdel(own, lost as string);
    await waitFor(async () => {
      const journal = await readJournal(stack.db, "run-w");
      return journal.some(({ transition }) => transition.e === "node.resumed");
    });
    clock.offsetMs = 600_000;
    await new StalledWatch(context).look(new AbortController().signal);
    clock.offsetMs = 0;
    const streams = [own, keys.entryQueue("fn:work", "normal")];
    const back = (await Promise.all(streams.map((key) => stack.redis.xrange(key, "-", "+"))))
      .flat()
      .map(([id, fields]) => parseEntry(own, id, fields))
      .find((token) => token?.runId === "run-w");
    expect(back).toMatchObject({ kind: "answered", attempt: 1 });
    expect(JSON.parse(back?.answer ?? "null")).toMatchObject({ kind: "signal", data: 7 });
  });

  it("puts back a token whose start was reserved as one that has its start", async () => {
    const limited = chainIr(["l"]);
    const rate_limit = { key: "k", limit: 1, per_ms: 1000 };
    Object.assign(limited.nodes[0] as object, { rate_limit });
    await startRuns(context, limited, "h-l", ["run-l"]);
    await work(stack, limited, "h-l", () => ({ op: "P", value: "", edges: "", delayMs: 1 }));
    const streams = [keys.queue("fn:work", "normal"), queueKey];
    const mine = async (): Promise<{ key: string; id: string; kind: string }[]> => {
      const pages = streams.map(async (key) =>
        (await stack.redis.xrange(key, "-", "+")).flatMap(([id, fields]) => {
          const token = parseEntry(key, id, fields);
          return token?.runId === "run-l" ? [{ key, id, kind: token.kind }] : [];
        }),
      );
      return (await Promise.all(pages)).flat();
    };
    const lost = await waitFor(async () => {
      await fireTimers(scriptsOf(context, 0));
      return (await mine()).find((one) => one.kind === "resumed");
    });
    await stack.redis.xdel(lost.key, lost.id);
    await waitFor(async () => {
      const journal = await readJournal(stack.db, "run-l");
      return journal.some(({ transition }) => transition.e === "node.resumed");
    });
    clock.offsetMs = 600_000;
    await new StalledWatch(context).look(new AbortController().signal);
    clock.offsetMs = 0;
    expect((await mine()).map(({ kind }) => kind)).toEqual(["resumed"]);
  });

  it("A14: puts back a token that was settled by hand as one that was, not as an execution", async () => {
    await startRuns(context, ir, "h-ab", ["run-hand"]);
    const answer = { kind: "manual", action: "complete", output: 9, by: "ann" } as const;
    const order = { runId: "run-hand", home: "", node: 0, scope: null, queueKey, answer };
    expect(await interveneToken(scriptsOf(context, 0), order)).toMatchObject({ kind: "done" });
    const mine = async (): Promise<ReadyToken[]> => {
      const pages = [commonQueueKey(queueKey), queueKey].map(async (key) =>
        (await stack.redis.xrange(key, "-", "+")).map(([id, fields]) =>
          parseEntry(key, id, fields),
        ),
      );
      const tokens = (await Promise.all(pages)).flat();
      return tokens.flatMap((token) => (token?.runId === "run-hand" ? [token] : []));
    };
    for (const lost of await mine()) {
      await stack.redis.xdel(lost.queueKey, lost.entryId);
    }
    await waitFor(async () => {
      const journal = await readJournal(stack.db, "run-hand");
      return journal.some(({ transition }) => transition.v !== undefined);
    });
    clock.offsetMs = 600_000;
    await new StalledWatch(context).look(new AbortController().signal);
    clock.offsetMs = 0;
    const [token, ...more] = await mine();
    expect(more).toEqual([]);
    expect(token).toMatchObject({ kind: "answered", queueKey: commonQueueKey(queueKey) });
    expect(JSON.parse(token?.answer ?? "null")).toMatchObject(answer);
  });

  it("puts back a token whose entry is nowhere", async () => {
    await startRuns(context, ir, "h-ab", ["run-5"]);
    await read("gone");
    const entries = await stack.redis.xrange(queueKey, "-", "+");
    const mine = entries.find(([, fields]) => fields[1]?.startsWith("run-5"))?.[0] as string;
    await stack.redis.xack(queueKey, GROUP, mine);
    await stack.redis.xdel(queueKey, mine);
    await waitFor(async () => (await readRun(stack.db, "run-5"))?.status === "RUNNING");
    clock.offsetMs = 600_000;
    await new StalledWatch(context).look(new AbortController().signal);
    clock.offsetMs = 0;
    await work(stack, ir, "h-ab");
    await waitFor(async () => (await readRun(stack.db, "run-5"))?.status === "COMPLETED");
  });
});

describe("stalled watch: a run that is not what its journal says", () => {
  const lookOnce = async (): Promise<void> => {
    clock.offsetMs = 600_000;
    await new StalledWatch(context).look(new AbortController().signal);
    clock.offsetMs = 0;
  };
  const running = async (runId: string): Promise<void> => {
    await startRuns(context, ir, "h-ab", [runId]);
    await waitFor(async () => (await readRun(stack.db, runId))?.status === "RUNNING");
  };
  const ends = async (runId: string): Promise<void> => {
    const { redis } = stack;
    await waitFor(async () => (await redis.hget(keys.run(runId), "s")) === "running");
    await waitFor(async () => {
      await work(stack, ir, "h-ab");
      return (await readRun(stack.db, runId))?.status === "COMPLETED";
    });
    const done = (await readJournal(stack.db, runId)).filter(
      ({ transition }) => transition.e === "node.completed",
    );
    expect(done).toHaveLength(2);
  };

  it("a result without what follows it, as of half a script: it is rebuilt", async () => {
    await running("run-half");
    await stack.redis.hset(keys.run("run-half"), "n0", "c1||1");
    await read("w-half");
    const [[entry] = []] = (await stack.redis.xrange(queueKey, "-", "+")).filter(([, fields]) =>
      fields[1]?.startsWith("run-half"),
    );
    const server = connectionAt(stack.redis, queueKey);
    await server.multi().xack(queueKey, GROUP, entry!).xdel(queueKey, entry!).exec();
    expect(await explain("run-half")).toEqual([]);
    await lookOnce();
    await ends("run-half");
  });

  it("a run that is not there: it is rebuilt", async () => {
    await running("run-gone");
    await stack.redis.del(keys.run("run-gone"));
    await lookOnce();
    await ends("run-gone");
  });

  it("a run with something else in the place of a key: it is rebuilt, and keeps no other from that", async () => {
    await running("run-other-type");
    await running("run-behind");
    const key = keys.run("run-other-type");
    await stack.redis.set(key, "put here by hand");
    await stack.redis.del(keys.run("run-behind"));
    await lookOnce();
    await waitFor(async () => (await stack.redis.hget(keys.run("run-behind"), "s")) === "running");
    await ends("run-other-type");
  });
});

describe("stalled watch: many", () => {
  const look = async (watch: StalledWatch): Promise<boolean> => {
    clock.offsetMs = 600_000;
    const hasMore = await watch.look(new AbortController().signal);
    clock.offsetMs = 0;
    return hasMore;
  };
  const nodesOf = async (runId: string): Promise<Set<number>> => {
    const streams = [keys.queue("fn:work", "normal"), queueKey];
    const pages = await Promise.all(streams.map((key) => stack.redis.xrange(key, "-", "+")));
    const tokens = pages.flat().map(([id, fields]) => parseEntry(queueKey, id, fields));
    return new Set(tokens.flatMap((token) => (token?.runId === runId ? [token.node] : [])));
  };
  const loseAll = async (runId: string): Promise<void> => {
    await waitFor(async () => (await readRun(stack.db, runId))?.status === "RUNNING");
    for (const [id, fields] of await stack.redis.xrange(queueKey, "-", "+")) {
      await (parseEntry(queueKey, id, fields)?.runId === runId && stack.redis.xdel(queueKey, id));
    }
    expect((await nodesOf(runId)).size).toBe(0);
  };

  it("A14: puts back every lost entry of a run, however many tokens it has", async () => {
    const WIDE = 130;
    const ids = Array.from({ length: WIDE }, (_, i) => `n${i}`);
    const wide = chainIr(ids, { edges: [] });
    wide.nodes.forEach((node) => Object.assign(node, { in: [], out: [], is_entry: true }));
    wide.analysis.roots = ids.map((_, i) => i);
    await startRuns(context, wide, "h-wide", ["run-wide"]);
    await loseAll("run-wide");
    await look(new StalledWatch(context));
    expect((await nodesOf("run-wide")).size).toBe(WIDE);
  });

  it("A14: comes to every quiet run, although it cannot help those before", async () => {
    await startRuns(context, ir, "h-ab", ["run-late"]);
    await loseAll("run-late");
    const helpless = Array.from({ length: 100 }, (_, i) => `old-${i}`);
    const about = { tenant: "", workflow: "w", version: "1", irHash: "h-ab", partition: 1 };
    const more = { namespace: "", priority: "normal", input: "{}", idempotencyKey: null } as const;
    await insertRuns(
      stack.db,
      helpless.map((id) => ({ id, ...about, ...more, requestHash: "", createdAtMs: 1 })),
    );
    const at = { startedAtMs: 1, endedAtMs: null, output: null, error: null, atMs: 1 };
    await changeRuns(
      stack.db,
      helpless.map((id) => ({ id, status: "RUNNING" as const, ...at })),
    );
    const lines: { msg: string; runs?: number }[] = [];
    const write = (line: string): void => void lines.push(JSON.parse(line) as (typeof lines)[0]);
    const watch = new StalledWatch({ ...context, logger: pino({ level: "info" }, { write }) });
    expect(await look(watch)).toBe(true); // there is more to look at, at once
    expect(watch.runs).toHaveLength(helpless.length);
    // Ten of them one by one, the others together.
    expect(lines.filter(({ msg }) => msg === "a run stands still")).toHaveLength(10);
    expect(lines.at(-1)?.runs).toBe(helpless.length - 10);
    expect((await nodesOf("run-late")).size).toBe(0);
    await look(watch);
    expect((await nodesOf("run-late")).size).toBe(1);
    const text = "DELETE FROM runs WHERE partition = 1";
    await stack.db.query({ name: "stalled_rest", text });
    expect(await look(watch)).toBe(false); // the round is over: it begins again
    expect(watch.runs.map(({ runId }) => runId)).toContain("run-late");
  });
});

describe("reaper", () => {
  it("C11: lets IRs expire that no unfinished run uses, and no others", async () => {
    await startRuns(context, chainIr(["x"]), "h-used", ["run-6"]);
    await stack.redis.set("gv:ir:h-unused", "{}");
    await stack.redis.zadd("gv:ir", 1, "h-unused", 1, "h-used");
    await new Reaper(context).look();
    expect(await stack.redis.ttl("gv:ir:h-unused")).toBeGreaterThan(0);
    expect(await stack.redis.ttl("gv:ir:h-used")).toBe(-1);
    expect(await stack.redis.zscore("gv:ir", "h-unused")).toBeNull();
  });
});
