/**
 * `subworkflow`: a token that starts a run of another workflow, waits for its end, and goes on with
 * what came of it. The wait is Redis' business (scripts/start_child.lua); no worker is held.
 *
 * Which definition a reference means was settled when the root run was accepted and stands in the
 * run's hash, so a tree runs on the versions it began with whatever is published meanwhile.
 */
import type { Redis } from "ioredis";
import type { Vars } from "../condition/index.ts";
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import {
  answerOf,
  CHILD_DEPTH_MAX,
  failedNodesError,
  misfit,
  parseRecord,
  queueKeyOf,
  startChild,
  terminalFields,
  terminalNodes,
  readBlob,
  terminalOutput,
  type CompletionItem,
  type ReadyToken,
  type RunError,
  type RunProfile,
  type ScriptRunner,
} from "../sdk/internal.ts";
import type { Executor } from "./execute.ts";
import type { Prepared } from "./prepared.ts";
import { itemOf } from "./results.ts";
import { badInput, ExecutionError, failureBefore } from "./kinds/kind.ts";
import { fittingOutput } from "./kinds/schemas.ts";
import { answered } from "./kinds/wait.ts";
import type { Workflows } from "./workflows.ts";

export interface ChildOptions {
  scripts: ScriptRunner;
  workflows: Workflows;
}

/** `parked`: the token waits, its entry is acknowledged. `void`: somebody else has settled it. */
export type ChildStep = { kind: "parked" } | { kind: "void" } | { kind: "output"; output: Json };

const INPUT_BYTES_MAX = 1024 * 1024;

/** What settles a sub-workflow's token now; null: it is parked. Rejects if Redis does not answer. */
export async function childItem(
  o: ChildOptions & { executor: Executor },
  p: Prepared,
  vars: Vars,
  input: Json,
): Promise<CompletionItem | null> {
  try {
    const step = await stepChild(o, p, input);
    if (step.kind === "output") {
      return o.executor.succeed(p, vars, fittingOutput(p.node, step.output), 0);
    }
    return step.kind === "void" ? itemOf(p) : null;
  } catch (error) {
    const failure = failureBefore(error);
    if (failure === null) {
      throw error;
    }
    return o.executor.fail(p, vars, failure, 0);
  }
}

/** One step of a sub-workflow's token, whose input is `input`. Throws ExecutionError. */
export async function stepChild(o: ChildOptions, p: Prepared, input: Json): Promise<ChildStep> {
  if (p.token.answer === null) {
    return start(o, p, input);
  }
  const answer = answerOf(p.token.answer, p.data);
  const output =
    answer.kind === "child" ? await resultOf(o, p, answer.run) : answered(p.node, answer);
  return { kind: "output", output };
}

async function start(o: ChildOptions, p: Prepared, input: Json): Promise<ChildStep> {
  const { token, node } = p;
  const profile = await boundProfile(o, token, node);
  const text = JSON.stringify(input);
  assertInput(node, profile.ir, input, text);
  const { unit, epoch, scope, attempt, queueKey: streamKey, entryId } = token;
  const queueKey = queueKeyOf(p.profile, node);
  const waits = node.config["wait"] !== false;
  const child = { unit, epoch, node: token.node, nodeId: node.id, scope, attempt };
  const { kind, childId } = await startChild(o.scripts, {
    token: { ...child, queueKey, streamKey, entryId },
    ...{ profile, input: text, waits, waitMs: node.timeout_ms },
  });
  switch (kind) {
    case "started":
      return waits ? { kind: "parked" } : { kind: "output", output: { run_id: childId } };
    case "void":
      return { kind: "void" };
    case "exists":
      throw new ExecutionError("CANCELLED", `run ${childId} was cancelled`, {
        retryable: false,
        details: { run_id: childId },
      });
    case "too_deep": {
      const message = `a tree of runs may be ${CHILD_DEPTH_MAX} deep; does a workflow start itself?`;
      throw new ExecutionError("TOO_DEEP", message, { retryable: false });
    }
  }
}

/** The workflow that the node's reference was bound to. */
async function boundProfile(o: ChildOptions, token: ReadyToken, node: IrNode): Promise<RunProfile> {
  const ref = String(node.config["workflow"]);
  const { redis, keys } = o.scripts;
  const sub = await redis.hget(keys.run(token.runId), "sub");
  const hash = (JSON.parse(sub ?? "{}") as { [ref: string]: string })[ref];
  const profile = hash === undefined ? null : await o.workflows.load(hash, token.queueKey);
  if (profile === null) {
    const message = `node "${node.id}": workflow "${ref}" was not bound when the run was accepted`;
    throw new ExecutionError("WORKFLOW_NOT_FOUND", message, { retryable: false });
  }
  return profile;
}

function assertInput(node: IrNode, ir: Ir, input: Json, text: string): void {
  if (text.length > INPUT_BYTES_MAX || Buffer.byteLength(text) > INPUT_BYTES_MAX) {
    const message = `the input of a run may have ${INPUT_BYTES_MAX} bytes`;
    throw new ExecutionError("TOO_LARGE", message, { retryable: false });
  }
  const wrong = misfit(ir.input_schema ?? undefined, input);
  if (wrong !== null) {
    throw badInput(node, `the input does not fit input_schema of workflow "${ir.name}": ${wrong}`);
  }
}

/** Output of a child that has ended; throws its error as this node's. */
async function resultOf(o: ChildOptions, p: Prepared, runId: string): Promise<Json> {
  const { redis, keys } = o.scripts;
  const key = keys.run(runId);
  const [status, result, hash, failed] = await redis.hmget(key, "s", "res", "ir", "nf");
  if (status === null || status === undefined) {
    const message = `how run ${runId} ended is not in Redis any more`;
    throw new ExecutionError("CHILD_LOST", message, { details: { run_id: runId } });
  }
  const ir = (await o.workflows.load(hash ?? "", p.token.queueKey))?.ir ?? null;
  if (status === "completed") {
    const resolve = (text: string): Promise<string> => readBlob(redis, keys.blobs(runId), text);
    const output = result === null || result === undefined ? null : await resolve(result);
    return JSON.parse(output ?? (await outputIn(redis, key, ir, resolve))) as Json;
  }
  const error =
    result === null || result === undefined
      ? await failureIn(redis, key, ir, failed ?? "")
      : (JSON.parse(result) as { error: RunError }).error;
  const { code, message, node } = error;
  const isCancelled = status === "cancelled";
  throw new ExecutionError(code, message, {
    retryable: !isCancelled,
    details: {
      run_id: runId,
      workflow: String(p.node.config["workflow"]),
      ...(node === undefined ? {} : { node }),
    },
  });
}

async function outputIn(
  redis: Redis,
  key: string,
  ir: Ir | null,
  resolve: (text: string) => Promise<string>,
): Promise<string> {
  const terminals = ir === null ? [] : terminalNodes(ir);
  if (ir === null || terminals.length === 0) {
    return "null";
  }
  const values = await redis.hmget(key, ...terminalFields(terminals));
  return terminalOutput(ir, terminals, values, resolve);
}

/** The error of a run that failed under `continue`: its nodes have theirs. */
async function failureIn(
  redis: Redis,
  key: string,
  ir: Ir | null,
  failed: string,
): Promise<RunError> {
  const nodes = failed.split(",").filter((node) => node !== "");
  nodes.sort((a, b) => Number(a) - Number(b));
  const records = nodes.length === 0 ? [] : await redis.hmget(key, ...nodes.map((n) => `n${n}`));
  return failedNodesError(
    nodes.map((node, i) => {
      const record = parseRecord(records[i]);
      const value = record?.state === "f" ? (JSON.parse(record.rest) as { error: RunError }) : null;
      return { id: ir?.nodes[Number(node)]?.id ?? node, error: value?.error ?? null };
    }),
  );
}
