/** What the parts that make a machine into a graph tell each other. */
import type { JsonObject } from "../../document.ts";
import type { FrontContext } from "../front-end.ts";
import type { EdgeMore, GraphBuilder, Handle, Ids } from "./builder.ts";
import type { DataFlow } from "./data-flow.ts";
import type { StateType } from "./fields.ts";
import type { Complain } from "./payload.ts";

/** Where a way leads that ends the machine. */
export const END = Symbol("end");
export type Target = string | typeof END;

export interface MachineScope {
  context: FrontContext;
  ids: Ids;
  builder: GraphBuilder;
  isInMap: boolean;
  /** Names of the states of the whole workflow: from inside a machine none of them can be reached. */
  outer: ReadonlySet<string>;
  /** Emit a machine inside a state; gives the nodes at which it ends. */
  emitInner: (
    source: JsonObject,
    pointer: string,
    scope: MachineScope,
    before: Handle | null,
  ) => Handle[];
}

/** A state of a machine. */
export interface StateSource {
  name: string;
  id: string;
  type: StateType;
  state: JsonObject;
  pointer: string;
}

export interface Ways {
  goTo(from: Handle, target: Target, pointer: string, more?: EdgeMore): void;
}

/** What the emitter of a state works with. */
export interface Place extends StateSource {
  scope: MachineScope;
  ways: Ways;
  flow: DataFlow;
  complain: Complain;
}
