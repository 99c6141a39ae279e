import type { Logger } from "pino";
import { expect, it } from "vitest";
import { toExecutionError } from "./kinds/kind.ts";
import type { Prepared } from "./prepared.ts";
import { ThrownLog } from "./thrown-log.ts";

const step = {
  token: { runId: "r", scope: "", attempt: 2 },
  node: { id: "n" },
} as unknown as Prepared;

it("tells of each place once a minute, with how often it was not told, and of no chosen code", () => {
  let nowMs = 0;
  const lines: object[] = [];
  const logger = { warn: (about: object) => lines.push(about) } as unknown as Logger;
  const log = new ThrownLog(logger, () => nowMs);
  const one = new Error("one");
  const other = new Error("other");
  const fail = (thrown: unknown): void => log.tell(step, toExecutionError(thrown));
  [one, one, other, one, "text", Object.assign(new Error(), { code: "OWN" })].forEach(fail);
  expect(lines).toEqual([
    { err: one, run: "r", node: "n", scope: "", attempt: 2, code: "HANDLER_ERROR" },
    expect.objectContaining({ err: other }),
  ]);
  nowMs = 60_000;
  fail(one);
  expect(lines[2]).toMatchObject({ err: one, before: 2 });
  nowMs = 61_000;
  fail(one);
  expect(lines).toHaveLength(3);
});
