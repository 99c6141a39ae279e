/** The reference interpreter: the meaning of a compiled workflow, without an engine. */
export type { Appointment } from "./agenda.ts";
export { interpret, interpretOn } from "./interpreter.ts";
export type { StagedRun } from "./interpreter.ts";
export { firstCome, lastCome, recordedOrder, seededNumbers, seededOrder } from "./order.ts";
export { nodesNotRun, planStart, START_FLAGS } from "./start-at.ts";
export type { StartPlan, StartProblem, StartWords } from "./start-at.ts";
export { runVars } from "./inside.ts";
export { StepLimitError } from "./types.ts";
export type {
  ByHand,
  Decision,
  EdgeValue,
  HandlerContext,
  HandlerError,
  HandlerResult,
  HandlerTable,
  InterpretOptions,
  InterpretResult,
  NodeResult,
  ReadyToken,
  ReferenceError,
  Scheduler,
  Signal,
  Stage,
  Start,
  TraceStep,
  Work,
} from "./types.ts";
