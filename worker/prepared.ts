/** A token of which all is there that its execution needs. */
import type { IrNode } from "../compiler/ir.ts";
import type { ReadyToken, RunData, RunProfile } from "../sdk/internal.ts";

/** A token with what has been read for it. */
export interface Prepared {
  token: ReadyToken;
  profile: RunProfile;
  node: IrNode;
  data: RunData;
}
