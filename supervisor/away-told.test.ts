import { pino } from "pino";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { compile, type Ir } from "../compiler/index.ts";
import { globalKeys, partitionKeys } from "../sdk/internal.ts";
import { listRuns } from "../sdk/postgres/index.ts";
import { intercepted, waitFor } from "../test/support/index.ts";
import { createSupervisor } from "./index.ts";
import { startStack, work, type Stack } from "./stack.fixture.ts";

let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

interface Line {
  level: number;
  msg: string;
  code?: string;
  causes?: string[];
}

it("Postgres away is one line of a supervisor's log, and its return another", async () => {
  const lines: Line[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const away = { is: false, refused: 0 };
  const database = intercepted(stack.db, (name, call) => (...args) => {
    if (away.is && (name === "query" || name === "transaction")) {
      away.refused += 1;
      const error = new Error("connect ECONNREFUSED 127.0.0.1:5432");
      return Promise.reject(Object.assign(error, { code: "ECONNREFUSED" }));
    }
    return call(...args);
  });
  const { redisUrl } = stack;
  const one = createSupervisor({ redisUrl, database, logger, partitions: 1 });
  onTestFinished(() => one.stop(5000));
  await one.start();
  await waitFor(() => one.roles().length === 1);
  const nodes = [{ id: "a", type: "function", config: { function_name: "work" } }];
  const workflow = { metadata: { name: "w" }, nodes, edges: [] };
  const { ir, hash } = compile({ document: workflow });
  await stack.redis.xadd(globalKeys.submissions, "*", "submission", JSON.stringify({ workflow }));
  const { entryQueue } = partitionKeys(0);
  await waitFor(() => stack.redis.exists(entryQueue("fn:work", "normal")));
  // The archiver has begun, and looked for repairs that were cut off, which has a line of its own.
  const begun = async () => (await listRuns(stack.db, { limit: 1 }))[0]?.status === "RUNNING";
  await waitFor(begun);
  lines.length = 0;
  away.is = true;
  // The archive has a block in hand, and tries that by itself.
  expect(await work(stack, ir as Ir, hash as string)).toBe(1);
  await waitFor(() => away.refused >= 40);
  const code = "GV_DATABASE_UNAVAILABLE";
  expect(lines.filter(({ level }) => level >= 40)).toMatchObject([{ level: 40, code }]);
  away.is = false;
  const isBack = ({ causes }: Line): boolean => causes?.[0] === code;
  await waitFor(() => lines.some(isBack));
  await one.stop(5000);
  expect(lines.filter(({ level }) => level >= 40)).toHaveLength(2);
});
