/** Playing a map by hand: expand it, end its elements, settle it as an operator would. */
import { expect } from "vitest";
import type { Ir } from "../../compiler/ir.ts";
import type { ReadyToken } from "../../sdk/entry.ts";
import { parseJournalRecord } from "../../sdk/journal.ts";
import type { RunRow } from "../../sdk/postgres/index.ts";
import { Profiles, type RunProfile } from "../../sdk/profile.ts";
import { completeTokens, type CompletionResult } from "../../sdk/redis/complete-tokens.ts";
import { interveneToken } from "../../sdk/redis/intervene.ts";
import { EXPANSION, expandMap, type MapExpansion } from "../../sdk/redis/map-scripts.ts";
import { bodyHash, mapUnit } from "../../sdk/unit.ts";
import type { ManualAnswer } from "../../sdk/waits.ts";
import { foldHot, writeRun } from "../../supervisor/write-run.ts";
import { miniIr } from "./mini-ir.ts";
import type { TestPartition } from "./partition.ts";
import { TokenPlayer } from "./tokens.ts";

/** A body of one node. */
const body = miniIr(["x"], []);

/** A body that is a map of one-node elements. */
export const innerMap = ((): Ir => {
  const ir = miniIr(["n"], []);
  return { ...ir, nodes: ir.nodes.map((n) => ({ ...n, type: "map", body, outer_refs: [] })) };
})();

/** A map between two nodes. */
function mapIr(body: Ir): Ir {
  const ir = miniIr(
    ["a", "m", "z"],
    [
      ["a", "m"],
      ["m", "z"],
    ],
  );
  const nodes = ir.nodes.map((node) =>
    node.id === "m" ? { ...node, type: "map" as const, body, outer_refs: [] } : node,
  );
  return { ...ir, nodes };
}

export class MapPlayer extends TokenPlayer {
  readonly body: RunProfile;
  map!: ReadyToken;

  constructor(partition: TestPartition, profile: RunProfile, runId: string) {
    super(partition, profile, runId);
    const hash = bodyHash(profile.irHash, 1);
    const { body } = profile.ir.nodes[1] as { body: Ir };
    this.body = new Profiles().add(body, hash, profile, profile.ir);
  }

  get key(): string {
    return this.p.scripts.keys.run(mapUnit(this.runId, "", 1));
  }

  expansion(count: number, more: Partial<MapExpansion> = {}): MapExpansion {
    return {
      ...{ token: this.map, queueKey: this.profile.queueKeys[0] as string, body: this.body },
      ...{ by: "b", count, window: 500, tolerated: 0, timeoutMs: null, vars: "{}" },
      ...more,
    };
  }

  /** Expands completely; the elements that could begin are ready then. */
  async expand(count: number, more: Partial<MapExpansion> = {}): Promise<void> {
    const expansion = this.expansion(count, more);
    const items = Array.from({ length: count }, (_, i) => String(i));
    for (let from = 0; from < count; from += 500) {
      await expandMap(this.p.scripts, expansion, from, items.slice(from, from + 500));
    }
    while ((await expandMap(this.p.scripts, expansion, count, [])) === EXPANSION.more) {
      // goes on starting
    }
  }

  async end(token: ReadyToken, more: Partial<CompletionResult> = {}): Promise<number> {
    const item = this.item(token, "", { value: `"r${token.unit.split("#")[1]}"`, ...more });
    const ofInner = token.unit.split("#").length > 2;
    const sent = { ...item, profile: ofInner ? this.inner() : this.body, runId: token.unit };
    return (await completeTokens(this.p.scripts, [sent]))[0] as number;
  }

  /** Somebody settles a map by hand. */
  order(action: ManualAnswer["action"], home = ""): Promise<unknown> {
    const answer = { kind: "manual" as const, action, by: "ann" };
    const at = { runId: this.runId, home, node: home === "" ? 1 : 0, scope: null };
    const queueKey = this.profile.queueKeys[0] as string;
    return interveneToken(this.p.scripts, { ...at, queueKey, answer });
  }

  /** By hand: settled while its elements run, and tried again before a worker carries that out. */
  async tryAgain(): Promise<void> {
    this.map = await this.again("");
  }

  /** The same with the map in this home. */
  async again(home: string): Promise<ReadyToken> {
    await this.order("complete", home);
    await this.order("retry", home);
    return (await this.read()).find(({ attempt }) => attempt === 3) as ReadyToken;
  }

  /** Writes the run as a supervisor would after a loss, under this epoch. */
  async rebuild(epoch: number): Promise<void> {
    const { redis, scripts } = this.p;
    const journal = (await redis.xrange(scripts.keys.ev, "-", "+")).flatMap(([id, fields]) => {
      const { t, transitions } = parseJournalRecord(id, fields);
      return transitions.map((transition) => ({ position: "", t, transition }));
    });
    const { irHash } = this.profile;
    const place = { namespace: "", priority: "normal", irHash, input: "null" };
    const row = { id: this.runId, epoch, ...place } as RunRow;
    const pipeline = scripts.redis.pipeline();
    writeRun(pipeline, this.profile, row, foldHot(this.profile, journal), journal.at(-1)?.t ?? 0);
    await pipeline.exec();
  }

  /** Profile of the elements of the map that is all of element 0. */
  inner(): RunProfile {
    const hash = bodyHash(this.body.irHash, 0);
    return new Profiles().add(body, hash, this.profile, this.profile.ir);
  }

  /** Expands the map that is all of element 0; its elements that could begin are ready then. */
  async expandInner(token: ReadyToken, count: number, window: number, by: string): Promise<void> {
    const expansion = { ...this.expansion(count, { by, window }), token, body: this.inner() };
    const items = Array.from({ length: count }, (_, i) => String(i));
    expect(await expandMap(this.p.scripts, expansion, 0, items)).toBe(EXPANSION.more);
    expect(await expandMap(this.p.scripts, expansion, count, [])).toBe(EXPANSION.done);
  }

  indexes(tokens: readonly ReadyToken[]): number[] {
    return tokens.map((token) => Number(token.unit.split("#").at(-1)));
  }
}

let serial = 0;

/** A run `a → m → z` of this partition whose map `m` is about to be expanded. */
export async function mapPlayer(p: TestPartition, of: Ir = body): Promise<MapPlayer> {
  serial += 1;
  const run = new MapPlayer(p, await p.publish(mapIr(of), `map-${serial}`), `run-${serial}`);
  await run.start();
  await run.settle(await run.take("a"), "L");
  run.map = await run.take("m");
  return run;
}
