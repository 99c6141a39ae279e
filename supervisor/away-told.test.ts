import { pino } from "pino";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { intercepted, waitFor } from "../test/support/index.ts";
import { createSupervisor } from "./index.ts";
import { startStack, type Stack } from "./stack.fixture.ts";

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
  const one = createSupervisor({ redisUrl, database, logger, partitions: 4 });
  onTestFinished(() => one.stop(5000));
  await one.start();
  await waitFor(() => one.roles().length === 4);
  lines.length = 0;
  away.is = true;
  await waitFor(() => away.refused >= 40);
  const code = "GV_DATABASE_UNAVAILABLE";
  expect(lines.filter(({ level }) => level >= 40)).toMatchObject([{ level: 40, code }]);
  away.is = false;
  const isBack = ({ causes }: Line): boolean => causes?.[0] === code;
  await waitFor(() => lines.some(isBack));
  await one.stop(5000);
  expect(lines.filter(({ level }) => level >= 40)).toHaveLength(2);
});
