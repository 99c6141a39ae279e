import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectPostgres, type Database } from "../sdk/postgres/index.ts";
import { Roles, type Role } from "./roles.ts";
import { eventually, startStack, type Stack } from "./stack.fixture.ts";

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

describe("roles on a single session", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.close());

  it("are all granted, and stopped with the service", async () => {
    const role = noted(1);
    const roles = new Roles(stack.db, logger, [role]);
    await roles.start();
    await eventually(() => role.events.includes("start"));
    expect(roles.held).toEqual(["role 1"]);
    await roles.stop(1000);
    await roles.stop(1000);
    expect(role.events).toEqual(["start", "stop"]);
  });
});

const url = process.env.GAVOTTE_DATABASE_URL ?? "";

describe.skipIf(url === "")("roles on a Postgres with sessions", () => {
  let one: Database;
  let two: Database;
  const key = 900_000 + (process.pid % 10_000);
  beforeAll(() => {
    one = connectPostgres({ url });
    two = connectPostgres({ url });
  });
  afterAll(async () => {
    await one.close();
    await two.close();
  });

  it("go to one process, and to the next when its session dies", async () => {
    const first = noted(key);
    const second = noted(key);
    const holder = new Roles(one, logger, [first]);
    await holder.start();
    await eventually(() => first.events.includes("start"));
    const waiter = new Roles(two, logger, [second]);
    await waiter.start();
    const text = `SELECT pid, pg_terminate_backend(pid) FROM pg_locks
      WHERE locktype = 'advisory' AND objid = ${key} AND granted`;
    const held = { name: "who_holds", text: text.replace(", pg_terminate_backend(pid)", "") };
    expect(await two.query(held)).toHaveLength(1);
    expect(second.events).toEqual([]);

    await two.query({ name: "end_session", text });
    await eventually(() => first.events.includes("stop"));
    await eventually(() => [...first.events, ...second.events].length >= 3);
    expect(await eventually(async () => (await two.query(held)).length)).toBe(1);
    await holder.stop(2000);
    await eventually(() => second.events.includes("start"));
    await waiter.stop(2000);
    expect(second.events).toEqual(["start", "stop"]);
    expect(await one.query(held)).toHaveLength(0);
  });
});
