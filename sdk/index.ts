/**
 * The public face of the package: what a module of functions and a program that submits runs need.
 *
 *     import { defineFunction } from "gavotte";
 *     export const hello = defineFunction("hello", ({ input }) => `Hello ${input}`);
 */
export {
  defineFunction,
  FailRun,
  RetryLater,
  type FunctionContext,
  type FunctionDefinition,
  type FunctionHandler,
  type FunctionLog,
  type FunctionLogLine,
  type JsonObject,
} from "./define-function.ts";
export {
  defineWorkflow,
  type WorkflowEdge,
  type WorkflowFile,
  type WorkflowNode,
} from "./define-workflow.ts";
export {
  Client,
  createClient,
  type ClientOptions,
  type FollowOptions,
  type WaitOptions,
} from "./client.ts";
export type { AwaitStatusOptions } from "./await-status.ts";
export type { SettledLetter } from "./dead-letters.ts";
export type { NodeOrder } from "./operations.ts";
export type { RedriveWish } from "./redrive.ts";
export type { Hop } from "./run-path.ts";
export type {
  ElementReport,
  NodeReport,
  RunReport,
  RunSummary,
  WaitReport,
} from "./client-report.ts";
export type { Approval, DecisionReceipt } from "./client-approvals.ts";
export type { CallbackReceipt } from "./client-callbacks.ts";
export type { SignalReceipt } from "./client-signals.ts";
export type { RunRow } from "./postgres/index.ts";
export type { SubmissionProblem, SubmissionRequest } from "./client-submit.ts";
export { errorCode, ERRORS, GavotteError, type ErrorCode } from "./errors.ts";
export type { NodeStatus, RunError, RunStatus } from "./status.ts";
export type { Json, Priority } from "../compiler/ir.ts";
