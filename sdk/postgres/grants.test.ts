/** The rights of a role that is not the schema's owner. */
import { randomBytes } from "node:crypto";
import { afterAll, expect, it } from "vitest";
import { testDatabase } from "../../test/support/index.ts";
import { GRANTS, grantTo } from "./grants.ts";

const server = await testDatabase();
const db = server.connect();
const role = `gv "role" ${randomBytes(4).toString("hex")}`;
const name = `"${role.replaceAll('"', '""')}"`;
let serial = 0;
const statement = (text: string) => ({ name: `grants_test_${serial++}`, text });

afterAll(async () => {
  await db.query(statement(`DROP OWNED BY ${name}`));
  await db.query(statement(`DROP ROLE ${name}`));
  await server.close();
});

/** What statements come to when the role makes them; nothing of it stays. */
async function asRole(...texts: string[]): Promise<string> {
  const undo = new Error("undo");
  return db
    .transaction(async (tx) => {
      await tx.query(statement(`SET LOCAL ROLE ${name}`));
      for (const text of texts) {
        await tx.query(statement(text));
      }
      throw undo;
    })
    .then(
      () => "",
      (error: Error) => (error === undo ? "done" : error.message),
    );
}

it("says that a role has to be made first", async () => {
  await expect(grantTo(db, role)).rejects.toMatchObject({
    code: "GV_BAD_INPUT",
    message: expect.stringContaining(`CREATE ROLE ${name} LOGIN`) as string,
  });
  await db.query(statement(`CREATE ROLE ${name}`));
  await grantTo(db, role);
  await grantTo(db, role);
});

it("knows every table and view of the schema", async () => {
  const rows = await db.query<{ name: string }>(
    statement(`SELECT relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE nspname = current_schema() AND relkind IN ('r', 'v', 'm', 'p') ORDER BY 1`),
  );
  expect(Object.keys(GRANTS).sort()).toEqual(rows.map((row) => row.name));
});

it.each(["journal", "audit", "approval_decisions", "run_attempts"])(
  "lets it read and add to %s, and not change it",
  async (table) => {
    expect(await asRole(`SELECT 1 FROM ${table}`)).toBe("done");
    expect(await asRole(`INSERT INTO ${table} SELECT * FROM ${table}`)).toBe("done");
    for (const text of [`DELETE FROM ${table}`, `TRUNCATE ${table}`]) {
      expect(await asRole(text)).toMatch(/permission denied/);
      // The word with which retention passes the trigger is no right.
      expect(await asRole("SET LOCAL gavotte.retention = 'on'", text)).toMatch(/permission denied/);
    }
  },
);

it("lets it delete ended runs by the function alone", async () => {
  expect(await asRole("DELETE FROM runs")).toMatch(/permission denied/);
  expect(await asRole("SELECT gv_delete_trees('{r}', 1, 1)")).toBe("done");
  await db.query(statement(`REVOKE EXECUTE ON FUNCTION gv_delete_trees FROM ${name}`));
  expect(await asRole("SELECT gv_delete_trees('{r}', 1, 1)")).toMatch(/permission denied/);
});
