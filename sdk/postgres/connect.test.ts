/** Connections that are lost in moments in which nobody asks them anything. */
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { testDatabase } from "../../test/support/index.ts";
import { connectPostgres, type Queryable } from "./connect.ts";

/** A message of the server: its type, its length, its text. */
function message(type: string, text: string): Buffer {
  const body = Buffer.from(text, "latin1");
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
}

it("a server that goes away as one hands its connection to the next fails what asks, and no process", async () => {
  const ready = message("Z", "I");
  const done = message("C", "SELECT 0\0");
  const gone = message("E", "SFATAL\0C57P01\0Mterminating connection\0\0");
  const server = createServer((socket) => {
    // What it is sent: the start, what every session begins with, the first question.
    const answers = [
      [message("R", "\0\0\0\0"), ready],
      [done, ready],
      [done, ready, gone],
    ];
    socket.on("error", () => undefined);
    socket.on("data", () => socket.write(Buffer.concat(answers.shift() ?? [])));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const url = `postgres://nobody@127.0.0.1:${port}/none`;
  const db = connectPostgres({ url, connectionsMax: 1 });
  const first = db.query({ name: "one", text: "SELECT 1" });
  const next = db.transaction((tx) => tx.query({ name: "two", text: "SELECT 2" }));
  await expect(first).resolves.toEqual([]);
  await expect(next).rejects.toThrow();
  await db.close();
  server.close();
});

it("connections that are all busy are not called a server that cannot be reached", async () => {
  const database = await testDatabase();
  const config = { connectionString: database.url, connectionTimeoutMillis: 50 };
  const db = connectPostgres({ connectionsMax: 1, singleSession: true, config });
  let leave = (): void => undefined;
  const isTaken = new Promise<void>((taken) => {
    void db.transaction(() => {
      taken();
      return new Promise<void>((resolve) => (leave = resolve));
    });
  });
  await isTaken;
  const asked = db.query({ name: "two", text: "SELECT 2" });
  await expect(asked).rejects.toMatchObject({
    code: "GV_DATABASE_UNAVAILABLE",
    message: expect.stringMatching(
      /^no connection to Postgres became free in time \(connect\)/,
    ) as string,
  });
  leave();
  await db.close();
  await database.close();
});

it("a transaction whose process stands still ends, and with it its locks", async ({ skip }) => {
  const database = await testDatabase();
  skip(database.singleSession, "PGlite ends with its process");
  const db = database.connect();
  const held = async (tx: Queryable): Promise<string | undefined> => {
    const text = "SELECT current_setting('idle_in_transaction_session_timeout') AS ms";
    const [row] = await tx.query<{ ms: string }>({ name: "limit", text });
    await tx.query({ name: "short", text: "SET idle_in_transaction_session_timeout = 50" });
    await tx.query({ name: "lock", text: "SELECT pg_advisory_xact_lock(99)" });
    await other.query({ name: "take", text: "SELECT pg_advisory_lock(99)" });
    expect(row?.ms).toBe("15s");
    await tx.query({ name: "late", text: "SELECT 1" });
    return row?.ms;
  };
  const other = database.connect({ connectionsMax: 1 });
  const late = db.transaction(held);
  // It is as if the server were away: what was asked is asked again.
  await expect(late).rejects.toMatchObject({ code: "GV_DATABASE_UNAVAILABLE" });
  await database.close();
});
