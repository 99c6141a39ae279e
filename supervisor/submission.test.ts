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

  it("gives another workflow, priority or namespace under the same key another request hash", () => {
    const same = { workflow_ref: "flow@1", idempotency_key: "k" };
    const others = [
      ...[same, { ...same, workflow_ref: "flow@2" }, { ...same, workflow_ref: "flow" }],
      ...[
        { idempotency_key: "k", hash: "flow@1" },
        { ...same, priority: "high" },
      ],
      ...[
        { ...same, namespace: "ns:a1:" },
        { ...same, namespace: "ns:a2:" },
      ],
    ].map((one) => (read(one) as Submission).requestHash);
    expect(new Set(others).size).toBe(others.length);
  });

  it("splits a reference at its last @", () => {
    const one = read({ workflow_ref: "@team/flow@1.2" }) as Submission;
    expect(one.workflow).toEqual({ ref: { name: "@team/flow", version: "1.2" } });
    const newest = read({ workflow_ref: "@flow" }) as Submission;
    expect(newest.workflow).toEqual({ ref: { name: "@flow", version: null } });
  });

  it("says what is wrong", () => {
    expect(problemsOf("{")).toContain("not JSON");
    expect(problemsOf("[1]")).toContain("must be a JSON object");
    expect(problemsOf({})).toContain("exactly one of");
    expect(problemsOf({ workflow: {}, hash: "x" })).toContain("exactly one of");
    expect(problemsOf('{"workflow":{},"input":{"x":[1e999]}}')).toContain("1.8e308 at /input/x/0");
    expect(problemsOf({ workflow: {}, run_id: "7" })).toContain("UUID");
    expect(problemsOf({ workflow: {}, priorty: "high" })).toContain('unknown member "priorty"');
    expect(problemsOf({ workflow: {}, tenant: "a\0b" })).toContain("without U+0000");
    expect(problemsOf({ workflow: {}, input: "x".repeat(1 << 20) })).toContain("larger than");
    // In bytes, not in characters.
    expect(problemsOf({ workflow: {}, input: "ä".repeat(1 << 19) })).toContain("larger than");
    expect(problemsOf({ workflow: {}, priority: "urgent" })).toContain("priority must be one of");
    expect(problemsOf({ workflow: {}, tenant: "x".repeat(257) })).toContain("at most 256");
    expect(problemsOf(" ".repeat(4 * 1024 * 1024 + 1))).toContain("the submission is larger than");
    expect(isBad(readSubmission("1-0", ["other", "x"]))).toBe(true);
  });

  it("knows a namespace by its name, as workers and commands do, and as queues have it", () => {
    for (const namespace of ["blue", "ns:blue:"]) {
      const one = read({ workflow: {}, namespace }) as Submission;
      expect(one.namespace).toBe("ns:blue:");
    }
  });

  it("lets nobody out of a namespace by its name: it becomes a part of the names of queues", () => {
    for (const namespace of ["ns:", "ns:a", "a:", "ns:a:b:", "ns:a}:", "ns:{0}:", "\nns:a:"]) {
      expect(problemsOf({ workflow: {}, namespace })).toMatch(/<id> or ns:<id>:/);
    }
  });

  it("names the run of a bad submission, and its stream of answers, as far as they were given", () => {
    const rest = { reply_to: "gv:submissions:replies:me", priority: "?" };
    expect(read({ workflow: {}, run_id: UUID, ...rest })).toMatchObject({
      ...{ runId: UUID, replyTo: "gv:submissions:replies:me" },
    });
    expect(read({ workflow: {}, ...rest })).toMatchObject({ runId: null });
  });

  it("keeps for the dead letters what came, and of what is too large to be sent again the beginning", () => {
    const kept = (raw: string): boolean => read(raw).raw === raw;
    expect(kept("x".repeat(100_000))).toBe(true);
    expect(kept("x".repeat(4 * 1024 * 1024))).toBe(true);
    expect(read("x".repeat(4 * 1024 * 1024 + 1)).raw).toHaveLength(65_536);
  });

  it("refuses to answer anywhere but in a stream of answers", () => {
    expect(problemsOf({ workflow: {}, reply_to: "gv:{0}:ev" })).toContain("reply_to must be");
    const near = "gv:submissions:repliesX";
    expect(problemsOf({ workflow: {}, reply_to: near })).toContain("reply_to must be");
    const own = read({ workflow: {}, reply_to: "gv:submissions:replies:me" }) as Submission;
    expect(own.replyTo).toBe("gv:submissions:replies:me");
  });

  it("X20: takes where to begin with what is given, and nothing given without it", () => {
    const at = { workflow: {}, start_at: ["b", "b"], outputs: { a: 1 } };
    expect((read(at) as Submission).start).toEqual({ at: ["b"], inputs: {}, outputs: { a: 1 } });
    expect((read({ workflow: {} }) as Submission).start).toBeNull();
    expect(problemsOf({ workflow: {}, outputs: {} })).toContain("outputs goes with start_at");
    expect(problemsOf({ workflow: {}, start_at: [] })).toContain("a list of node ids");
    expect(problemsOf({ workflow: {}, start_at: ["b"], inputs: [] })).toContain("inputs must be");
    const large = { ...at, outputs: { a: "x".repeat(1024 * 1024) } };
    expect(problemsOf(large)).toContain("larger than 1048576 bytes");
    const hashOf = (more: object): string =>
      (read({ workflow: {}, idempotency_key: "k", ...more }) as Submission).requestHash;
    expect(hashOf({ start_at: ["b"] })).not.toBe(hashOf({}));
    expect(hashOf({ start_at: ["b"] })).toBe(hashOf({ start_at: ["b"], outputs: {} }));
  });

  it("takes the text of a file in place of the document, and not one for the other", () => {
    const given = { idempotency_key: "k", workflow: '{"a": 1}' };
    const one = read(given) as Submission;
    expect(one.workflow).toMatchObject({ source: { text: '{"a": 1}' }, text: '{"a": 1}' });
    const document = read({ ...given, workflow: { a: 1 } }) as Submission;
    expect(document.workflow).not.toMatchObject({ key: (one.workflow as { key: string }).key });
    expect(document.requestHash).not.toBe(one.requestHash);
    expect(problemsOf({ workflow: 7 })).toBe("workflow must be an object, or the text of a file");
  });

  it("survives any nesting", () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const one = read(`{"workflow":{},"input":${deep}}`);
    expect(isBad(one) || one.inputText.length > 0).toBe(true);
  });
});
