/** What a `gavotte run` waits for when its run has ended. */
import { afterAll, expect, it } from "vitest";
import { testDatabase } from "../test/support/index.ts";
import type { Context } from "./context.ts";
import { Output } from "./output.ts";
import { serveRest } from "./serve-rest.ts";

const server = await testDatabase();
const db = server.connect();
afterAll(() => server.close());

let serial = 0;
const run = (text: string): Promise<unknown> => db.query({ name: `rest_${serial++}`, text });

/** Open runs of the tree, one after the other. */
async function open(namespace: string, ids: string): Promise<void> {
  await run(`INSERT INTO runs (id, namespace, workflow, version, ir_hash, partition, priority, status,
      input, created_at_ms, started_at_ms, updated_at_ms)
    SELECT id, '${namespace}', 'w', '1', 'h', 0, 'normal', 'RUNNING', '{}', 1, 1, 1 FROM (${ids}) AS t (id)`);
}

it("serves a run of its namespace behind a hundred that others serve", async () => {
  await open("", "SELECT 'root~c' || i FROM generate_series(1, 100) AS i");
  await open("ns:x:", "VALUES ('root~last')");
  const said: string[] = [];
  const stderr = {
    write: (text: string) => {
      said.push(text);
      void run("UPDATE runs SET status = 'COMPLETED', ended_at_ms = 2 WHERE id = 'root~last'");
    },
  };
  const output = new Output({ stdout: stderr, stderr });
  const context = { output, signal: new AbortController().signal } as Context;
  await serveRest(context, db, { runId: "root", namespace: "ns:x:" });
  expect(said.join("")).toContain("run root~last (w) goes on, and is served here until its end");
});
