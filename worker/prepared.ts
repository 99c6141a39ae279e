/** A token of which all is there that its execution needs. */
import type { IrNode } from "../compiler/ir.ts";
import type { ReadyToken, RunData, RunProfile } from "../sdk/internal.ts";
import { takesData } from "./kinds/kind.ts";

/** A token with what has been read for it. */
export interface Prepared {
  token: ReadyToken;
  profile: RunProfile;
  node: IrNode;
  data: RunData;
  /** Its entry was delivered before, to a worker that may have died of it. */
  isRedelivered?: true;
  /** Nothing was read for it: it is to fail. */
  isUnread?: true;
}

/** Whether a token is executed with what its predecessors left; what is decided by hand keeps it. */
export function takesInput(node: IrNode, { answer }: Pick<ReadyToken, "answer">): boolean {
  return answer !== null || takesData(node);
}
