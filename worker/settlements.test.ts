import { pino } from "pino";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { type ReadyToken, RunData, type CompletionItem } from "../sdk/internal.ts";
import type { IrNode } from "../compiler/ir.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { openTestPartition } from "../test/harness/partition.ts";
import { startedRun, type TokenPlayer } from "../test/harness/tokens.ts";
import { WorkerCounts } from "./counts.ts";
import { CHAIN_MS_MAX, CHAIN_NODES_MAX } from "./chain.ts";
import { Elements } from "./elements.ts";
import { leasesOf } from "./lane.fixture.ts";
import type { Held, Leases } from "./leases.ts";
import type { Prepared } from "./prepared.ts";
import { Settlements } from "./settlements.ts";

const p = await openTestPartition();
afterAll(() => p.close());

const CHAIN = miniIr(["a", "b"], [["a", "b"]]);

let clock: { ms: number };
let leases: Leases;
let settlements: Settlements;
let isIdle: boolean;
/** What the lane goes on with, by node id. */
let told: string[];
let next: Prepared | null;

beforeEach(async () => {
  await p.reset();
  clock = { ms: 0 };
  leases = leasesOf(clock);
  isIdle = false;
  told = [];
  next = null;
  const nowMs = (): number => clock.ms;
  const logger = pino({ level: "silent" });
  const elements = new Elements(p.scripts.redis, p.scripts.keys);
  settlements = new Settlements(
    {
      scripts: p.scripts,
      consumer: "c",
      counts: new WorkerCounts(),
      leases,
      elements,
      outputBytesMax: 1000,
      logger,
      nowMs,
    },
    {
      waiting: {
        addFirst: (prepared) => {
          next = prepared;
          told.push(`first ${prepared.node.id}`);
        },
        pump: () => undefined,
      },
      handBacks: {
        giveBack: (all) => {
          all.forEach((held) => leases.drop(held));
          return Promise.resolve(void told.push("back"));
        },
      },
      lookUp: (token) => told.push(`look up ${token.node}`),
      isIdle: () => isIdle,
    },
  );
});

interface Step {
  run: TokenPlayer;
  prepared: Prepared;
  held: Held;
  item: CompletionItem;
}

/** The first step of a run, executed. */
async function firstStep(ir = CHAIN): Promise<Step> {
  const run = await startedRun(p, ir);
  const token = await run.take("a");
  return {
    run,
    prepared: preparedOf(run, token),
    held: leases.hold(token),
    item: itemOf(run, token),
  };
}

function preparedOf({ profile }: TokenPlayer, token: ReadyToken): Prepared {
  const { ir } = profile;
  return { token, profile, node: ir.nodes[token.node] as IrNode, data: new RunData(ir) };
}

function itemOf(run: TokenPlayer, token: ReadyToken): CompletionItem {
  const edges = run.profile.ir.nodes[token.node]?.out.length ?? 0;
  return run.item(token, "L".repeat(edges));
}

async function settle({ prepared, held, item }: Step): Promise<void> {
  settlements.settle(prepared, held, item);
  await settlements.drain();
}

/** Nodes whose tokens stand in their queues. */
const queued = async (run: TokenPlayer): Promise<string[]> =>
  (await run.read("other")).map((token) => run.idOf(token));

describe("a token that is settled", () => {
  it("has its chain go on here, first and held under its entry, until the last step", async () => {
    const step = await firstStep();
    await settle(step);
    expect(told).toEqual(["first b"]);
    expect([step.held.nodes, leases.has(step.held), await queued(step.run)]).toEqual([1, true, []]);
    const prepared = next as unknown as Prepared;
    await settle({ ...step, prepared, item: itemOf(step.run, prepared.token) });
    expect([leases.size, (await step.run.hash())["s"]]).toEqual([0, "completed"]);
  });

  it.each([
    ["it has been through so many nodes", (held: Held) => (held.nodes = CHAIN_NODES_MAX)],
    ["it has been here for so long", () => (clock.ms = CHAIN_MS_MAX + 1)],
    ["nothing new is begun here", () => (isIdle = true)],
  ])("is held no more, and the next goes through its queue, if %s", async (_, happens) => {
    const step = await firstStep();
    happens(step.held);
    await settle(step);
    expect([told, leases.size, await queued(step.run)]).toEqual([[], 0, ["b"]]);
  });

  it("hands its chain back if the lane has become idle meanwhile", async () => {
    const step = await firstStep();
    settlements.settle(step.prepared, step.held, step.item);
    isIdle = true;
    await settlements.drain();
    expect([told, leases.size]).toEqual([["back"], 0]);
  });

  it("goes on with nothing that is held no more", async () => {
    const step = await firstStep();
    settlements.settle(step.prepared, step.held, step.item);
    leases.forsake();
    await settlements.drain();
    expect(told).toEqual([]);
  });

  it("is looked up again if it had been before: its entry stands for a later one", async () => {
    const step = await firstStep();
    await settle(step);
    await settle({ ...step, item: itemOf(step.run, step.prepared.token) });
    expect([told, leases.has(step.held)]).toEqual([["first b", "look up 0"], true]);
  });

  it("settles its run's output, if that is what is left", async () => {
    const step = await firstStep(miniIr(["a"], [], { output: "all of it" }));
    await settle(step);
    await leases.whenEmpty();
    expect((await step.run.hash())["s"]).toBe("completed"); // and not "finishing" any more
  });
});

it("sends nothing of what it had not sent when it is forsaken", async () => {
  const step = await firstStep();
  settlements.settle(step.prepared, step.held, step.item);
  expect(settlements.pending).toBe(1);
  settlements.forsake();
  expect(settlements.pending).toBe(0);
  await settlements.drain();
  expect([told, (await step.run.hash())["n0"]?.charAt(0)]).toEqual([[], "a"]);
});
