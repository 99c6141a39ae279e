/** Lanes of one worker, of which one has a server that does not answer while it takes over. */
import { pino } from "pino";
import { afterAll, beforeEach, expect, it } from "vitest";
import {
  connectionAt,
  defineFunction,
  GROUP,
  systemClock,
  type ReadyToken,
} from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { openTestPartition } from "../test/harness/partition.ts";
import { TokenPlayer } from "../test/harness/tokens.ts";
import { waitFor } from "../test/support/index.ts";
import { WorkerCounts } from "./counts.ts";
import { Circuits } from "./circuits.ts";
import { Executor } from "./execute.ts";
import { FunctionRegistry } from "./index.ts";
import type { LaneOptions } from "./lane-options.ts";
import { Lane } from "./lane.ts";
import { Leases } from "./leases.ts";
import { Preparer } from "./prepare.ts";
import type { QueueReader } from "./reader.ts";
import { Slots } from "./slots.ts";
import { Trial } from "./trial.ts";
import { Unreadable } from "./unreadable.ts";
import { Workflows } from "./workflows.ts";

const p = await openTestPartition();
beforeEach(() => p.reset());
afterAll(() => p.close());

const LEASE_MS = 1_000_000;
/** No rest, and a turn is over after some hundredths of a second in which nothing goes on. */
const quickTrial = (): Trial => new Trial(0, 5);

/** Whether it answers: what has been asked of it meanwhile waits. */
class Gate {
  asked = 0;
  open: () => void = () => undefined;
  #opened = Promise.resolve();

  shut(): void {
    this.#opened = new Promise((resolve) => (this.open = resolve));
  }

  async pass(): Promise<void> {
    this.asked += 1;
    await this.#opened;
  }
}

interface OneLane {
  lane: Lane;
  /** At the end of its read, before what it takes over is executed, and before that is looked up. */
  gates: { withdraw: Gate; prepare: Gate };
  /** How often its token has been executed. */
  begun: () => number;
  /** Deliveries of its entry, while that is pending. */
  deliveries: () => Promise<number | undefined>;
}

/** A lane whose queue has one token, which dead workers have had so often. */
async function laneOf(trial: Trial, name: string, deliveries: number): Promise<OneLane> {
  const nodes = { a: { config: { function_name: name } } };
  const profile = await p.publish(
    { ...miniIr(["a"], [], { nodes }), queues: [`fn:${name}`] },
    name,
  );
  const key = profile.entryKeys[0] as string;
  const run = new TokenPlayer(p, profile, `run-${name}`);
  await run.start();
  const redis = connectionAt(p.redis, key);
  const [{ entryId }] = (await run.read("dead")) as [ReadyToken];
  const how = ["IDLE", LEASE_MS, "RETRYCOUNT", deliveries, "JUSTID"] as const;
  await redis.call("XCLAIM", key, GROUP, "dead", 0, entryId, ...how);

  let begun = 0;
  const registry = new FunctionRegistry([defineFunction(name, () => (begun += 1))]);
  const gates = { withdraw: new Gate(), prepare: new Gate() };
  const logger = pino({ level: "silent" });
  const nowMs = (): number => performance.now();
  const workflows = new Workflows(p.redis);
  const preparer = new Preparer(redis, workflows, 0);
  const prepare = preparer.prepare.bind(preparer);
  preparer.prepare = async (...of): ReturnType<typeof prepare> => {
    await gates.prepare.pass();
    return prepare(...of);
  };
  const about = { redis, scripts: p.scripts, consumer: name, leaseMs: LEASE_MS, logger, nowMs };
  const own = { workerId: name, secrets: () => ({}), random: Math.random, outputBytesMax: 1000 };
  const options = {
    ...{ ...about, ...own, registry, workflows, preparer, trial },
    executor: new Executor(own),
    leases: new Leases({ ...about, table: null }),
    circuits: new Circuits({ redis: p.redis, leaseMs: LEASE_MS, clock: systemClock, logger }),
    unreadable: new Unreadable({ ...about, workflows }),
    slots: new Slots(10),
    counts: new WorkerCounts(),
    deliveriesMax: 5,
    reader: {
      openKeys: [key],
      isStopped: false,
      endWait: () => gates.withdraw.pass(),
    } as unknown as QueueReader,
  };
  return {
    lane: new Lane(options as unknown as LaneOptions),
    gates,
    begun: () => begun,
    deliveries: async () => {
      const [entry] = (await redis.call("XPENDING", key, GROUP, "-", "+", 1)) as unknown[][];
      return entry?.[3] as number | undefined;
    },
  };
}

it.each([
  ["waits for its read to end, with a suspect,", "withdraw", 2, 1],
  ["looks a suspect up", "prepare", 2, 2],
  ["looks up what was delivered once", "prepare", 1, 2],
] as const)(
  "one whose server is away while it %s holds up no other lane, and hands it back as late",
  async (_, waitsAt, deliveries, others) => {
    const trial = quickTrial();
    const away = await laneOf(trial, "away", deliveries);
    const other = await laneOf(trial, "other", others);
    const gate = away.gates[waitsAt];
    const takes = (one: OneLane): Promise<unknown> =>
      waitFor(async () => {
        await one.lane.takeOver();
        return one.begun() === 1;
      });
    gate.shut();
    const look = away.lane.takeOver();
    await waitFor(() => gate.asked === 1);
    await takes(other);
    gate.open();
    await look; // its turn is over
    const left = [away.begun(), await away.deliveries(), away.lane.isLookDue];
    expect(left).toEqual([0, deliveries, true]);
    await takes(away);
  },
);
