import type { Logger } from "pino";
import { expect, it } from "vitest";
import { toldError } from "../sdk/internal.ts";
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
    { err: toldError(one), run: "r", node: "n", scope: "", attempt: 2, code: "HANDLER_ERROR" },
    expect.objectContaining({ err: toldError(other) }),
  ]);
  nowMs = 60_000;
  fail(one);
  expect(lines[2]).toMatchObject({ err: toldError(one), before: 2 });
  nowMs = 61_000;
  fail(one);
  expect(lines).toHaveLength(3);
});

it("writes of an error what it says, and not what hangs on it", () => {
  const lines: object[] = [];
  const logger = { warn: (about: object) => lines.push(about) } as unknown as Logger;
  const error = Object.assign(new Error("no"), {
    config: { headers: { authorization: "s3cret" } },
  });
  Object.defineProperty(error, "body", {
    enumerable: true,
    get: () => {
      throw new TypeError("the stream was read");
    },
  });
  new ThrownLog(logger, () => 0).tell(step, toExecutionError(error));
  expect(JSON.stringify(lines)).toContain("Error: no");
  expect(JSON.stringify(lines)).not.toContain("s3cret");
});
