import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { miniIr } from "../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../test/harness/partition.ts";
import { TokenPlayer } from "../test/harness/tokens.ts";
import type { ReadyToken } from "./entry.ts";
import { HotState } from "./hot-state.ts";
import { timerMember } from "./entry.ts";
import { cancelRun, finishRun, fireTimers, redisTimeMs, releaseRuns } from "./redis/run-scripts.ts";
import { interveneToken } from "./redis/intervene.ts";
import { pauseRun, resumeRun } from "./redis/pause-scripts.ts";
import { redriveRun } from "./redis/redrive-script.ts";
import { beginWake, evictRuns, hibernateRuns, wakeRun } from "./redis/sleep-scripts.ts";
import { RUN_TRANSITIONS, type HotRunStatus, type RunAction } from "./status.ts";

let p: TestPartition;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const STATUSES: HotRunStatus[] = [
  ...(["absent", "running", "paused", "finishing"] as const),
  ...(["completed", "failed", "cancelled", "suspect", "asleep"] as const),
];
const FAILURE = '{"error":{"code":"E","message":""}}';

interface Case {
  run: TokenPlayer;
  token: ReadyToken;
}

/** A run in this status with one token in somebody's hands. */
async function caseOf(status: HotRunStatus, action: RunAction): Promise<Case> {
  const output = action === "drain" ? { output: "${1}" } : {};
  const ir = action === "settle" ? miniIr(["a", "b"], [["a", "b"]]) : miniIr(["a"], [], output);
  const run = new TokenPlayer(p, await p.publish(ir, `h-${action}`), "r");
  await run.start();
  const token = await run.take("a");
  const { keys } = p.scripts;
  if (status === "absent") {
    await p.redis.del(keys.run("r"));
  } else if (status === "paused") {
    await pauseRun(p.scripts, "r", "run");
  } else {
    const more = status === "asleep" ? ["sl", "7", "tk", "mine"] : [];
    await p.redis.hset(keys.run("r"), "s", status, ...more);
  }
  return { run, token };
}

const ACTIONS: { [action in RunAction]: (of: Case) => Promise<unknown> } = {
  start: ({ run }) => run.start(),
  pause: () => pauseRun(p.scripts, "r", "run"),
  resume: () => resumeRun(p.scripts, "r", "run"),
  settle: ({ run, token }) => run.settle(token, "L"),
  complete: ({ run, token }) => run.settle(token, ""),
  drain: ({ run, token }) => run.settle(token, ""),
  fail: ({ run, token }) => run.settle(token, "", { op: "X", value: FAILURE }),
  finish: ({ token }) =>
    finishRun(p.scripts, {
      ...{ runId: "r", epoch: "1", status: "completed", value: "1", entryId: null },
      queueKey: token.queueKey,
    }),
  async time_out() {
    const member = timerMember({ kind: "run", runId: "r", epoch: 1 });
    await p.redis.zadd(p.scripts.keys.timers, 1, member);
    await fireTimers(p.scripts);
  },
  cancel: () => cancelRun(p.scripts, "r", "enough"),
  intervene: ({ run }) =>
    interveneToken(p.scripts, {
      ...{ runId: "r", home: "", node: 0, scope: null },
      queueKey: run.profile.queueKeys[0] as string,
      answer: { kind: "manual", action: "complete", by: "ann" },
    }),
  release: () => releaseRuns(p.scripts, ["r"], []),
  hibernate: () => hibernateRuns(p.scripts, ["r"], 1),
  evict: () => evictRuns(p.scripts, SLEEP),
  begin_wake: () => beginWake(p.scripts, "mine", SLEEP),
  wake: () =>
    wakeRun(p.scripts, {
      ...{ runId: "r", ticket: "mine" },
      commands: [["HSET", p.scripts.keys.run("r"), "s", "running"]],
    }),
  async redrive({ run }) {
    const notAfterMs = (await redisTimeMs(p.scripts)) + 1000;
    const { profile } = run;
    const state = new HotState(profile.ir);
    state.apply({ r: "r", e: "run.started" }, 1);
    const told = { r: "r", e: "run.redriven", ep: 2, at: 2 } as const;
    return redriveRun(p.scripts, {
      ...{ runId: "r", epoch: 2, notAfterMs, profile, state, input: "{}", fields: {}, told },
    });
  },
};

const SLEEP = [{ runId: "r", seq: 7 }];

const matrix = (Object.keys(RUN_TRANSITIONS) as RunAction[]).flatMap((action) =>
  STATUSES.map((status) => [action, status] as const),
);

describe("X17: the store", () => {
  it.each(matrix)("%s of a run that is %s", async (action, status) => {
    const at = await caseOf(status, action);
    const before = await at.run.hash();
    const tail = await p.redis.hget(p.scripts.keys.meta, "seq");
    await ACTIONS[action](at);
    const after = await at.run.hash();
    const becomes = RUN_TRANSITIONS[action][status];
    expect(after["s"] ?? "absent").toBe(becomes ?? status);
    if (becomes === undefined) {
      expect(after).toEqual(before);
      expect(await p.redis.hget(p.scripts.keys.meta, "seq")).toBe(tail);
    }
  });

  it("tells the status that does not allow it", async () => {
    await caseOf("failed", "pause");
    expect(await pauseRun(p.scripts, "r", "run")).toEqual({ kind: "refused", status: "failed" });
    expect(await resumeRun(p.scripts, "r", "run")).toMatchObject({ status: "failed" });
    expect(await cancelRun(p.scripts, "r", "enough")).toBe("failed");
  });
});

it("B8: an attempt is begun once, also when what the first redrive began is over and released", async () => {
  const at = await caseOf("failed", "redrive");
  await releaseRuns(p.scripts, ["r"], []);
  const again = (): Promise<unknown> => ACTIONS.redrive(at);
  expect(await again()).toEqual({ kind: "redriven" });
  await cancelRun(p.scripts, "r", "enough");
  await releaseRuns(p.scripts, ["r"], []);
  expect(await again()).toEqual({ kind: "superseded" });
});
