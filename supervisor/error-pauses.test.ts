import { afterAll, expect, it } from "vitest";
import { partitionKeys } from "../sdk/internal.ts";
import { insertSegments, type Queryable } from "../sdk/postgres/index.ts";
import { testDatabase, waitFor } from "../test/support/index.ts";
import { Certifier } from "./certify.ts";
import { errorsInARow, pauseAfterErrors, type Failing } from "./error-pauses.ts";
import { contextOf, startStack } from "./stack.fixture.ts";

const server = await testDatabase();
const db = server.connect();
afterAll(() => server.close());

let asked = 0;
const counted: Queryable = {
  query: (statement, values) => {
    asked += 1;
    return db.query(statement, values);
  },
};

const LETTERS: { readonly [letter: string]: string } = {
  ...{
    f: "node.failed",
    r: "node.retrying",
    c: "node.completed",
    g: "run.resumed",
    s: "node.ready",
  },
};
/** The text of a row that says what these letters stand for; without its end. */
const rowOf = (seq: number, letters: string, filler: string): string =>
  `[${[...letters].map((e, i) => `["${seq}.${i}",1,{"e":"${LETTERS[e] ?? ""}","x":"${filler}"}`).join("],")}`;

/** A run whose archived rows are these, and whose block is the last of them. */
async function run(runId: string, rows: string, max: number, filler = ""): Promise<Failing> {
  const all = rows.split(" ");
  const seqFrom = all.length;
  const segments = all.slice(0, -1).map((letters, i) => ({
    ...{ partition: 0, runId, seqFrom: i + 1, seqTo: i + 1, tFrom: 1, tTo: 1 },
    transitions: `${rowOf(i + 1, letters, filler)}]]`,
  }));
  await insertSegments(db, segments);
  const text = rowOf(seqFrom, all.at(-1) ?? "", "");
  return { run: { runId, seqFrom, seqTo: seqFrom, text }, max };
}

/** What is counted of runs with these rows, and how often Postgres was asked for it. */
async function countsOf(failing: readonly Failing[]): Promise<[number[], number]> {
  asked = 0;
  const counts = await errorsInARow(counted, failing);
  return [failing.map(({ run: { runId } }) => counts.get(runId) ?? 0), asked];
}

it("counts back to the last success, resume or redrive, in the block and in the archive", async () => {
  const failing = [
    await run("a", "f r r", 9),
    await run("b", "f c r sf", 9),
    await run("c", "f rg r", 9),
    await run("d", "f fcr", 9),
    await run("e", "f f f f f", 3),
    await run("f", "r", 9),
    await run("g", `${"r ".repeat(50)}r`, 48),
  ];
  expect((await countsOf(failing))[0]).toEqual([3, 2, 1, 1, 3, 1, 48]);
});

it("asks Postgres as often for all failing runs of a block as for one", async () => {
  const one = await run("one", "f r r", 9);
  const many: Failing[] = [];
  for (let i = 0; i < 300; i++) {
    many.push(await run(`many-${i}`, "c f r r", 9));
  }
  const [, alone] = await countsOf([one]);
  const [counts, together] = await countsOf(many);
  expect(counts).toEqual(many.map(() => 3));
  expect(together).toBe(alone);
  expect((await countsOf([await run("decided", "f c fff", 3)]))[1]).toBe(0);
});

it("reads as much at a time as one may hold, and leaves none out for it", async () => {
  const filler = "x".repeat(3 * 1024 * 1024);
  const failing: Failing[] = [];
  for (const id of ["large-1", "large-2", "large-3"]) {
    failing.push(await run(id, "c r r r", 9, filler));
  }
  expect((await countsOf(failing))[0]).toEqual([3, 3, 3]);
  expect(asked).toBeGreaterThan(1);
});

it("pauses the others beside a run in place of whose key something else stands", async () => {
  const stack = await startStack();
  const context = await contextOf(stack, { id: "s" });
  const certifier = new Certifier(context, 0);
  await certifier.start();
  await waitFor(() => certifier.epoch !== null, { describe: "it is not certified" });
  const keys = partitionKeys(0);
  await stack.redis.set(keys.run("damaged"), "put here by hand");
  await stack.redis.hset(keys.run("other"), { s: "running", e: "1" });
  const ids = ["damaged", "other"];
  const text = rowOf(1, "f", "");
  const rows = ids.map((runId) => ({ runId, seqFrom: 1, seqTo: 1, text, endedAtMs: null }));
  const fold = { withErrors: new Set(ids), runs: new Map(rows.map((row) => [row.runId, row])) };
  const irs = new Map(ids.map((id) => [id, { ir: { settings: { pause_after_errors: 1 } } }]));
  const asked = [context, 0, fold, irs, new Set()] as unknown as Parameters<
    typeof pauseAfterErrors
  >;
  expect(await pauseAfterErrors(...asked)).toEqual(["other"]);
  expect(await stack.redis.hget(keys.run("other"), "s")).toBe("paused");
  await certifier.stop(100);
  context.close();
  await stack.close();
});
