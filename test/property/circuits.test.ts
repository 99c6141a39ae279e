/**
 * Random workflows whose nodes have circuit breakers and rate limits, which they share, through the
 * real scripts under random schedules: circuits open, are probed by one, close and open again, while
 * workers die before, in and after an execution, tell late or never, and are robbed of their tokens.
 * Each answer of a circuit or a limit is compared with a model of it, each run with the reference
 * interpreter. GAVOTTE_SEED replays one case, GAVOTTE_CASES sets how many there are.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JournalRecord } from "../../sdk/internal.ts";
import { raceDocument } from "../generate/races.ts";
import type { GenerateOptions } from "../generate/workflow.ts";
import type { Case } from "../harness/case.ts";
import { isSpecial, playAll, reportCases, seedsOf } from "../harness/cases.ts";
import type { Chances } from "../harness/outsiders.ts";
import { openTestPartition, type TestPartition } from "../harness/partition.ts";
import { playOutside, type Play, type Played } from "../harness/played.ts";
import { isRefused } from "../harness/relation.ts";

reportCases(import.meta.filename);
const CALM: Chances = { answer: 0.3, manual: 0, cancel: 0, hurry: 0.1 };
const GENERATE: GenerateOptions = {
  loops: true,
  continue: true,
  failures: true,
  maxNodes: 16,
  pure: true,
};
const NOBODY = { chances: CALM, pause: 0, actions: [], maps: false } as const;
const KINDS: { [name: string]: Play } = {
  "steps that wait": { ...NOBODY, generate: GENERATE, onOpen: ["wait"] },
  "steps that wait in maps": {
    ...NOBODY,
    generate: { ...GENERATE, maps: true },
    onOpen: ["wait"],
  },
  "steps that fail": { ...NOBODY, generate: { ...GENERATE, maps: true }, onOpen: ["wait", "fail"] },
  "beside any and count joins, fail-fast": {
    ...NOBODY,
    generate: { loops: true, anyJoins: true, failures: true, maxNodes: 16 },
    onOpen: ["wait", "fail"],
  },
  "races whose losers are cancelled": {
    ...NOBODY,
    ...{ generate: GENERATE, top: raceDocument, onOpen: ["wait", "fail"] },
  },
  "opened and closed by hand": {
    ...NOBODY,
    ...{ generate: GENERATE, onOpen: ["wait", "fail"], hands: 0.1 },
  },
  "runs that are paused, fall asleep and are cancelled": {
    generate: { ...GENERATE, maps: true },
    chances: { answer: 0.15, manual: 0, cancel: 0.01, hurry: 0.05 },
    ...{ pause: 0.1, actions: [], maps: false, sleep: 0.5, onOpen: ["wait", "fail"] },
  },
  "steps settled by hand": {
    generate: { ...GENERATE, maps: true },
    chances: { ...CALM, manual: 0.08 },
    ...{ pause: 0.05, actions: ["complete", "fail", "skip", "retry"], maps: true },
    onOpen: ["wait", "fail"],
  },
};

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());

/** What there was, and how often. */
const seen = new Map<string, number>();
const add = (what: string, times = 1): void => void seen.set(what, (seen.get(what) ?? 0) + times);

/** Whoever waits for a circuit is charged no attempt: a token's are counted by its failures. */
function assertAttempts(records: readonly JournalRecord[]): void {
  const next = new Map<string, number>();
  for (const t of records.flatMap(({ transitions }) => transitions)) {
    const key = [t.r, t.m ?? "", t.s ?? "", t.n].join("|");
    const isEnd = ["node.retrying", "node.completed", "node.failed"].includes(t.e);
    if (isEnd || t.circuit !== undefined) {
      const { a = 1 } = t;
      expect([key, a <= (next.get(key) ?? 1)]).toEqual([key, true]);
      next.set(key, t.e === "node.retrying" ? a + 1 : (next.get(key) ?? 1));
    }
  }
}

function count({ records, circuits, sleepers }: Played): void {
  circuits.seen.forEach((times, what) => add(what, times));
  add("woken", sleepers.woken);
  const started = new Set<string>();
  for (const t of records.flatMap(({ transitions }) => transitions)) {
    const key = [t.r, t.m ?? "", t.s ?? "", t.n].join("|");
    if (t.rate !== undefined) {
      add("waits for its start");
      started.add(key);
    } else if (t.circuit !== undefined) {
      add(t.m === undefined ? "parked" : "parked in a map");
      add(t.r.includes("~") ? "parked in a child" : "parked");
      add(started.has(key) ? "parked with its start" : "parked");
    } else if (isRefused(t)) {
      add(t.e === "node.retrying" ? "refused and tried again" : "refused");
    }
  }
}

async function play(kind: Play, one: Case): Promise<JournalRecord[]> {
  const played = await playOutside(p, kind, one);
  if (!kind.actions.includes("retry")) {
    assertAttempts(played.records);
  }
  count(played);
  return played.records;
}

describe.each(Object.entries(KINDS))("X31a: circuits, engine and oracle: %s", (_, kind) => {
  it(
    "agree whatever comes when",
    async () => {
      await playAll(seedsOf(40), (one) => play(kind, one));
    },
    10 * 60_000,
  );

  it(
    "and a seed is one schedule, to the millisecond",
    async () => {
      const told = (records: readonly JournalRecord[]): unknown =>
        records.map(({ t, transitions }) => ({ t, transitions }));
      await playAll(seedsOf(3).slice(0, 3), async (one) => {
        const twin = one.twin();
        const once = told(await play(kind, one));
        expect(told(await play(kind, twin))).toEqual(once);
      });
    },
    5 * 60_000,
  );
});

describe.skipIf(isSpecial)("among all these cases", () => {
  const circuits = ["opens", "held", "held by a probe", "failures are forgotten"];
  const probes = ["probed", "probed again", "probe died", "ends when it is open"];
  const ends = ["success", "failure", "none", "renew"].map((what) => `probe: ${what}`);
  const hands = ["open by hand", "close by hand", "held by hand"];
  const parked = ["parked", "parked in a map", "parked in a child", "parked with its start"];
  const others = ["refused", "refused and tried again", "waits for its start", "woken"];
  it.each([...circuits, ...probes, ...ends, ...hands, ...parked, ...others])(
    "there is: %s",
    (what) => {
      expect(seen.get(what) ?? 0).toBeGreaterThan(0);
    },
  );
});
