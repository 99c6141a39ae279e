import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testDatabase, testRedis, waitFor, type TestDatabase, type TestRedis } from "./index.ts";

let one: TestRedis;
let other: TestRedis;
let database: TestDatabase;

beforeAll(async () => {
  [one, other, database] = await Promise.all([testRedis(), testRedis(), testDatabase()]);
});
afterAll(() => Promise.all([one.close(), other.close(), database.close()]));

describe("test services", () => {
  it("give every caller an empty Redis database of its own", async () => {
    await one.connect().set("a", "1");
    expect(await other.connect().dbsize()).toBe(0);
    await one.flush();
    expect(await one.connect().dbsize()).toBe(0);
  });

  it.skipIf(process.env["GAVOTTE_REDIS_URL"])(
    "let nobody empty the Redis databases of others",
    async () => {
      await other.connect().set("kept", "1");
      const mine = one.connect();
      await expect(mine.flushall()).rejects.toThrow(/NOPERM/);
      await expect(mine.script("FLUSH")).rejects.toThrow(/NOPERM/);
      expect(await other.connect().get("kept")).toBe("1");
      await other.flush();
    },
  );

  it("give every caller a migrated Postgres database of its own", async () => {
    const text = "SELECT count(*) AS n FROM schema_migrations";
    const [row] = await database.connect().query<{ n: number }>({ name: "migrations", text });
    expect(row?.n).toBeGreaterThan(0);
    await database.empty();
  });
});

describe("waitFor", () => {
  it("returns the first truthy value", async () => {
    let calls = 0;
    expect(await waitFor(() => (calls++ < 2 ? undefined : "there"))).toBe("there");
  });

  it("says what was waited for, with the last error as the cause", async () => {
    const failing = waitFor(() => Promise.reject(new Error("no")), {
      timeoutMs: 30,
      describe: "the lamp stays dark",
    });
    await expect(failing).rejects.toThrow(/the lamp stays dark/);
    await expect(failing).rejects.toHaveProperty("cause.message", "no");
  });
});
