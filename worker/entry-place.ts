/** What an entry says by where it stands, and since when: nothing of its run is read for that. */
import type { IrNode } from "../compiler/ir.ts";
import type { ReadyToken, RunProfile } from "../sdk/internal.ts";

/** When the entry was added, Redis time in ms. */
export function entryMs(token: ReadyToken): number {
  return Number(token.entryId.slice(0, token.entryId.indexOf("-")));
}

/** Whether a token's entry stands for a node that is to begin, or to go on after a pause of its own. */
export function isQueued({ kind }: ReadyToken): boolean {
  return kind === "run" || kind === "resumed";
}

/** Whether a token has stood in its queue for longer than its node allows. */
export function isOverdue(token: ReadyToken, node: IrNode, redisMs: number): boolean {
  const max = node.queue_timeout_ms;
  return max !== undefined && isQueued(token) && redisMs - entryMs(token) > max;
}

/** Whether a token's entry stands in a queue that is not its node's: every worker may read it. */
export function isElsewhere(token: ReadyToken, profile: RunProfile): boolean {
  const queue = profile.ir.nodes[token.node]?.queue ?? 0;
  const { queueKey } = token;
  return queueKey !== profile.queueKeys[queue] && queueKey !== profile.entryKeys[queue];
}
