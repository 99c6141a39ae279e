/** What Postgres refuses for want of rights or a right URL says what to do. */
import { randomBytes } from "node:crypto";
import { afterAll, expect, it } from "vitest";
import { testDatabase } from "../../test/support/index.ts";
import { connectPostgres, databaseError, type Database } from "./connect.ts";
import { assertSchema, migrate } from "./migrate.ts";

const server = await testDatabase({ migrated: false });
const db = server.connect();
const role = `gv_poor_${randomBytes(4).toString("hex")}`;
let serial = 0;
const run = (text: string): Promise<unknown> => db.query({ name: `refused_${serial++}`, text });
const poor: Database[] = [];

afterAll(async () => {
  await Promise.all(poor.map((one) => one.close()));
  await run(`DROP OWNED BY ${role}`);
  await run(`DROP ROLE ${role}`);
  await server.close();
});

it("a role without rights is told who has to do what", async ({ skip }) => {
  await run(`CREATE ROLE ${role} LOGIN`);
  skip(server.singleSession, "PGlite has one user");
  // On a socket a URL has no host, which is none by the rules of URLs.
  const url = server.url.replace(/\/\/[^@]*@/, `//${role}@`);
  const asPoor = connectPostgres({ ...server.target, url, name: "poor" });
  poor.push(asPoor);
  await run("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
  await expect(migrate(asPoor)).rejects.toMatchObject({
    code: "GV_BAD_CONFIG",
    message: expect.stringMatching(/may not create tables in schema public.*owner/) as unknown,
  });
  await migrate(db);
  await expect(assertSchema(asPoor)).rejects.toMatchObject({
    code: "GV_BAD_CONFIG",
    message: expect.stringMatching(/permission denied for .*migrate --grant ROLE/) as unknown,
  });
});

it("a wrong password, user or database names the option", () => {
  for (const code of ["28P01", "28000", "3D000"]) {
    const error = Object.assign(new Error("password authentication failed"), { code });
    expect(databaseError(error, "connect")).toMatchObject({
      code: "GV_BAD_CONFIG",
      message: expect.stringContaining("database_url") as unknown,
      cause: error,
    });
  }
});
