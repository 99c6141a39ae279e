/** Typed calls of the scripts that start children and cancel those nobody waits for. */
import { createHash } from "node:crypto";
import { BlobTaker } from "../blobs.ts";
import { rootOf } from "../keys.ts";
import type { RunProfile } from "../profile.ts";
import { packBatch } from "./pack-batch.ts";
import { runStart } from "./run-start.ts";
import type { ScriptArg, ScriptRunner } from "./script-runner.ts";

/** Runs deep that a tree may be. */
export const CHILD_DEPTH_MAX = 16;

export interface ChildToken {
  /** The parent run, or `<run>!<home>` of an element of its maps. */
  unit: string;
  epoch: string;
  node: number;
  /** Id of the node. */
  nodeId: string;
  scope: string;
  attempt: number;
  /** Queue of the node, and the stream and id of the token's entry. */
  queueKey: string;
  streamKey: string;
  entryId: string;
}

export interface ChildStart {
  token: ChildToken;
  /** The child's workflow, in the place of its parent. */
  profile: RunProfile;
  /** JSON text. */
  input: string;
  /** False: the token is the caller's to complete, the child has no parent. */
  waits: boolean;
  /** How long the token waits at most; null: for ever. */
  waitMs: number | null;
}

export interface ChildStarted {
  kind:
    /** Now, or by an earlier call for this attempt. */
    | "started"
    /** Void, parked before, or settled: nothing to do but to acknowledge the entry. */
    | "void"
    /** A run of this id is or was there: it was cancelled before it began. */
    | "exists"
    | "too_deep";
  /** Of the child; one that an earlier call has started may be named after an earlier epoch. */
  childId: string;
}

const ANSWERS: { [code: string]: ChildStarted["kind"] } = {
  0: "started",
  1: "started",
  "-14": "exists",
  "-15": "too_deep",
};

/** The run that a unit belongs to. */
export function runOfUnit(unit: string): string {
  return unit.split("!", 1)[0] as string;
}

/**
 * Id of the child that an attempt of a token starts: `<root id>~<20 hex>` (25-contracts). A parent
 * that was rebuilt or redriven starts its attempts anew, under its next epoch: others than before.
 */
export function childRunId(
  token: Omit<ChildToken, "nodeId" | "queueKey" | "streamKey" | "entryId">,
): string {
  const { unit, epoch, node, scope, attempt } = token;
  const parent = epoch === "1" ? unit : `${unit}#${epoch}`;
  const digest = createHash("sha256").update(JSON.stringify([parent, node, scope, attempt]));
  return `${rootOf(runOfUnit(unit))}~${digest.digest("hex").slice(0, 20)}`;
}

/** Starts a token's child, once per attempt. With `waits` the token is parked until it has ended. */
export async function startChild(scripts: ScriptRunner, start: ChildStart): Promise<ChildStarted> {
  const { token, profile, waits, waitMs } = start;
  const { unit, epoch, node, scope, attempt, queueKey, streamKey, entryId } = token;
  const k = scripts.keys;
  const childId = childRunId(token);
  const keys = [k.ev, k.meta, k.timers, k.halted, k.release, k.tombs, k.paused];
  keys.push(k.run(runOfUnit(unit)), k.run(unit), k.run(childId));
  keys.push(queueKey, streamKey, ...profile.queueKeys);
  const { irHash, namespace, priority } = profile;
  const first = keys.length - profile.queueKeys.length + 1;
  const large = new BlobTaker();
  const input = large.text(start.input);
  const beginning = runStart({ profile, runId: childId, epoch: 1, input }, first);
  const args: ScriptArg[] = [scripts.nonce(), unit, epoch, node, scope, attempt, entryId];
  args.push(childId, irHash, input, `${namespace}|${priority}`, packBatch(beginning));
  args.push(waits ? 1 : 0, waitMs ?? 0, JSON.stringify(token.nodeId));
  const { length } = large.blobs;
  args.push(length === 0 ? 0 : keys.push(k.blobs(childId)), ...large.pairs());
  const reply = await scripts.transition("startChild", keys, args);
  return typeof reply === "string"
    ? { kind: "started", childId: reply }
    : { kind: ANSWERS[String(reply)] ?? "void", childId };
}

/**
 * Cancels those of these children that nobody waits for; returns how many, and the ids of those that
 * are asleep (they have `up`): they are to be woken, and are cancelled then.
 */
export async function cancelOrphans(
  scripts: ScriptRunner,
  children: readonly { id: string; isParentOver: boolean; up?: string | null }[],
): Promise<{ cancelled: number; asleep: string[] }> {
  const k = scripts.keys;
  const keys = [k.ev, k.meta, k.timers, k.halted, k.release];
  const args: ScriptArg[] = [scripts.nonce()];
  for (const { id, isParentOver, up } of children) {
    keys.push(k.run(id));
    args.push(id, isParentOver ? 1 : 0, up ?? "");
  }
  const reply = (await scripts.transition("cancelOrphans", keys, args)) as number[];
  const asleep = reply.slice(1).flatMap((place) => children[place - 1]?.id ?? []);
  return { cancelled: reply[0] as number, asleep };
}
