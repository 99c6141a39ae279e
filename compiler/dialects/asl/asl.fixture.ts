/** For the tests beside this file: state machines run by the reference interpreter. */
import { compileExpression, compileTemplate } from "../../../condition/index.ts";
import { compile, formatDiagnostic } from "../../index.ts";
import type { Ir, IrNode, Json } from "../../ir.ts";
import { interpret } from "../../reference/index.ts";
import type { HandlerContext, HandlerResult, InterpretResult } from "../../reference/index.ts";

export type JsonObject = { [key: string]: Json };

/** What a function does with its event; `fail` of it fails with this name. */
export type Work = (event: Json, attempt: number) => Json;

export class TaskFailure extends Error {
  readonly code: string;

  constructor(code: string, message = "it broke") {
    super(message);
    this.code = code;
  }
}

/** The IR of a machine that must be right. */
export function machineIr(machine: JsonObject): Ir {
  const { ir, diagnostics } = compile({ document: machine, dialect: "asl", file: "test.json" });
  // A Choice without Default may match nothing, in every dialect.
  if (ir && diagnostics.every(({ code }) => code === "GV2023")) return ir;
  throw new Error(diagnostics.map((found) => formatDiagnostic(found)).join("\n"));
}

/** Run a machine; `work` is told by the names of functions. */
export function runMachine(
  machine: JsonObject,
  input: Json,
  work: { [name: string]: Work } = {},
): InterpretResult {
  return interpret(machineIr(machine), input, {
    handlers: { evaluate: (node, context) => evaluate(node, context, work) },
  });
}

function evaluate(
  node: IrNode,
  context: HandlerContext,
  work: { [name: string]: Work },
): HandlerResult {
  try {
    return { output: outputOf(node, context, work) };
  } catch (error) {
    const code = error instanceof TaskFailure ? error.code : "BAD_INPUT";
    const message = error instanceof Error ? error.message : String(error);
    return { error: { code, message } };
  }
}

function outputOf(
  node: IrNode,
  { data, vars, attempt }: HandlerContext,
  work: { [name: string]: Work },
): Json {
  const { config } = node;
  if (node.type === "transform") {
    const expression = config["expression"] ?? null;
    const isCel = typeof expression === "string" && !expression.includes("${");
    return isCel
      ? compileExpression(expression).evaluate(vars)
      : compileTemplate(expression).evaluate(vars);
  }
  if (node.type === "delay") {
    // What it waits for is put where the test can see it.
    compileTemplate(config["delay_ms"] ?? config["until"] ?? null).evaluate(vars);
    return data;
  }
  if (node.type !== "function") return data;
  const name = String(config["function_name"]);
  if (name === "builtin.fail") {
    const params = compileTemplate(config["params"] ?? {}).evaluate(vars) as JsonObject;
    throw new TaskFailure(String(params["code"]), String(params["message"]));
  }
  const own = Object.hasOwn(work, name) ? work[name] : undefined;
  return own ? own(data, attempt) : data;
}

/** A machine of states one after the other: each is completed with `Next` or `End`. */
export function chain(states: { [name: string]: JsonObject }): JsonObject {
  const names = Object.keys(states);
  const completed = names.map((name, i): [string, Json] => {
    const next = names[i + 1];
    const state = states[name] ?? {};
    const isLast = ["Succeed", "Fail", "Choice"].includes(String(state["Type"]));
    const way: JsonObject = isLast ? {} : next === undefined ? { End: true } : { Next: next };
    return [name, { ...way, ...state }];
  });
  return { StartAt: names[0] ?? "", States: Object.fromEntries(completed) };
}
