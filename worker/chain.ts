/**
 * Straight chains: one worker goes from a node to the next without a queue hop in between, each node
 * settled and journalled on its own (20 §6, 21 A11).
 *
 * The tokens of a chain share the stream entry of the first. It stays pending until the last of
 * them is settled, and the script that settles one says whether the entry is still the caller's:
 * only then does the worker go on. A worker that dies leaves the entry behind; whoever takes it over
 * reads in the run which token of the chain is active and begins there.
 */
import type { IrNode } from "../compiler/ir.ts";
import {
  isBlobText,
  needsOf,
  readsLater,
  type CompletionItem,
  type ReadyToken,
} from "../sdk/internal.ts";
import type { Prepared } from "./prepared.ts";

/** Fair to others: a chain goes back to the queue after so many nodes, or so long. */
export const CHAIN_NODES_MAX = 64;
export const CHAIN_MS_MAX = 250;
const EFFECT_FIELDS = 8;

/**
 * The node that the chain goes on with after this item: the only one that it activates, if that
 * stands in the same scope and queue. Null: the token's successors go through their queues.
 */
export function chainNext(item: CompletionItem, scope: string): number | null {
  let next: string | null = null;
  for (const { op, plan } of item.results) {
    const { plain, args } = plan;
    if (op !== "C" && op !== "F") {
      return null;
    }
    const isSingle = plain.length === 2 && args.length === 0 && scope === "";
    const isInRound = plain.length === 0 && isPlainEffect(args, scope);
    const isFused = plain.length === 0 && args.length === EFFECT_FIELDS && args[0] === "F";
    if ((isSingle || isInRound) && next === null) {
      next = (isSingle ? plain[0] : args[1]) as string;
    } else if (!isFused && (plain.length > 0 || args.length > 0)) {
      return null;
    }
  }
  const { ir } = item.profile;
  const index = Number(next ?? "-1");
  const node = ir.nodes[index];
  // A map has an entry of its own: it is acknowledged when its elements run. One that may not wait
  // for long needs its own, too: its timer is armed with it, and rings also if this worker dies.
  const isOther = node?.queue !== item.queue || node.type === "map";
  const isLimited = node?.queue_timeout_ms !== undefined;
  return isOther || isLimited || ir.settings.fusion === false ? null : index;
}

/** One activation in the token's own round. */
function isPlainEffect(args: readonly string[], scope: string): boolean {
  const [type, , depth, suffix] = args;
  const own = scope === "" ? 0 : scope.split("/").length;
  return args.length === EFFECT_FIELDS && type === "T" && suffix === "" && Number(depth) === own;
}

/** The token that comes after this one; its input is the output of the item's last result. */
export function nextToken(token: ReadyToken, item: CompletionItem, node: number): ReadyToken {
  const { results } = item;
  const { queueKey, entryId, runId, unit, epoch, scope, irHash } = token;
  // Made once per step: written out, which is several times as fast as spreading the former.
  return {
    queueKey,
    entryId,
    runId,
    unit,
    epoch,
    node,
    scope,
    attempt: 1,
    irHash,
    kind: "run",
    arrivals: "",
    payload: results[results.length - 1]?.value ?? "null",
    skipValue: null,
    answer: null,
  };
}

/** The same with what its node is executed with, as far as the steps before know: `isWhole`, all. */
export function nextPrepared(
  { token: before, profile, data: known }: Prepared,
  item: CompletionItem,
  index: number,
): { prepared: Prepared; isWhole: boolean } {
  const { ir } = profile;
  const token = nextToken(before, item, index);
  const data = known.next(readsLater(ir, index) ? item.results : null);
  const isWhole = data.knows(needsOf(ir, index).context) && !isBlobText(token.payload);
  return { prepared: { token, profile, node: ir.nodes[index] as IrNode, data }, isWhole };
}

/** The token that the chain of a redelivered entry has come to: what its node needs is read. */
export function laterToken(token: ReadyToken, node: number): ReadyToken {
  const none = { arrivals: "", payload: null, skipValue: null, answer: null };
  return { ...token, kind: "run", ...none, node, attempt: 1 };
}
