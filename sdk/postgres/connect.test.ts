/** Connections that are lost in moments in which nobody asks them anything. */
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { testDatabase } from "../../test/support/index.ts";
import { connectPostgres } from "./connect.ts";

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
