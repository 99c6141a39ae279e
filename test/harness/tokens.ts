/** Playing single tokens by hand: read what is ready, settle it as told. */
import {
  completeTokens,
  NO_EFFECTS,
  redisTimeMs,
  startRuns,
  type CompletionItem,
  type CompletionOp,
  type CompletionResult,
  type ReadyToken,
  type RunProfile,
} from "../../sdk/internal.ts";
import type { Ir } from "../../compiler/ir.ts";
import { readAll } from "./deliveries.ts";
import { queueKeysOf, type TestPartition } from "./partition.ts";

export class TokenPlayer {
  readonly p: TestPartition;
  readonly profile: RunProfile;
  readonly runId: string;

  constructor(partition: TestPartition, profile: RunProfile, runId: string) {
    this.p = partition;
    this.profile = profile;
    this.runId = runId;
  }

  async start(input = "{}"): Promise<number> {
    const notAfterMs = (await redisTimeMs(this.p.scripts)) + 30_000;
    const run = { profile: this.profile, runId: this.runId, epoch: 1, input, notAfterMs };
    return (await startRuns(this.p.scripts, [run]))[0] as number;
  }

  /** Everything that is ready, delivered to `consumer`. */
  async read(consumer = "c"): Promise<ReadyToken[]> {
    return readAll(this.p.redis, queueKeysOf(this.profile), consumer, 1000);
  }

  /** The ready token of this node; throws if there is none. */
  async take(id: string): Promise<ReadyToken> {
    const found = (await this.read()).find((token) => this.idOf(token) === id);
    if (found === undefined) {
      throw new Error(`no token of node ${id} is ready`);
    }
    return found;
  }

  idOf(token: ReadyToken): string {
    return this.profile.ir.nodes[token.node]?.id ?? "?";
  }

  /** An item that settles a token: edges as text, "again" for another round. */
  item(token: ReadyToken, edges: string, more: Partial<CompletionResult> = {}): CompletionItem {
    const { planner, ir } = this.profile;
    const isLatch = ir.nodes[token.node]?.latch_of !== null;
    const again = edges === "again";
    const op: CompletionOp = more.op ?? (again ? "A" : "C");
    const hasEffects = op === "A" || op === "C" || op === "F" || op === "U";
    const plan = !hasEffects
      ? NO_EFFECTS
      : again
        ? planner.again(token.node, token.scope)
        : planner.end(token.node, edges, isLatch);
    const { node, scope, attempt } = token;
    const result: CompletionResult = {
      ...{ node, scope, attempt, op, value: "1", edges: again ? "" : edges, extra: "" },
      ...{ delayMs: 0, plan },
      ...more,
    };
    const { runId, epoch, entryId } = token;
    const { queueKey } = token;
    const isOwn = queueKey === this.profile.queueKeys[0];
    const entry = isOwn ? { entryId } : { entryId, entryKey: queueKey };
    return { profile: this.profile, runId, epoch, queue: 0, ...entry, results: [result] };
  }

  async settle(
    token: ReadyToken,
    edges: string,
    more: Partial<CompletionResult> = {},
  ): Promise<number> {
    return (await completeTokens(this.p.scripts, [this.item(token, edges, more)]))[0] as number;
  }

  hash(): Promise<{ [field: string]: string }> {
    return this.p.redis.hgetall(this.p.scripts.keys.run(this.runId));
  }
}

let started = 0;

/** A run of this workflow that has begun; both have names of their own. */
export async function startedRun(p: TestPartition, ir: Ir): Promise<TokenPlayer> {
  started += 1;
  const run = new TokenPlayer(p, await p.publish(ir, `hash-${started}`), `run-${started}`);
  const code = await run.start();
  if (code !== 0) {
    throw new Error(`the run did not start: ${code}`);
  }
  return run;
}
