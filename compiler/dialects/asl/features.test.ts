/**
 * Each row of the tables in docs/dialects.md, by a snippet: what is supported has an effect, what is
 * refused is refused at its place, what is left out changes nothing and is told.
 */
import { describe, expect, it } from "vitest";
import { compile } from "../../index.ts";
import type { Diagnostic, Json } from "../../index.ts";
import { chain, machineIr } from "./asl.fixture.ts";
import type { JsonObject } from "./asl.fixture.ts";
import { COMPARISONS, QUESTIONS } from "./choice.ts";
import { ERROR_CODES } from "./failures.ts";
import { entrySnippet, innerSnippet, machineSnippet, stateSnippet } from "./features.fixture.ts";
import type { Snippet } from "./features.fixture.ts";
import {
  CATCHER_FIELDS,
  INNER_FIELDS,
  MACHINE_FIELDS,
  RETRIER_FIELDS,
  STATE_FIELDS,
} from "./fields.ts";
import type { Field } from "./fields.ts";
import { INTRINSICS } from "./intrinsics.ts";
import { CONTEXT_VALUES } from "./paths.ts";
import { RESOURCES } from "./resources.ts";

/** Fields that say nothing to the engine, or only what is so anyway. */
const SILENT: ReadonlySet<string> = new Set(["Comment", "QueryLanguage", "Version"]);

interface Row {
  name: string;
  field: string;
  support: Field["support"];
  snippet: () => Snippet;
}

function rowsOf(
  place: string,
  fields: Readonly<Record<string, Field>>,
  snippet: (field: string) => Snippet,
): Row[] {
  return Object.entries(fields).map(([field, { support }]) => ({
    name: `${field} of ${place}`,
    ...{ field, support, snippet: () => snippet(field) },
  }));
}

const ROWS: Row[] = [
  ...Object.entries<Readonly<Record<string, Field>>>(STATE_FIELDS).flatMap(([type, fields]) =>
    rowsOf(type, fields, (field) => stateSnippet(type, field)),
  ),
  ...rowsOf("a machine", MACHINE_FIELDS, machineSnippet),
  ...rowsOf("an inner machine", INNER_FIELDS, innerSnippet),
  ...rowsOf("an entry of Retry", RETRIER_FIELDS, (field) => entrySnippet("Retry", field)),
  ...rowsOf("an entry of Catch", CATCHER_FIELDS, (field) => entrySnippet("Catch", field)),
];

const compiled = (document: Json): ReturnType<typeof compile> =>
  compile({ document, dialect: "asl", file: "snippet.asl.json" });

function found(diagnostics: readonly Diagnostic[], code: string): string[] {
  return diagnostics.filter((told) => told.code === code).map(({ pointer }) => pointer);
}

describe("a field of the language", () => {
  it.each(ROWS.filter(({ support }) => support === "yes"))("$name has an effect", (row) => {
    const { with: there, without } = row.snippet();
    const result = compiled(there);
    expect(result.diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
    if (SILENT.has(row.field)) return;
    expect(result.hash).not.toBe(compiled(without).hash);
  });

  it.each(ROWS.filter(({ support }) => support === "no"))("$name is refused", (row) => {
    const { with: there, pointer } = row.snippet();
    const { diagnostics, ir } = compiled(there);
    expect(ir).toBeNull();
    expect(found(diagnostics, "GV5001")).toContain(pointer);
  });

  it.each(ROWS.filter(({ support }) => support === "lost"))("$name is left out", (row) => {
    const { with: there, without, pointer } = row.snippet();
    const { diagnostics, hash } = compiled(there);
    expect(found(diagnostics, "GV5002")).toEqual([pointer]);
    expect(hash).toBe(compiled(without).hash);
  });

  it("that is in no table is refused", () => {
    const { diagnostics } = compiled(chain({ A: { Type: "Pass", Colour: "red" } }));
    expect(found(diagnostics, "GV1011")).toEqual(["/States/A/Colour"]);
  });
});

/** A choice with one rule; its condition. */
function conditionOf(rule: JsonObject): string | null {
  const states = {
    C: { Type: "Choice", Choices: [{ ...rule, Next: "Y" }], Default: "N" },
    Y: { Type: "Succeed" },
    N: { Type: "Fail" },
  };
  const ir = machineIr({ StartAt: "C", States: states });
  return ir.edges.find(({ condition }) => condition !== null)?.condition ?? null;
}

describe("a comparison", () => {
  const right = { string: "b", number: 2, boolean: true, timestamp: "2026-03-01T08:00:00Z" };

  it.each(Object.entries(COMPARISONS))("%s compares with a value, and with a path", (name, it_) => {
    const value = right[it_.takes];
    const written = JSON.stringify(value);
    expect(conditionOf({ Variable: "$.a", [name]: value })).toBe(it_.write("output.a", written));
    const path = conditionOf({ Variable: "$.a", [`${name}Path`]: "$.b" });
    expect(path).toBe(it_.write("output.a", "output.b"));
  });

  it.each(Object.entries(QUESTIONS))("%s asks, and asks for the contrary", (name, write) => {
    expect(conditionOf({ Variable: "$.a", [name]: true })).toBe(write("output.a"));
    expect(conditionOf({ Variable: "$.a", [name]: false })).toBe(`!(${write("output.a")})`);
  });

  it("StringMatches, IsPresent, And, Or and Not are those of the table", () => {
    const present = { Variable: "$.a", IsPresent: true };
    expect(conditionOf({ Variable: "$.v", StringMatches: "a*" })).toBe(
      'isString(output.v) && output.v.matches("(?s)^a.*$")',
    );
    expect(conditionOf({ Variable: "$.a.b", IsPresent: true })).toBe("output.?a.?b.hasValue()");
    expect(conditionOf({ And: [present, present] })).toContain(" && ");
    expect(conditionOf({ Or: [present, present] })).toContain(" || ");
    expect(conditionOf({ Not: present })).toMatch(/^!\(/);
  });
});

/** Arguments with which a function can be called. */
const CALLS: Readonly<Record<string, string>> = {
  "States.Format": "'{} {}', $.a, 1",
  "States.StringToJson": "$.s",
  "States.JsonToString": "$.a",
  "States.Array": "1, $.a",
  "States.ArrayPartition": "$.l, 2",
  "States.ArrayContains": "$.l, 2",
  "States.ArrayRange": "1, 9, 2",
  "States.ArrayGetItem": "$.l, 0",
  "States.ArrayLength": "$.l",
  "States.ArrayUnique": "$.l",
  "States.Base64Encode": "$.s",
  "States.Base64Decode": "$.s",
  "States.Hash": "$.s, 'SHA-256'",
  "States.JsonMerge": "$.a, $.b, false",
  "States.MathRandom": "1, 9",
  "States.MathAdd": "$.n, 1",
  "States.StringSplit": "$.s, ','",
  "States.UUID": "",
};

describe("an intrinsic function", () => {
  it.each(Object.entries(INTRINSICS))("%s is as the table says", (name, { shown }) => {
    const call = `${name}(${CALLS[name] ?? "?"})`;
    const { diagnostics, ir } = compiled(
      chain({ A: { Type: "Pass", Parameters: { "x.$": call } } }),
    );
    if (shown !== "") return expect(diagnostics).toEqual([]);
    expect(ir).toBeNull();
    expect(found(diagnostics, "GV5001")).toEqual(["/States/A/Parameters/x.$"]);
  });
});

describe("the context object", () => {
  const read = (path: string): JsonObject => ({ Type: "Pass", Parameters: { "x.$": path } });

  it.each([...Object.entries(CONTEXT_VALUES), ["State.Name", '"A"']])(
    "has $$.%s, which is %s",
    (name, cel) => {
      const inside = { StartAt: "A", States: { A: { ...read(`$$.${name}`), End: true } } };
      const machine = name.startsWith("Map.")
        ? chain({ M: { Type: "Map", ItemProcessor: inside } })
        : inside;
      const { ir, diagnostics } = compiled(machine);
      expect(diagnostics).toEqual([]);
      expect(JSON.stringify(ir)).toContain(JSON.stringify(`\${${cel}}`).slice(1, -1));
    },
  );

  it("has nothing else", () => {
    const { diagnostics } = compiled(chain({ A: read("$$.Execution.RoleArn") }));
    expect(found(diagnostics, "GV5001")).toEqual(["/States/A/Parameters/x.$"]);
  });
});

/** A resource of each row, with its parameters, and the type of its node; null: refused. */
const RESOURCE_SNIPPETS: readonly (readonly [string, JsonObject, string | null])[] = [
  ["arn:aws:lambda:eu-west-1:123456789012:function:work:3", {}, "function"],
  ["arn:aws:states:eu-west-1:123456789012:activity:work", {}, "function"],
  ["work", {}, "function"],
  ["arn:aws:states:::lambda:invoke", { FunctionName: "work", "Payload.$": "$" }, "function"],
  ["arn:aws:states:::http:invoke", { ApiEndpoint: "https://a.example", Method: "GET" }, "http"],
  ["arn:aws:states:::states:startExecution.sync:2", { StateMachineArn: "other" }, "subworkflow"],
  ["arn:aws:states:::states:startExecution", { StateMachineArn: "other" }, "subworkflow"],
  ["arn:aws:states:::sqs:sendMessage.waitForTaskToken", { QueueUrl: "q" }, null],
  ["arn:aws:states:::sns:publish", { TopicArn: "t" }, null],
];

describe("a resource", () => {
  it("of each row of the table has a snippet", () => {
    expect(RESOURCE_SNIPPETS).toHaveLength(RESOURCES.length);
  });

  it.each(RESOURCE_SNIPPETS)("%s is as the table says", (resource, parameters, type) => {
    const more = Object.keys(parameters).length === 0 ? {} : { Parameters: parameters };
    const { ir, diagnostics } = compiled(
      chain({ A: { Type: "Task", Resource: resource, ...more } }),
    );
    if (type !== null) return expect(ir?.nodes.map((node) => node.type)).toContain(type);
    expect(found(diagnostics, "GV5001")).toEqual(["/States/A/Resource"]);
  });
});

describe("the name of an error", () => {
  const retried = (name: string): Json => {
    const retry = [{ ErrorEquals: [name] }];
    return machineIr(chain({ A: { Type: "Task", Resource: "w", Retry: retry } })).nodes[0]
      ?.retry as unknown as Json;
  };

  it.each([...Object.entries(ERROR_CODES), ["MyError", "MyError"]])("%s is %s", (name, code) => {
    expect(retried(name)).toMatchObject({ on: [code] });
  });

  it("States.ALL is every code, States.TaskFailed every one but TIMEOUT", () => {
    expect(retried("States.ALL")).not.toHaveProperty("on");
    expect(retried("States.TaskFailed")).toMatchObject({ not_on: ["TIMEOUT"] });
  });
});
