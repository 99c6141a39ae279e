/**
 * `wait` and `human`: what their tokens wait for, and what becomes of the answer. Waiting itself is
 * Redis' business (scripts/include/complete_wait.lua), no worker is held meanwhile.
 */
import type { IrNode, Json } from "../../compiler/ir.ts";
import { compileTemplate } from "../../condition/index.ts";
import type { Template, Vars } from "../../condition/index.ts";
import { misfit, type ManualAnswer, type WaitAnswer, type WaitInfo } from "../../sdk/internal.ts";
import { badInput, ExecutionError, fill, perNode } from "./kind.ts";

/** More names than this are a group: give the group a name. */
const ASSIGNEES_MAX = 100;
const TITLE_LENGTH_MAX = 500;
const DESCRIPTION_LENGTH_MAX = 10_000;

const TEXTS = ["title", "description", "assignees", "required"] as const;

const templatesOf = perNode<{ [name in (typeof TEXTS)[number]]?: Template }>((node) => {
  const pairs = TEXTS.filter((name) => node.config[name] !== undefined).map((name) => [
    name,
    compileTemplate(node.config[name] ?? null),
  ]);
  return Object.fromEntries(pairs) as { [name in (typeof TEXTS)[number]]?: Template };
});

/** Whether a token of this node is parked before anything else. */
export function isWaiting(node: IrNode): boolean {
  return node.type === "wait" || node.type === "human";
}

/** What a token of this node waits for; `token` is its address. Throws ExecutionError BAD_INPUT. */
export function waitOf(node: IrNode, vars: Vars, token: string): WaitInfo {
  if (node.type === "wait") {
    const signal = node.config["signal"];
    if (typeof signal !== "string" || !/^[A-Za-z0-9_.:/-]{1,200}$/.test(signal)) {
      throw badInput(node, "config.signal must be a name: letters, digits and _ . : / -");
    }
    const schema = node.config["schema"];
    return { kind: "signal", signal, token, ...(schema === undefined ? {} : { schema }) };
  }
  return approvalOf(node, vars, token);
}

function approvalOf(node: IrNode, vars: Vars, token: string): WaitInfo {
  const given = templatesOf(node);
  const text = (name: "title" | "description", max: number): string | undefined => {
    const value = given[name] && fill(node, `config.${name}`, given[name], vars);
    return value === undefined || value === null
      ? undefined
      : (typeof value === "string" ? value : JSON.stringify(value)).slice(0, max);
  };
  const description = text("description", DESCRIPTION_LENGTH_MAX);
  const assignees = assigneesOf(
    node,
    given.assignees && fill(node, "config.assignees", given.assignees, vars),
  );
  const required =
    given.required === undefined ? 1 : fill(node, "config.required", given.required, vars);
  if (typeof required !== "number" || !Number.isInteger(required) || required < 1) {
    throw badInput(node, "config.required must be an integer from 1");
  }
  if (assignees.length > 0 && required > assignees.length) {
    const what = `${required} approvals are required, but only ${assignees.length} may give one`;
    throw badInput(node, what);
  }
  const form = node.config["form"];
  return {
    kind: "approval",
    token,
    node: node.id,
    title: text("title", TITLE_LENGTH_MAX) ?? node.id,
    ...(description === undefined ? {} : { description }),
    ...(assignees.length === 0 ? {} : { assignees }),
    ...(form === undefined ? {} : { form }),
    required,
  };
}

/** Each name once. */
function assigneesOf(node: IrNode, value: Json | undefined): string[] {
  const list = value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
  if (!list.every((name) => typeof name === "string" && name !== "")) {
    throw badInput(node, "config.assignees must be a list of names");
  }
  if (list.length > ASSIGNEES_MAX) {
    throw badInput(node, `config.assignees has more than ${ASSIGNEES_MAX} names`);
  }
  return [...new Set(list as string[])];
}

/**
 * Output of a node that was answered. Throws ExecutionError: TIMEOUT when nobody answered in time,
 * BAD_INPUT when the data does not fit what the node asks for (it was let in by a sender that did
 * not look, or under an earlier version of the program).
 */
export function answered(node: IrNode, answer: WaitAnswer): Json {
  switch (answer.kind) {
    case "timeout":
      throw timedOut(node, answer);
    case "signal":
    case "callback":
      assertFits(node, "schema", answer.data);
      return answer.data;
    case "approval":
      return outcome(node, answer);
    case "manual":
      return byHand(answer);
    case "child":
      throw badInput(node, "a child run's end is no answer to this node");
  }
}

function byHand({ action, output, error, by, why }: ManualAnswer): Json {
  if (action === "fail") {
    const said = why === undefined ? "" : `: ${why}`;
    const { code, message } = error ?? {
      code: "FAILED_BY_HAND",
      message: `failed by ${by}${said}`,
    };
    throw new ExecutionError(code, message, { retryable: false });
  }
  return output ?? null;
}

/** `by` and `data` are one person's where one decided, lists where several did. */
function outcome(node: IrNode, answer: WaitAnswer & { kind: "approval" }): Json {
  const { approved, decisions } = answer;
  for (const { approved: agrees, data } of decisions) {
    // Who says no need not fill the form in.
    if (agrees || data !== null) {
      assertFits(node, "form", data);
    }
  }
  const by = decisions.map((decision) => decision.actor);
  const data = decisions.map((decision) => decision.data);
  const isOne = decisions.length === 1;
  return { approved, by: isOne ? (by[0] ?? null) : by, data: isOne ? (data[0] ?? null) : data };
}

function assertFits(node: IrNode, key: "schema" | "form", data: Json): void {
  const wrong = misfit(node.config[key], data);
  if (wrong !== null) {
    throw badInput(node, `the data does not fit config.${key}: ${wrong}`);
  }
}

/** Why a node that is over time fails. One that was never begun is not tried again. */
export function timedOut(node: IrNode, { of }: WaitAnswer & { kind: "timeout" }): ExecutionError {
  if (of === "queue") {
    const message = `no worker began the node within its queue_timeout_ms (${node.queue_timeout_ms})`;
    return new ExecutionError("TIMEOUT", message, { retryable: false });
  }
  const message =
    of === "node"
      ? `the node ran longer than its timeout_ms (${node.timeout_ms}), and its worker is gone`
      : `nobody answered within the node's timeout_ms (${node.timeout_ms})`;
  return new ExecutionError("TIMEOUT", message);
}
