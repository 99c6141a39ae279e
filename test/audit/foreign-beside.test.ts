/**
 * Something else stands in place of keys of one run: what is done for many runs in one go - pausing,
 * putting to sleep and waking, cancelling children, releasing - is done for the others all the same.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Client } from "../../sdk/client.ts";
import {
  beginWake,
  evictRuns,
  globalKeys,
  hibernateRuns,
  partitionKeys,
  releaseRuns,
  ScriptRunner,
} from "../../sdk/internal.ts";
import { readRun } from "../../sdk/postgres/index.ts";
import type { Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";
import { intercepted, waitFor } from "../support/index.ts";
import { Audited, fn, line, wait, waits } from "./audited.fixture.ts";

const keys = partitionKeys(0);
let on: Audited;
let engine: Engine;
let client: Client;

beforeAll(async () => {
  on = await Audited.start();
  ({ engine, client } = on);
});
afterAll(() => on.stop());

const submit = (workflow: object): Promise<string> =>
  client.submit({ workflow: workflow as never, input: {} });

/** Puts a text in the place of a key. */
async function damage(key: string): Promise<void> {
  await engine.redis.set(key, "put here by hand");
}

const statusOf = (runId: string): Promise<string | null> => engine.redis.hget(keys.run(runId), "s");

/** Two runs that wait, of which one is damaged, and the other. */
async function pair(name: string): Promise<[damaged: string, other: string]> {
  const standing = line(name, [wait("w")]);
  const damaged = await on.standing(standing, "w", "waiting");
  const other = await on.standing(standing, "w", "waiting");
  await waitFor(async () => {
    const rows = await Promise.all([client.status(damaged), client.status(other)]);
    return rows.every(({ status }) => status === "RUNNING");
  });
  await damage(keys.run(damaged));
  return [damaged, other];
}

describe("beside a run in place of whose key something else stands", () => {
  it("the others of its workflow are paused with it, and go on", async () => {
    const [, other] = await pair("paused");
    await client.operations.pauseWorkflow({ name: "paused" });
    await waitFor(async () => (await statusOf(other)) === "paused", { describe: "it goes on" });
    await client.operations.resumeWorkflow({ name: "paused" });
    await waitFor(async () => (await statusOf(other)) === "running", {
      describe: "it stays paused",
    });
  });

  it("those whose resume was interrupted go on with what is held for them", async () => {
    const [damaged, other] = await pair("resumed");
    const held = keys.held(other);
    const entry = [other, "1", "0", "", "1", "ir", "v", ""].join("\x1f");
    await engine.redis.rpush(held, `${keys.queue("function:nobody", "normal")}\x1e${entry}`);
    await engine.redis.zadd(keys.paused, 0, damaged, 0, other);
    await waitFor(async () => (await engine.redis.exists(held)) === 0, { describe: "it is held" });
    await engine.redis.zrem(keys.paused, damaged);
  });

  it("others fall asleep, and wake", async () => {
    const [damaged, other] = await pair("asleep");
    expect(await hibernateRuns(on.scripts, [damaged, other], 0)).toEqual(["moved", "asleep"]);
    const seq = await waitFor(
      async () => (await readRun(engine.db, other))?.sleepSeq ?? undefined,
      {
        describe: "its sleep is not committed",
      },
    );
    const turns = await beginWake(on.scripts, "ticket", [
      { runId: damaged, seq: 1 },
      { runId: other, seq },
    ]);
    expect(turns.map(({ kind }) => kind)).toEqual(["damaged", "yours"]);
  });

  it("the whole partition is audited, and nothing but the key is named", async () => {
    const damaged = await on.standing(waits, "w", "waiting");
    await damage(keys.run(damaged));
    const found = (await on.drifts()).filter(({ runId }) => runId === damaged);
    expect(found.map(({ kind }) => kind)).toEqual(["key_foreign"]);
  });
});

describe("children and their parents", () => {
  const parent = line("parent", [{ id: "s", type: "subworkflow", config: { workflow: "child" } }]);

  async function withChild(): Promise<[parent: string, child: string]> {
    await publish(engine.db, line("child", [wait("w")]) as never);
    const id = await submit(parent);
    const child = await waitFor(
      async () => (await client.runs({ parent: id, limit: 1 }))[0]?.run_id,
    );
    await waitFor(async () => (await engine.redis.hget(keys.signals(child), "w:go")) !== null);
    return [id, child];
  }

  it("of others are cancelled and paused beside a child that is damaged", async () => {
    const [[first, damaged], [second, cancelled], [third, paused]] = [
      await withChild(),
      await withChild(),
      await withChild(),
    ];
    await damage(keys.run(damaged));
    for (const id of [first, second]) {
      await client.cancel(id, "enough");
      await engine.ended(id);
    }
    await client.operations.pause(third);
    await waitFor(async () => (await client.status(cancelled)).status === "CANCELLED");
    await waitFor(async () => (await statusOf(paused)) === "paused");
  });

  it("a child that has ended stays until its parent, damaged now, can read how; others are released", async () => {
    const [id, child] = await withChild();
    const { redis } = engine;
    const up = (await redis.hget(keys.run(child), "up")) as string;
    const [mine, others] = [`${id}~mine`, `${id}~others`];
    await damage(keys.run(id));
    await redis.hset(keys.run(mine), { s: "completed", up });
    await redis.hset(keys.run(others), { s: "completed" });
    expect(await releaseRuns(on.scripts, [mine, others], [])).toBe(1);
    expect(await redis.exists(keys.run(mine))).toBe(1);
    await redis.unlink(keys.run(mine));
    await redis.zrem(keys.release, mine);
  });
});

describe("the list of a run's maps is damaged", () => {
  /** Its map fails and is listed to be removed; the run goes on and waits. */
  const failing = {
    name: "failing",
    nodes: [{ id: "m", type: "map", config: { items: "[1, 2]", do: fn("f", "fails") } }, wait("w")],
    edges: [{ from: "m", to: "w", on: "error" }],
  };
  const waiting = async (): Promise<string> => {
    const id = await submit(failing);
    await waitFor(async () => (await engine.redis.hget(keys.signals(id), "w:go")) !== null);
    return id;
  };

  it("maps of other runs that are over are removed, and its own", async () => {
    const damaged = await waiting();
    await damage(keys.maps(damaged));
    // As long as the sweep has not come to it.
    await engine.redis.zadd(keys.release, 0, `${damaged}!0`);
    const other = await waiting();
    for (const map of [`${damaged}!0`, `${other}!0`]) {
      await waitFor(async () => (await engine.redis.zscore(keys.release, map)) === null, {
        describe: `${map} is still on the list`,
      });
      expect(await engine.redis.exists(keys.run(map))).toBe(0);
    }
  });

  it("and its run is rebuilt: maps that are over, which nothing else names, go with it", async () => {
    const { redis } = engine;
    const id = await waiting();
    // As between the end of a map around another one and the sweep.
    const units = ["!0", "!0#0", "!0#0/0", "!0#0/0#0"].map((at) => id + at);
    for (const unit of units) {
      await redis.hset(keys.run(unit), /#\d+$/.test(unit) ? { s: "running" } : { next: "1" });
    }
    await damage(keys.maps(id));
    await on.seenAndRepaired(id, ["key_foreign"]);
    expect(await redis.exists(...units.map((unit) => keys.run(unit)))).toBe(0);
    expect(await redis.exists(keys.maps(id))).toBe(0);
    await client.signal(id, "go");
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("and its run ends: its maps and their elements go with it, and the key itself", async () => {
    const config = {
      items: "[1, 2]",
      do: { id: "i", type: "map", config: { items: "[1]", do: wait("w") } },
    };
    const id = await submit({
      name: "ending",
      nodes: [{ id: "m", type: "map", config }],
      edges: [],
    });
    const units = ["", "!0", "!0#0", "!0#1", "!0#0/0", "!0#0/0#0", "!0#1/0#0"].map((at) =>
      keys.run(id + at),
    );
    await waitFor(async () => (await engine.redis.exists(...units)) === units.length);
    await waitFor(async () => (await engine.redis.hlen(keys.signals(id))) > 0);
    await damage(keys.maps(id));
    await client.cancel(id, "enough");
    await engine.ended(id);
    await waitFor(async () => (await engine.redis.exists(...units, keys.maps(id))) === 0, {
      describe: "something of it is left",
    });
  });

  it("and it sleeps: it leaves Redis, and others with it", async () => {
    const { redis } = engine;
    const [damaged, other] = ["evicted-1", "evicted-2"];
    for (const id of [damaged, other]) {
      await redis.hset(keys.run(id), { s: "asleep", sl: "7" });
      await redis.hset(keys.run(`${id}!0`), { next: "1" });
      await redis.hset(keys.run(`${id}!0#0`), { s: "running" });
      await redis.sadd(keys.maps(id), `${id}!0`);
    }
    await redis.del(keys.maps(damaged));
    await damage(keys.maps(damaged));
    await redis.del(keys.run(`${other}!0`));
    await damage(keys.run(`${other}!0`));
    await redis.set(keys.run("evicted-3"), "put here by hand");
    const runs = [damaged, other, "evicted-3"].map((runId) => ({ runId, seq: 7 }));
    expect(await evictRuns(on.scripts, runs)).toBe(2);
    const left = [damaged, other].flatMap((id) => [
      keys.run(id),
      keys.run(`${id}!0`),
      keys.maps(id),
    ]);
    expect(await redis.exists(...left, keys.run(`${damaged}!0#0`))).toBe(0);
    await redis.unlink(keys.run("evicted-3"), keys.run(`${other}!0#0`));
  });

  it("with many such, all keys are gone through once for all of them", async () => {
    const { redis } = engine;
    const ids = ["many-1", "many-2", "many-3", "many-4"];
    for (const id of ids) {
      await redis.hset(keys.run(id), { s: "asleep", sl: "7" });
      await redis.hset(keys.run(`${id}!0`), { next: "1" });
      await redis.hset(keys.run(`${id}!0#0`), { s: "running" });
      await damage(keys.maps(id));
    }
    let walks = 0;
    const counting = intercepted(redis, (name, call) => (...args) => {
      walks += Number(name === "scan" && args[0] === "0");
      return call(...args);
    });
    const deployment = (await redis.hget(globalKeys.deployment, "id")) as string;
    const scripts = new ScriptRunner({ redis: counting, deployment, partition: 0 });
    expect(
      await evictRuns(
        scripts,
        ids.map((runId) => ({ runId, seq: 7 })),
      ),
    ).toBe(ids.length);
    expect(walks).toBe(1);
    const left = ids.flatMap((id) => [id, `${id}!0`, `${id}!0#0`].map((one) => keys.run(one)));
    expect(await redis.exists(...left, ...ids.map((id) => keys.maps(id)))).toBe(0);
  });
});
