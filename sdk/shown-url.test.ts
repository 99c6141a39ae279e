import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { connectPostgres } from "./postgres/index.ts";
import { connectRedis } from "./redis/connect.ts";
import { shownUrl } from "./shown-url.ts";

describe("a URL is shown", () => {
  it.each([
    ["redis://localhost:6379/1", "redis://localhost:6379/1"],
    ["unix:///tmp/a.sock?db=1", "unix:///tmp/a.sock?db=1"],
    ["redis-cluster://a:1,b:2", "redis-cluster://a:1,b:2"],
    ["postgres://h/x?sslmode=verify-full", "postgres://h/x?sslmode=verify-full"],
    ["postgres:///x?host=%2Ftmp%2Fs", "postgres:///x?host=%2Ftmp%2Fs"],
    ["https://gateway.example/?a=b", "https://gateway.example/?a=b"],
  ])("whole if it holds no secret: %s", (url, shown) => {
    expect(shownUrl(url)).toBe(shown);
  });

  it.each([
    ["redis://:hidden@h:1/0", "redis://***@h:1/0"],
    ["rediss://u:hidden@h", "rediss://***@h"],
    ["REDIS://u:hidden@h", "REDIS://***@h"],
    ["redis:u:hidden@h", "redis:***@h"],
    ["redis-cluster://u:hidden@a:1,b:2", "redis-cluster://***@a:1,b:2"],
    ["rediss-cluster://u:hidden@a:1", "rediss-cluster://***@a:1"],
    ["postgresql://u:hidden@h/x", "postgresql://***@h/x"],
    // Not encoded.
    ["redis://:s3:hidden@t/#x@h", "redis://***@h"],
    ["postgres://admin:p@ss:w/hidden#d@h/x", "postgres://***@h/x"],
    ["postgres://admin:hid?den@h/x", "postgres://***@h/x"],
    ["postgres://admin:hid den\nhidden@h/x", "postgres://***@h/x"],
    ["postgres://u:%zzhidden@h", "postgres://***@h"],
    ["u:hidden@h", "u:***@h"],
    ["hidden@h", "***@h"],
    // In the query.
    ["postgres://h/x?user=u&password=hidden&a=b", "postgres://h/x?user=u&password=***&a=b"],
    ["postgres://u@h/x?password=hidden", "postgres://***@h/x?password=***"],
    ["postgres://h/x?password=hid#den", "postgres://h/x?password=***"],
    ["postgres://h/x?password=hid=den&a=b", "postgres://h/x?password=***&a=b"],
    ["postgres://h/x?pass%77ord=hidden", "postgres://h/x?pass%77ord=***"],
    ["postgres://h/x?%zzpassword=hidden", "postgres://h/x?%zzpassword=***"],
    ["postgres://h/x?sslPassword=hidden", "postgres://h/x?sslPassword=***"],
    ["redis://h?password=hidden", "redis://h?password=***"],
  ])("without its secrets: %s", (url, shown) => {
    expect(shownUrl(url)).toBe(shown);
    expect(shownUrl(url)).not.toMatch(/hid|den/);
  });
});

describe("a URL that no driver can read", () => {
  const remedy = expect.stringMatching(/cannot be read.*percent-encoded$/) as string;

  it("is told without its secret: of Redis", () => {
    let told: unknown;
    try {
      connectRedis({ url: "redis://u:p@ss:w/hid#den@h" }, "test");
    } catch (error) {
      told = error;
    }
    expect(told).toMatchObject({ code: "GV_BAD_CONFIG", message: remedy });
    expect(inspect(told)).not.toMatch(/hid|den/);
  });

  it("is told without its secret: of Postgres", async () => {
    const db = connectPostgres({ url: "postgres://u:p@ss:w/hid#den@h/x" });
    const told: unknown = await db
      .query({ name: "one", text: "SELECT 1" })
      .catch((e: unknown) => e);
    expect(told).toMatchObject({ code: "GV_BAD_CONFIG", message: remedy });
    expect(inspect(told)).not.toMatch(/hid|den@/);
    await db.close();
  });
});
