/**
 * A snippet for each field of the Amazon States Language: a machine in which the field stands, and
 * the same one without it.
 *
 * What a field says can only be seen beside the same machine without it: if both compile to the
 * same thing, the field was dropped.
 */
import type { Json } from "../../ir.ts";
import type { JsonObject } from "./asl.fixture.ts";

/** `T` is there only if the state leads to it: what cannot be reached is refused. */
function machine(state: JsonObject): JsonObject {
  const isLed = JSON.stringify(state).includes('"T"');
  const more: JsonObject = isLed ? { T: { Type: "Pass", Result: 1, End: true } } : {};
  return { StartAt: "S", States: { S: state, ...more } };
}

const task = (name: string): JsonObject => ({ Type: "Task", Resource: name, End: true });
const inner = (name: string): JsonObject => ({ StartAt: name, States: { [name]: task("work") } });

/** A state of each type that is whole without any other field. */
const BASES: Readonly<Record<string, JsonObject>> = {
  Task: { Type: "Task", Resource: "work", Next: "T" },
  Pass: { Type: "Pass", Parameters: { "x.$": "$.x" }, ResultPath: "$.p", Next: "T" },
  Choice: {
    Type: "Choice",
    Choices: [{ Variable: "$.x", NumericEquals: 1, Next: "T" }],
    Default: "T",
  },
  Parallel: { Type: "Parallel", Branches: [inner("A"), inner("B")], Next: "T" },
  Map: { Type: "Map", ItemProcessor: inner("A"), Next: "T" },
  Wait: { Type: "Wait", Seconds: 1, Next: "T" },
  Succeed: { Type: "Succeed" },
  Fail: { Type: "Fail" },
};

const RETRY: Json = [{ ErrorEquals: ["Busy"], JitterStrategy: "FULL" }];
const CATCH: Json = [{ ErrorEquals: ["Busy"], Next: "T" }];

/** Values of fields that mean the same in every state. */
const VALUES: JsonObject = {
  Comment: "says what it is for",
  QueryLanguage: "JSONPath",
  Assign: { y: 1 },
  Output: "{% 1 %}",
  Arguments: { x: "{% 1 %}" },
  InputPath: "$.a",
  OutputPath: "$.b",
  Parameters: { "a.$": "$.b" },
  ResultSelector: { "a.$": "$.b" },
  ResultPath: "$.r",
  Retry: RETRY,
  Catch: CATCH,
  Resource: "other",
  TimeoutSeconds: 5,
  TimeoutSecondsPath: "$.t",
  HeartbeatSeconds: 5,
  HeartbeatSecondsPath: "$.t",
  Credentials: { RoleArn: "r" },
  Result: { a: 1 },
  Choices: [{ Variable: "$.x", IsNull: true, Next: "T" }],
  Branches: [inner("A"), inner("C")],
  ItemsPath: "$.list",
  ItemSelector: { "n.$": "$$.Map.Item.Value" },
  ItemProcessor: inner("C"),
  MaxConcurrency: 3,
  MaxConcurrencyPath: "$.n",
  ToleratedFailureCount: 2,
  ToleratedFailureCountPath: "$.n",
  ToleratedFailurePercentage: 5,
  ToleratedFailurePercentagePath: "$.n",
  ItemReader: { Resource: "arn:aws:states:::s3:getObject" },
  ItemBatcher: { MaxItemsPerBatch: 2 },
  ResultWriter: { Resource: "arn:aws:states:::s3:putObject" },
  Label: "items",
  Seconds: 7,
  SecondsPath: "$.n",
  Timestamp: "2026-03-01T08:00:00Z",
  TimestampPath: "$.at",
  Error: "Broken",
  ErrorPath: "$.e",
  Cause: "it broke",
  CausePath: "$.c",
};

/** Fields that say the same in another way: what they stand for is taken out. */
const INSTEAD: Readonly<Record<string, string>> = {
  SecondsPath: "Seconds",
  Timestamp: "Seconds",
  TimestampPath: "Seconds",
  Iterator: "ItemProcessor",
  End: "Next",
  Result: "Parameters",
};

export interface Snippet {
  with: JsonObject;
  without: JsonObject;
  /** Of the field, in the machine that has it. */
  pointer: string;
}

function without(object: JsonObject, key: string): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));
}

/** The snippet of a field of a state. */
export function stateSnippet(type: string, field: string): Snippet {
  const base = BASES[type] ?? {};
  const pointer = `/States/S/${field}`;
  // Fields that a state cannot be without: another value of them.
  if (field === "Type") {
    const other = BASES[type === "Fail" ? "Succeed" : "Fail"] ?? {};
    return { with: machine(base), without: machine(other), pointer };
  }
  if (field === "End" || field === "Next") {
    const ended = { ...without(base, "Next"), End: true };
    const [there, other] = field === "Next" ? [base, ended] : [ended, base];
    return { with: machine(there), without: machine(other), pointer };
  }
  if (field === "Default") {
    return { with: machine(base), without: machine(without(base, "Default")), pointer };
  }
  if (field === "Iterator") {
    const changed = { ...without(base, "ItemProcessor"), Iterator: inner("C") };
    return { with: machine(changed), without: machine(base), pointer };
  }
  const plain = without(base, INSTEAD[field] ?? "");
  // A value in the document needs a place of its own to be seen at.
  const value = VALUES[field];
  if (value === undefined) throw new Error(`no snippet for the field ${field} of ${type}`);
  return { with: machine({ ...plain, [field]: value }), without: machine(base), pointer };
}

/** The snippet of a field of the whole machine. */
export function machineSnippet(field: string): Snippet {
  const base = machine(BASES["Task"] ?? {});
  const pointer = `/${field}`;
  const values: JsonObject = {
    ...{ Comment: "what for", TimeoutSeconds: 9, Version: "1.0", QueryLanguage: "JSONPath" },
    StartAt: "S",
    States: { S: task("other") },
  };
  const value = values[field];
  if (value === undefined) throw new Error(`no snippet for the field ${field} of a machine`);
  return { with: { ...base, [field]: value }, without: machine(BASES["Pass"] ?? {}), pointer };
}

/** The snippet of a field of the machine inside a Map. */
export function innerSnippet(field: string): Snippet {
  const values: JsonObject = {
    ...{ Comment: "what for", QueryLanguage: "JSONPath", StartAt: "C" },
    States: { A: task("other") },
    ProcessorConfig: { Mode: "DISTRIBUTED", ExecutionType: "STANDARD" },
  };
  const value = values[field];
  if (value === undefined) throw new Error(`no snippet for the field ${field} of an inner machine`);
  const changed = field === "StartAt" ? inner("C") : { ...inner("A"), [field]: value };
  const map = BASES["Map"] ?? {};
  return {
    with: machine({ ...map, ItemProcessor: changed }),
    without: machine(map),
    pointer: `/States/S/ItemProcessor/${field}`,
  };
}

/** The snippet of a field of an entry of `Retry` or `Catch`. */
export function entrySnippet(list: "Retry" | "Catch", field: string): Snippet {
  const base: JsonObject =
    list === "Retry" ? { ErrorEquals: ["A"] } : { ErrorEquals: ["A"], Next: "T" };
  const values: JsonObject = {
    ...{ ErrorEquals: ["B"], IntervalSeconds: 9, MaxAttempts: 7, BackoffRate: 3 },
    ...{ MaxDelaySeconds: 4, JitterStrategy: "FULL", Comment: "why", Next: "U" },
    ...{ ResultPath: "$.e", Assign: { x: 1 }, Output: "{% 1 %}" },
  };
  const value = values[field];
  if (value === undefined) throw new Error(`no snippet for the field ${field} of ${list}`);
  // `U` is a state that is reached without the catcher too.
  const made = (entry: JsonObject): JsonObject => ({
    StartAt: "S",
    States: {
      S: { Type: "Task", Resource: "work", Next: "T", [list]: [entry] },
      T: { Type: "Pass", Result: 1, Next: "U" },
      U: { Type: "Pass", Result: 2, End: true },
    },
  });
  const there = made({ ...base, [field]: value });
  return { with: there, without: made(base), pointer: `/States/S/${list}/0/${field}` };
}
