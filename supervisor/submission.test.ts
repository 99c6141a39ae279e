import { describe, expect, it } from "vitest";
import { isBad, readSubmission, runIdOfEntry, type Submission } from "./submission.ts";

const UUID = "01a1fc97-2a46-7859-aa60-36834bfffbae";
const read = (value: unknown, id = "1700000000000-0") =>
  readSubmission(id, ["submission", typeof value === "string" ? value : JSON.stringify(value)]);
const problemsOf = (value: unknown): string => {
  const one = read(value);
  return isBad(one) ? one.problems.map(({ message }) => message).join("; ") : "";
};

describe("readSubmission", () => {
  it("derives the same run id from the same entry", () => {
    const id = runIdOfEntry("1700000000000-3");
    expect(id).toBe(runIdOfEntry("1700000000000-3"));
    expect(id).not.toBe(runIdOfEntry("1700000000000-4"));
    expect(id).toMatch(/^018bcfe5-6800-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it("keeps the run id, key, priority, tenant and namespace that are given", () => {
    const given = { run_id: UUID, idempotency_key: "k", priority: "high", tenant: "t" };
    const one = read({ workflow: {}, input: [1], namespace: "ns:a1:", ...given }) as Submission;
    expect(one).toMatchObject({ runId: UUID, idempotencyKey: "k", priority: "high", tenant: "t" });
    expect(one).toMatchObject({ namespace: "ns:a1:", inputText: "[1]" });
  });

  it("gives the same payload the same request hash, whatever the order of its members", () => {
    const key = { idempotency_key: "k" };
    const one = read({ workflow: { a: 1, b: 2 }, input: { x: 1, y: 2 }, ...key }) as Submission;
    const two = read({ input: { y: 2, x: 1 }, workflow: { b: 2, a: 1 }, ...key }) as Submission;
    const other = read({ input: { y: 2, x: 2 }, workflow: { b: 2, a: 1 }, ...key }) as Submission;
    expect(two.requestHash).toBe(one.requestHash);
    expect(other.requestHash).not.toBe(one.requestHash);
  });

  it("splits a reference at its last @", () => {
    const one = read({ workflow_ref: "@team/flow@1.2" }) as Submission;
    expect(one.workflow).toEqual({ ref: { name: "@team/flow", version: "1.2" } });
  });

  it("says what is wrong", () => {
    expect(problemsOf("{")).toContain("not JSON");
    expect(problemsOf("[1]")).toContain("must be a JSON object");
    expect(problemsOf({})).toContain("exactly one of");
    expect(problemsOf({ workflow: {}, hash: "x" })).toContain("exactly one of");
    expect(problemsOf({ workflow: {}, run_id: "7" })).toContain("UUID");
    expect(problemsOf({ workflow: {}, priorty: "high" })).toContain('unknown member "priorty"');
    expect(problemsOf({ workflow: {}, tenant: "a\0b" })).toContain("without U+0000");
    expect(problemsOf({ workflow: {}, input: "x".repeat(1 << 20) })).toContain("larger than");
    expect(isBad(readSubmission("1-0", ["other", "x"]))).toBe(true);
  });

  it("refuses to answer anywhere but in a stream of answers", () => {
    expect(problemsOf({ workflow: {}, reply_to: "gv:{0}:ev" })).toContain("reply_to must be");
    const own = read({ workflow: {}, reply_to: "gv:submissions:replies:me" }) as Submission;
    expect(own.replyTo).toBe("gv:submissions:replies:me");
  });

  it("survives any nesting", () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const one = read(`{"workflow":{},"input":${deep}}`);
    expect(isBad(one) || one.inputText.length > 0).toBe(true);
  });
});
