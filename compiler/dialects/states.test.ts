/** Words of the states form that end a run, and how a run then ends. */
import { describe, expect, it } from "vitest";
import { compileTemplate } from "../../condition/index.ts";
import { compile, type Ir, type Json } from "../index.ts";
import { interpret } from "../reference/index.ts";

type Entry = { [key: string]: Json };

const GOOD = ["end", "done", "complete"];
const BAD = ["fail", "abort"];
const ran = (id: string): Entry => ({ id, type: "task", action: "f" });
const fails = (id: string, code = "BOOM"): Entry => ({
  ...{ id, type: "task", action: "builtin.fail" },
  params: { code, message: "as it was told to" },
});

/** Status and error's code of a run, and the ids of its nodes. */
function ends(...states: Entry[]): { status: string; code: string | undefined; nodes: string[] } {
  const { ir, diagnostics } = compile({ document: { name: "s", states } });
  expect(diagnostics).toEqual([]);
  const { nodes } = ir as Ir;
  const { status, error } = interpret(
    ir as Ir,
    {},
    {
      handlers: {
        evaluate: ({ config }, { vars, data }) => {
          if (config["function_name"] !== "builtin.fail") return { output: data };
          const params = compileTemplate(config["params"] ?? {}).evaluate(vars) as Entry;
          return { error: { code: String(params["code"]), message: String(params["message"]) } };
        },
      },
    },
  );
  return { status, code: error?.code, nodes: nodes.map(({ id }) => id) };
}

describe("a word that ends the run", () => {
  it.each(BAD)("%s after a success ends it as a failure", (word) => {
    const found = ends({ ...ran("a"), on_success: word });
    expect(found).toEqual({ status: "FAILED", code: "FAILED", nodes: ["a", `a_${word}`] });
    expect(ends({ ...ran("a"), on_success: ["b", word] }, ran("b")).status).toBe("FAILED");
  });

  it.each(GOOD)("%s after a failure ends it well", (word) => {
    const found = ends({ ...fails("a"), on_failure: word });
    expect(found).toMatchObject({ status: "COMPLETED", nodes: ["a", `a_failed_${word}`] });
    expect(ends({ ...fails("a", "TIMEOUT"), on_timeout: word }).status).toBe("COMPLETED");
    const other = ends({ ...fails("a"), on_failure: [word, "b"] }, ran("b"));
    expect(other).toMatchObject({ status: "COMPLETED", nodes: ["a", "b"] });
  });

  it.each(BAD)("%s after a failure keeps what failed, also beside another state", (word) => {
    const alone = ends({ ...fails("a"), on_failure: word });
    expect(alone).toEqual({ status: "FAILED", code: "BOOM", nodes: ["a"] });
    const beside = ends({ ...fails("a"), on_failure: [word, "b"] }, ran("b"));
    expect(beside).toMatchObject({ status: "FAILED", code: "BOOM" });
    const late = { ...fails("a", "TIMEOUT"), on_timeout: word, on_failure: "b" };
    expect(ends(late, ran("b"))).toMatchObject({ status: "FAILED", code: "TIMEOUT" });
  });

  it.each(GOOD)("%s after a success is nothing more", (word) => {
    const found = ends({ ...ran("a"), on_success: word });
    expect(found).toEqual({ status: "COMPLETED", code: undefined, nodes: ["a"] });
  });

  it("is a state where one has that name, and takes no state's id", () => {
    const named = ends({ ...ran("a"), on_success: "fail" }, ran("fail"));
    expect(named).toMatchObject({ status: "COMPLETED", nodes: ["a", "fail"] });
    const taken = ends({ ...ran("a"), on_success: ["a_fail", "fail"] }, ran("a_fail"));
    expect(taken.nodes.sort()).toEqual(["a", "a_fail", "a_fail_2"]);
    const both = ends({ ...fails("a", "TIMEOUT"), on_failure: "end", on_timeout: "end" });
    expect(both).toMatchObject({
      status: "COMPLETED",
      nodes: ["a", "a_failed_end", "a_failed_end_2"],
    });
  });
});
