import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testDatabase, type TestDatabase } from "../../test/support/index.ts";
import { ROW_TRANSITIONS, type RunStatus } from "../status.ts";
import { admitRuns } from "./admission.ts";
import type { Database } from "./connect.ts";
import { migrate } from "./migrate.ts";

let database: TestDatabase;
let db: Database;
beforeAll(async () => {
  database = await testDatabase();
  db = database.connect();
  await migrate(db);
  const definition = { hash: "h", name: "w", version: "", source: null, createdAtMs: 1, ir: "{}" };
  await admitRuns(db, [definition], []);
});
afterAll(() => database.close());

const STATUSES = Object.keys(ROW_TRANSITIONS) as RunStatus[];
const matrix = STATUSES.flatMap((from) => STATUSES.map((to) => [from, to] as const));

describe("X17: the row of a run", () => {
  it.each(matrix)("that is %s becomes %s, or is refused", async (from, to) => {
    const id = `${from}-${to}`;
    await db.query(
      {
        name: "test_row",
        text: `INSERT INTO runs (id, workflow, version, ir_hash, partition, namespace, priority, input,
          created_at_ms, updated_at_ms, status) VALUES ($1, 'w', '', 'h', 0, '', 'normal', 'null', 1, 1, $2)`,
      },
      [id, from],
    );
    const change = db.query<{ status: string }>(
      { name: "test_become", text: "UPDATE runs SET status = $2 WHERE id = $1 RETURNING status" },
      [id, to],
    );
    if (to === from || ROW_TRANSITIONS[from].includes(to)) {
      expect(await change).toEqual([{ status: to }]);
    } else {
      await expect(change).rejects.toThrow(`run ${id} is ${from}: it cannot become ${to}`);
    }
  });
});
