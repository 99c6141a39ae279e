/** The short forms of completions: they write what the general form writes, or nothing. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { TokenPlayer } from "../../test/harness/tokens.ts";
import type { Ir } from "../../compiler/ir.ts";
import { parseJournalRecord } from "../journal.ts";
import type { ReadyToken } from "../entry.ts";
import {
  COMPLETION,
  completeBatch,
  type CompletionItem,
  type CompletionResult,
} from "./complete-tokens.ts";
import { encodeCompletion } from "./encode-completion.ts";
import { simpleItem } from "./simple-completion.ts";

const NOT_SIMPLE = -8;
let p: TestPartition;
let serial = 0;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

async function player(ir: Ir): Promise<TokenPlayer> {
  serial += 1;
  const play = new TokenPlayer(p, await p.publish(ir, `hash-${serial}`), "run-1");
  await play.start();
  // When it started differs from one to the other.
  await p.redis.hdel(p.scripts.keys.run("run-1"), "t0");
  return play;
}

/** One call, in the short forms or not; codes in the order of the items. */
async function send(items: CompletionItem[], simple: boolean): Promise<number[]> {
  const { keys, args: batch, order } = encodeCompletion(p.scripts, items, simple);
  const args = [p.scripts.nonce(), "c", ...batch];
  const reply = (await p.scripts.transition("completeTokens", keys, args)) as number[];
  const codes: number[] = [];
  order.forEach((item, at) => (codes[item] = reply[at + 1] as number));
  return codes;
}

/** Everything that a run and its queue hold, and what was journalled. */
async function written(run: TokenPlayer): Promise<unknown> {
  const entries = await p.redis.xrange(p.scripts.keys.ev, "-", "+");
  const journal = entries.flatMap(([id, fields]) => parseJournalRecord(id, fields).transitions);
  const ready = (await run.read()).map(({ entryId: _, ...token }) => token);
  const { scripts, redis } = p;
  const release = await redis.zrange(scripts.keys.release, 0, -1);
  const pending = (await redis.xpending(run.profile.queueKeys[0] as string, "workers")) as [number];
  return { hash: await run.hash(), journal, ready, release, pending: pending[0] };
}

const PURE = { pure: true, fusible: true };

const SHAPES: [name: string, ir: Ir][] = [
  [
    "a chain",
    miniIr(
      ["a", "b", "c"],
      [
        ["a", "b"],
        ["b", "c"],
      ],
    ),
  ],
  [
    "a diamond",
    miniIr(
      ["a", "b", "c", "d"],
      [
        ["a", "b"],
        ["a", "c"],
        ["b", "d"],
        ["c", "d"],
      ],
    ),
  ],
  [
    "two joins and a dead edge",
    miniIr(
      ["a", "b", "c", "d", "e"],
      [
        ["a", "b"],
        ["a", "c"],
        ["b", "d"],
        ["c", "d"],
        ["b", "e"],
        ["d", "e"],
      ],
    ),
  ],
  ["pure nodes behind a step, and behind the last one", pureChain()],
];

/** a, b and c: behind a two pure nodes and behind c one. */
function pureChain(): Ir {
  const ids = ["a", "p", "q", "b", "c", "r"];
  const edges = ids.slice(1).map((id, i): [string, string] => [ids[i] as string, id]);
  return miniIr(ids, edges, { nodes: { p: PURE, q: PURE, r: PURE } });
}

/** The item of a token, with the results of the pure nodes of a chain behind it. */
function withPure(run: TokenPlayer, token: ReadyToken): CompletionItem {
  const { nodes, edges } = run.profile.ir;
  const item = run.item(token, "");
  const results: CompletionResult[] = [];
  for (let node: number | undefined = token.node; node !== undefined;) {
    const next: number | undefined = edges.find(({ from }) => from === node)?.to;
    const live = next === undefined ? "" : "L";
    const isPure = next !== undefined && nodes[next]?.pure === true;
    const [own] = run.item({ ...token, node }, isPure ? "F" : live).results;
    results.push({ ...(own as CompletionResult), edges: live, value: `"of ${nodes[node]?.id}"` });
    node = isPure ? next : undefined;
  }
  return { ...item, results };
}

describe("the short forms", () => {
  it.each(SHAPES)("write what the general form writes: %s", async (_, ir) => {
    const seen: unknown[][] = [];
    for (const simple of [true, false]) {
      await p.reset();
      const run = await player(ir);
      const steps: unknown[] = [];
      for (let tokens = await run.read(); tokens.length > 0; tokens = await run.read()) {
        const items = tokens.map((token) => {
          const { out } = ir.nodes[token.node] as Ir["nodes"][number];
          // The last edge of a node with several is dead, unless it is the first node.
          const dead = token.node > 0 && out.length > 1;
          const edges = out.map((__, i) => (dead && i === 1 ? "D" : "L")).join("");
          const isPlain = ir.nodes.every(({ pure }) => !pure);
          const item = isPlain ? run.item(token, edges) : withPure(run, token);
          expect(simpleItem(item)).not.toBeNull();
          return item;
        });
        expect(await send(items, simple)).toEqual(items.map(() => COMPLETION.done));
        steps.push(await run.hash());
      }
      steps.push(await written(run));
      // The workflow's hash differs between the two: nothing else may.
      seen.push(
        JSON.parse(JSON.stringify(steps).replaceAll(`hash-${serial}`, "hash")) as unknown[],
      );
    }
    expect(seen[0]).toEqual(seen[1]);
    expect(JSON.stringify(seen[0])).toContain('"s":"completed"');
  });

  it("change nothing where something is out of the ordinary, and keep a run's order", async () => {
    const run = await player(SHAPES[1]?.[1] as Ir);
    await run.settle(await run.take("a"), "LL");
    const tokens = await run.read();
    await p.redis.hset(p.scripts.keys.run("run-1"), "n1", "a2||");
    const before = await run.hash();
    const items = tokens.map((token) => run.item(token, "L"));
    expect(await send(items, true)).toEqual([NOT_SIMPLE, NOT_SIMPLE]);
    expect(await run.hash()).toEqual(before);
    expect((await completeBatch(p.scripts, items, "c")).codes).toEqual([0, 0]);
    expect((await run.read()).map((token) => run.idOf(token))).toEqual(["d"]);
  });

  it("are not for a paused run: its successors are held", async () => {
    const run = await player(SHAPES[0]?.[1] as Ir);
    const a = await run.take("a");
    await p.redis.hset(p.scripts.keys.run("run-1"), "s", "paused");
    expect((await completeBatch(p.scripts, [run.item(a, "L")], "c")).codes).toEqual([0]);
    expect(await run.read()).toEqual([]);
    expect(await p.redis.llen(`${p.scripts.keys.run("run-1")}:held`)).toBe(1);
  });

  it("an error in the middle of writing marks the run as suspect and spares the others", async () => {
    const run = await player(SHAPES[0]?.[1] as Ir);
    const a = await run.take("a");
    const other = new TokenPlayer(p, run.profile, "run-2");
    await other.start();
    const b = await other.take("a");
    const broken = { ...run.profile, queueKeys: [p.scripts.keys.run("run-1")] };
    const items = [{ ...run.item(a, "L"), profile: broken }, other.item(b, "L")];
    expect((await completeBatch(p.scripts, items, "c")).codes).toEqual([-6, 0]);
    expect((await run.hash())["s"]).toBe("suspect");
    expect((await other.hash())["n1"]).toBe("a1||");
    expect(JSON.stringify(await written(other))).toContain("run.suspect");
  });

  it("journal what is accepted and nothing of what is refused, whatever its characters", async () => {
    const runs: TokenPlayer[] = [];
    const items: CompletionItem[] = [];
    const first = await player(SHAPES[0]?.[1] as Ir);
    for (const [i, value] of ['"ä"', '"→ 2"', '"𝄞3"', '"4"'].entries()) {
      const run = i === 0 ? first : new TokenPlayer(p, first.profile, `run-${i + 1}`);
      await (i === 0 ? undefined : run.start());
      items.push(run.item(await run.take("a"), "L", { value }));
      runs.push(run);
    }
    await p.redis.hset(p.scripts.keys.run("run-2"), "n0", "a2||");
    const already = (await p.redis.xrange(p.scripts.keys.ev, "-", "+")).length;
    expect(await send(items, true)).toEqual([0, NOT_SIMPLE, 0, 0]);
    const [record] = (await p.redis.xrange(p.scripts.keys.ev, "-", "+")).slice(already);
    const { transitions } = parseJournalRecord(...(record as [string, string[]]));
    expect(transitions.map(({ r, o }) => [r, o])).toEqual([
      ["run-1", "ä"],
      ["run-3", "𝄞3"],
      ["run-4", "4"],
    ]);
    expect((await runs[2]?.hash())?.["n0"]).toBe('c1||"𝄞3"');
  });

  it("write arrivals at a wide join wherever they stand, those of several calls together", async () => {
    const branches = ["b0", "b1", "b2", "b3", "b4", "b5"];
    const edges = branches.flatMap((id): [string, string][] => [
      ["a", id],
      [id, "z"],
    ]);
    const run = await player(miniIr(["a", ...branches, "z"], edges));
    await run.settle(await run.take("a"), "LLLLLL");
    const tokens = await run.read();
    const settle = async (places: [place: number, edge: string][]): Promise<unknown> => {
      const items = places.map(([i, edge]) => run.item(tokens[i] as (typeof tokens)[0], edge));
      expect(await send(items, true)).toEqual(places.map(() => COMPLETION.done));
      return (await run.hash())["j7"];
    };
    expect(
      await settle([
        [4, "L"],
        [1, "D"],
        [0, "L"],
      ]),
    ).toBe("|2|3|0|LD..L.");
    expect(
      await settle([
        [5, "L"],
        [2, "L"],
      ]),
    ).toBe("|4|5|0|LDL.LL");
    expect(await settle([[3, "L"]])).toBe("|-1|6|0|LDLLLL");
    expect((await run.read()).map(({ arrivals }) => arrivals)).toEqual(["LDLLLL"]);
  });

  it("A11: a chain goes on without a look at its entry while nothing was taken over", async () => {
    const run = await player(SHAPES[0]?.[1] as Ir);
    const a = await run.take("a");
    const { takeovers } = await completeBatch(p.scripts, [], "c");
    const item = { ...run.item(a, "L"), keeps: true, takeovers };
    // Stolen without being counted: what the count promises is all that is looked at.
    await p.redis.xclaim(a.queueKey, "workers", "other", 0, a.entryId);
    expect((await completeBatch(p.scripts, [item], "c")).codes).toEqual([COMPLETION.goOn]);
  });

  it("A11: after a takeover somewhere in the partition the entry is looked at", async () => {
    const run = await player(SHAPES[0]?.[1] as Ir);
    const a = await run.take("a");
    const { takeovers } = await completeBatch(p.scripts, [], "c");
    await p.scripts.redis
      .multi()
      .xclaim(a.queueKey, "workers", "other", 0, a.entryId)
      .hincrby(p.scripts.keys.meta, "taken", 1)
      .exec();
    const item = { ...run.item(a, "L"), keeps: true, takeovers };
    const lost = await completeBatch(p.scripts, [item], "c");
    expect(lost).toMatchObject({ codes: [COMPLETION.entryLost], takeovers: takeovers + 1 });
  });

  it("with pure nodes' results: as steps, kept ones and last ones, or not at all", async () => {
    const run = await player(pureChain());
    const { takeovers } = await completeBatch(p.scripts, [], "c");
    const first = await run.take("a");
    const a = { ...withPure(run, first), keeps: true, takeovers };
    expect(simpleItem(a)).toMatchObject({
      step: { input: '"of q"' },
      end: null,
      extras: { length: 4 },
    });
    await p.redis.hset(p.scripts.keys.run("run-1"), "n0", "a2||");
    const before = await run.hash();
    expect(await send([a], true)).toEqual([NOT_SIMPLE]);
    expect(await run.hash()).toEqual(before);
    await p.redis.hset(p.scripts.keys.run("run-1"), "n0", "a1||");
    expect(await send([a], true)).toEqual([COMPLETION.goOn]);
    expect(await run.hash()).toMatchObject({
      n1: 'c1||"of p"',
      n2: 'c1||"of q"',
      n3: "a1||",
      c: "1",
    });
    const b = withPure(run, { ...first, node: 3 });
    expect(simpleItem(b)).toMatchObject({ step: { input: '"of b"' }, extras: [] });
    expect(await send([b], true)).toEqual([COMPLETION.done]);
    const last = withPure(run, await run.take("c"));
    expect(simpleItem(last)).toMatchObject({ step: null, extras: ["n5", 'c1||"of r"'] });
    expect(simpleItem(last)?.end).toContain("run.completed");
    expect(await send([last], true)).toEqual([COMPLETION.done]);
    expect(await run.hash()).toMatchObject({ n4: 'c1||"of c"', n5: 'c1||"of r"', s: "completed" });
  });
});
