import type { Logger } from "pino";
import { expect, it } from "vitest";
import { Executions } from "./executions.ts";
import { ExecutionError } from "./kinds/kind.ts";
import { leasesOf, preparedOf, tokenOf } from "./lane.fixture.ts";

it("a step that fails for good is told, once a minute for its node and code, a retry is not", () => {
  const clock = { ms: 0 };
  const lines: object[] = [];
  let op = "X";
  const options = {
    logger: { warn: (about: object) => lines.push(about) } as unknown as Logger,
    nowMs: () => clock.ms,
    leases: leasesOf(clock),
    scripts: { keys: {} },
    executor: {
      fail: (_: unknown, __: unknown, { code, message }: ExecutionError) => ({
        results: [
          {
            op,
            node: 0,
            scope: "",
            attempt: 3,
            value: JSON.stringify({ error: { code, message } }),
          },
        ],
      }),
    },
  };
  const executions = new Executions(options as never, {} as never);
  const fail = (runId: string, code: string): void => {
    const p = preparedOf(tokenOf(runId));
    Object.assign(p.node, { refs: [], timeout_ms: null });
    executions.failed(p, new ExecutionError(code, "no more"));
  };
  fail("r1", "TIMEOUT");
  fail("r2", "TIMEOUT");
  fail("r3", "HTTP_500");
  op = "R";
  fail("r4", "HTTP_404");
  expect(lines).toEqual([
    expect.objectContaining({
      run: "r1",
      node: "a",
      attempt: 3,
      code: "TIMEOUT",
      reason: "no more",
    }),
    expect.objectContaining({ run: "r3", code: "HTTP_500" }),
  ]);
  [op, clock.ms] = ["U", 60_000];
  fail("r5", "TIMEOUT");
  expect(lines[2]).toMatchObject({ run: "r5", before: 1 });
});
