import type { PoolClient } from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { testDatabase, waitFor, type TestDatabase } from "../test/support/index.ts";
import { Roles, type Role } from "./roles.ts";
import { startStack, type Stack } from "./stack.fixture.ts";

const logger = pino({ level: "silent" });

/** A role whose service notes what happens to it. */
function noted(key: number): Role & { events: string[] } {
  const events: string[] = [];
  const note = (event: string) => () => {
    events.push(event);
    return Promise.resolve();
  };
  const open = () => ({ name: "noted", start: note("start"), stop: note("stop") });
  return { key, name: `role ${key}`, events, open };
}

describe("roles without a rival", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.close());

  it("are all granted, and stopped with the service", async () => {
    const role = noted(1);
    const roles = new Roles(stack.db, logger, [role]);
    await roles.start();
    await waitFor(() => role.events.includes("start"));
    expect(roles.held).toEqual(["role 1"]);
    await roles.stop(1000);
    await roles.stop(1000);
    expect(role.events).toEqual(["start", "stop"]);
  });
});

describe("roles on a Postgres with sessions", () => {
  const key = 7;
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database.close());

  it("go to one process, and to the next when its session dies", async ({ skip }) => {
    skip(database.singleSession, "PGlite is one session");
    const one = database.connect();
    const two = database.connect();
    const first = noted(key);
    const second = noted(key);
    const holder = new Roles(one, logger, [first]);
    await holder.start();
    await waitFor(() => first.events.includes("start"));
    const waiter = new Roles(two, logger, [second]);
    await waiter.start();
    const text = `SELECT pid, pg_terminate_backend(pid) FROM pg_locks
      WHERE locktype = 'advisory' AND objid = ${key} AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    const held = { name: "who_holds", text: text.replace(", pg_terminate_backend(pid)", "") };
    expect(await two.query(held)).toHaveLength(1);
    expect(second.events).toEqual([]);

    await two.query({ name: "end_session", text });
    await waitFor(() => first.events.includes("stop"));
    await waitFor(() => [...first.events, ...second.events].length >= 3);
    expect(await waitFor(async () => (await two.query(held)).length)).toBe(1);
    await holder.stop(2000);
    await waitFor(() => second.events.includes("start"));
    await waiter.stop(2000);
    expect(second.events).toEqual(["start", "stop"]);
    expect(await one.query(held)).toHaveLength(0);
  });
});

describe("roles of which nobody can be asked", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database.close());

  it("are spoken for by who held them, until Postgres says who does", async ({ skip }) => {
    skip(database.singleSession, "PGlite is one session");
    const [one, two] = [database.connect(), database.connect()];
    const connect = one.pool.connect.bind(one.pool);
    const [first, second] = [noted(61), noted(61)];
    const holder = new Roles(one, logger, [first], { tryMs: 20 });
    await holder.start();
    await waitFor(() => first.events.includes("start"));
    expect(holder.spokenForKeys).toEqual([61]);
    one.pool.connect = () => Promise.reject(new Error("away"));
    const text = `SELECT pg_terminate_backend(pid) FROM pg_locks
      WHERE locktype = 'advisory' AND objid = 61 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    await two.query({ name: "end_its_session", text });
    await waitFor(() => first.events.includes("stop"));
    expect([holder.heldKeys, holder.spokenForKeys]).toEqual([[], [61]]);
    const next = new Roles(two, logger, [second], { tryMs: 20 });
    await next.start();
    await waitFor(() => second.events.includes("start"));
    one.pool.connect = connect;
    await waitFor(() => holder.spokenForKeys.length === 0, { describe: "two speak for it" });
    await Promise.all([holder.stop(1000), next.stop(1000)]);
    expect(next.spokenForKeys).toEqual([]);
  });
});

describe("a session that dies while its roles start", () => {
  const KEYS = [71, 72, 73];
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database.close());

  it("leaves none that starts without its lock", async ({ skip }) => {
    skip(database.singleSession, "PGlite is one session");
    const [own, other] = [database.connect(), database.connect()];
    const of = `FROM pg_locks WHERE locktype = 'advisory' AND objid = ANY ('{${KEYS.join()}}')
        AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    const started: { key: number; isLocked: boolean }[] = [];
    const stops: number[] = [];
    const roles = KEYS.map((key): Role => {
      const start = async (): Promise<void> => {
        const locks = await other.query<{ key: number }>({
          name: "l",
          text: `SELECT objid AS key ${of}`,
        });
        started.push({ key, isLocked: locks.some((lock) => Number(lock.key) === key) });
        if (started.length === 1) {
          await other.query({ name: "end_it", text: `SELECT pg_terminate_backend(pid) ${of}` });
          await waitFor(() => stops.length > 0);
        }
      };
      const stop = (): Promise<void> => Promise.resolve(void stops.push(key));
      return { key, name: `role ${key}`, open: () => ({ name: "noted", start, stop }) };
    });
    const holder = new Roles(own, logger, roles, { tryMs: 20 });
    await holder.start();
    await waitFor(() => started.length > KEYS.length && holder.held.length === KEYS.length);
    expect(started.filter(({ isLocked }) => !isLocked)).toEqual([]);
    await holder.stop(1000);
  });
});

describe("a process that stands still", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database.close());

  it("loses its roles to another, and stops them when it hears of it", async ({ skip }) => {
    skip(database.singleSession, "PGlite is one session");
    const [first, second] = [noted(51), noted(51)];
    // It looks once, and never again.
    const times = { tryMs: 3_600_000, lostMs: 200 };
    const still = new Roles(database.connect(), logger, [first], times);
    await still.start();
    await waitFor(() => first.events.includes("start"));
    const other = new Roles(database.connect(), logger, [second], { tryMs: 20, lostMs: 2000 });
    await other.start();
    await waitFor(() => second.events.includes("start"), { describe: "nobody takes over" });
    await waitFor(() => first.events.includes("stop"));
    expect(still.held).toEqual([]);
    await Promise.all([still.stop(1000), other.stop(1000)]);
  });
});

describe("a session that cannot be had", () => {
  const key = 31;
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database.close());

  /** The lock that everybody who takes part shares, for one alone: nobody else gets a session. */
  async function barred(): Promise<PoolClient> {
    const client = await database.connect().pool.connect();
    await client.query("SELECT pg_advisory_lock($1, $2)", [0x6776, 0x7fff_ffff]);
    return client;
  }

  it("is given up in time, and back to the pool, and asked for again", async ({ skip }) => {
    skip(database.singleSession, "PGlite is one session");
    const bar = await barred();
    const db = database.connect({ connectionsMax: 1 });
    let sessions = 0;
    db.pool.on("connect", () => (sessions += 1));
    const role = noted(key);
    const roles = new Roles(db, logger, [role], { tryMs: 10, answerMs: 100 });
    await roles.start();
    await waitFor(() => sessions > 2, { describe: "it is not given up" });
    expect(role.events).toEqual([]);
    bar.release(true);
    await waitFor(() => role.events.includes("start"));
    await roles.stop(1000);
  });

  it("is given back to the pool when the server ends it", async ({ skip }) => {
    skip(database.singleSession, "PGlite is one session");
    const bar = await barred();
    const db = database.connect({ connectionsMax: 1 });
    const role = noted(key);
    const roles = new Roles(db, logger, [role], { tryMs: 10 });
    await roles.start();
    const text = `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
      AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    await waitFor(async () => ((await bar.query(text)).rowCount ?? 0) > 0);
    bar.release(true);
    await waitFor(() => role.events.includes("start"), { describe: "its session is leaked" });
    await roles.stop(1000);
  });
});

describe("W17: roles of several processes", () => {
  const KEYS = [21, 22, 23, 24, 25, 26];
  const TRY_MS = 100;
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database.close());

  /** How many have each role, the most that ever had it, and how often it was taken. */
  const owners = new Map<number, { now: number; most: number; taken: number }>();

  function member(): Roles {
    const roles = KEYS.map((key): Role => {
      const of = owners.get(key) ?? { now: 0, most: 0, taken: 0 };
      owners.set(key, of);
      const start = (): Promise<void> => {
        of.now += 1;
        of.taken += 1;
        of.most = Math.max(of.most, of.now);
        return Promise.resolve();
      };
      const stop = (): Promise<void> => {
        of.now -= 1;
        return Promise.resolve();
      };
      return { key, name: `role ${key}`, open: () => ({ name: "owned", start, stop }) };
    });
    return new Roles(database.connect(), logger, roles, { tryMs: TRY_MS });
  }

  beforeEach(() => owners.clear());

  const shares = (members: readonly Roles[]): number[] => members.map(({ held }) => held.length);
  const shared = (members: readonly Roles[], wanted: readonly number[]): Promise<unknown> =>
    waitFor(() => shares(members).toSorted().join() === wanted.join(), {
      describe: `roles are not shared ${wanted.join()}`,
    });

  it("are each one's alone, shared evenly when one joins and when one leaves", async ({ skip }) => {
    skip(database.singleSession, "PGlite is one session");
    const [a, b, c] = [member(), member(), member()];
    await a.start();
    await shared([a], [6]);
    await b.start();
    await shared([a, b], [3, 3]);
    await c.start();
    await shared([a, b, c], [2, 2, 2]);
    await b.stop(1000);
    await shared([a, c], [3, 3]);
    expect([...a.held, ...c.held].toSorted()).toEqual(KEYS.map((key) => `role ${key}`));
    await a.stop(1000);
    await shared([c], [6]);
    await c.stop(1000);
    expect([...owners.values()]).toMatchObject(KEYS.map(() => ({ now: 0, most: 1 })));
  });

  it("come back to their holder when nobody takes what it gives up", async ({ skip }) => {
    skip(database.singleSession, "PGlite is one session");
    // A process that is counted, and does nothing: it hangs.
    const hung = await database.connect().pool.connect();
    await hung.query("SELECT pg_advisory_lock_shared($1, $2)", [0x6776, 0x7fff_ffff]);
    const a = member();
    await a.start();
    await waitFor(() => owners.get(26)?.taken === 2 && a.held.length === 6);
    hung.release(true);
    await a.stop(1000);
  });
});
