import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
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
