import { afterAll, beforeAll, expect, it } from "vitest";
import { intercepted, waitFor } from "../test/support/index.ts";
import { Certifier } from "./certify.ts";
import { Children } from "./children.ts";
import { contextOf, startStack, type Stack } from "./stack.fixture.ts";

/** At a page each two seconds the sweep would take half a minute. */
const CHILDREN = 3000;
let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

it("the sweep over open children looks at all of them, page after page, before it rests", async () => {
  const text = `INSERT INTO runs (id, tenant, workflow, version, ir_hash, partition, priority,
      status, input, created_at_ms, updated_at_ms, parent_run_id)
    SELECT 'r~' || to_char(i, 'FM00000'), '', 'w', '1', 'h', 0, 'normal', 'RUNNING', '{}', i, i, 'r'
    FROM generate_series(1, ${CHILDREN}) AS i`;
  await stack.db.query({ name: "fill", text });
  const seen = new Set<string>();
  const db = intercepted(stack.db, (name, call) => async (...args) => {
    const rows = (await call(...args)) as { id?: string }[];
    const statement = args[0] as { name?: string } | undefined;
    if (name === "query" && statement?.name === "children_open_page") {
      rows.forEach(({ id = "" }) => seen.add(id));
    }
    return rows;
  });
  const context = await contextOf(stack, { db });
  const certifier = new Certifier(context, 0);
  await certifier.start();
  await waitFor(() => certifier.epoch !== null);
  const children = new Children(context, 0);
  await children.start();
  await waitFor(() => seen.size === CHILDREN, { describe: "not all of them were looked at" });
  expect(Math.max(...[...seen].map((id) => Number(id.slice(2))))).toBe(CHILDREN);
  await children.stop(2000);
  await certifier.stop(2000);
  context.close();
});
