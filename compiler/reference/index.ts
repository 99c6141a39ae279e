/** The reference interpreter: the meaning of a compiled workflow, without an engine. */
export { interpret } from "./interpreter.ts";
export { firstCome, lastCome, recordedOrder, seededNumbers, seededOrder } from "./order.ts";
export { StepLimitError } from "./types.ts";
export type {
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
  TraceStep,
} from "./types.ts";
