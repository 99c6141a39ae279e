/**
 * Random workflows whose nodes wait - for signals, people, times, children; in loops, in elements of
 * maps and in children too - through the real scripts under random schedules, with outsiders who
 * signal early, twice and late, answer, decide, settle by hand, pause and cancel at any moment. The
 * reference interpreter is the judge, as a relation. GAVOTTE_SEED replays one case, GAVOTTE_CASES
 * sets how many there are.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  blobOfValue,
  OUTPUT_INLINE_BYTES_MAX,
  type JournalRecord,
  type Transition,
} from "../../sdk/internal.ts";
import type { GenerateOptions } from "../generate/workflow.ts";
import {
  documentOf as scenarioDocument,
  MAP_SCENARIOS,
  type MapScenario,
} from "../generate/map-scenarios.ts";
import { raceDocument } from "../generate/races.ts";
import type { Case } from "../harness/case.ts";
import { isSpecial, playAll, reportCases, seedsOf } from "../harness/cases.ts";
import type { Chances } from "../harness/outsiders.ts";
import { openTestPartition, type TestPartition } from "../harness/partition.ts";
import { playOutside, type Play } from "../harness/played.ts";

reportCases(import.meta.filename);
const CALM: Chances = { answer: 0.3, manual: 0, cancel: 0, hurry: 0.1 };

interface Kind extends Play {
  /** Default 60. */
  cases?: number;
}

const GENERATE: GenerateOptions = { loops: true, continue: true, maxNodes: 16, pure: true };
const NOBODY = { pause: 0, actions: [], maps: false } as const;
const KINDS: { [name: string]: Kind } = {
  "waits and children": { ...NOBODY, generate: GENERATE, chances: CALM },
  "waits and children in maps": {
    ...NOBODY,
    generate: { ...GENERATE, maps: true, failures: true },
    chances: CALM,
  },
  "waits beside any and count joins, fail-fast": {
    ...NOBODY,
    generate: { loops: true, anyJoins: true, failures: true, maxNodes: 16 },
    chances: { ...CALM, hurry: 0.3 },
  },
  "races whose losers are cancelled": {
    ...{ ...NOBODY, generate: GENERATE, top: raceDocument, cases: 120 },
    chances: { ...CALM, answer: 0.1, hurry: 0.1 },
  },
  "races with runs that are settled by hand, are paused and fall asleep": {
    ...{ generate: GENERATE, top: raceDocument, cases: 90 },
    chances: { answer: 0.1, manual: 0.08, cancel: 0, hurry: 0.1 },
    ...{ pause: 0.1, actions: ["complete", "fail", "skip", "retry"], maps: true, sleep: 0.3 },
  },
  "nodes completed and failed by hand, pauses": {
    generate: { ...GENERATE, maps: true },
    chances: { ...CALM, manual: 0.08 },
    ...{ pause: 0.1, actions: ["complete", "fail"], maps: false },
  },
  "nodes skipped and tried again by hand, maps settled": {
    generate: { ...GENERATE, maps: true },
    chances: { ...CALM, manual: 0.08 },
    ...{ pause: 0.05, actions: ["complete", "fail", "skip", "retry"], maps: true },
  },
  "runs that fall asleep and are woken at any moment": {
    generate: { ...GENERATE, failures: true },
    chances: { answer: 0.15, manual: 0.03, cancel: 0, hurry: 0.05 },
    ...{ pause: 0.03, actions: ["complete", "fail"], maps: false, sleep: 0.7 },
  },
  "runs with maps, and runs that are paused, fall asleep and are woken at any moment": {
    generate: { ...GENERATE, maps: true, failures: true },
    chances: { answer: 0.15, manual: 0.03, cancel: 0, hurry: 0.05 },
    ...{ pause: 0.15, actions: ["complete", "fail"], maps: false, sleep: 0.7 },
  },
  "maps settled by hand, runs cancelled before they are collected": {
    generate: GENERATE,
    top: (seed) => scenarioDocument(MAP_SCENARIOS[seed % MAP_SCENARIOS.length] as MapScenario),
    cases: 150,
    chances: { ...CALM, manual: 0.2, cancel: 0, cancelGathered: 0.15 },
    ...{ pause: 0, actions: ["complete", "fail", "skip", "retry"], maps: true },
  },
  "runs cancelled at any moment": {
    ...NOBODY,
    generate: { ...GENERATE, maps: true },
    chances: { ...CALM, cancel: 0.02 },
  },
};

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());

/** How often each end of a wait was seen, by its kind, "in map: …", "of a map: …", "in child: …". */
const seen = new Map<string, number>();

/** Maps whose elements have ended and whose results nobody has collected. */
function followGather(open: Set<string>, { e, r, m = "", s = "", n = -1 }: Transition): void {
  const key = [r, m, s, n].join("|");
  if (e === "map.gather") {
    open.add(key);
  } else if (e === "node.completed" || e === "node.failed") {
    open.delete(key);
  }
}

const add = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);

/** What was cancelled because a join had fired without it, by what became of it before. */
function countLosers(records: readonly JournalRecord[]): void {
  const last = new Map<string, string>();
  for (const t of records.flatMap(({ transitions }) => transitions)) {
    const key = [t.r, t.m ?? "", t.s ?? "", t.n].join("|");
    if (t.e === "node.cancelled") {
      add(t.a === undefined ? "a loop loses" : "a token loses");
      add(t.m === undefined ? "a token loses" : "a token in a map loses");
      add(`after ${last.get(key) ?? "nothing"} it loses`);
    } else if (t.e === "join.decided" && t.v === "cancelled") {
      add("tokens at a join lose");
    }
    last.set(key, t.e);
  }
}

function count(records: readonly JournalRecord[]): void {
  countLosers(records);
  const gathering = new Set<string>();
  for (const t of records.flatMap(({ transitions }) => transitions)) {
    followGather(gathering, t);
    const v = t.v as { kind?: string; action?: string } | undefined;
    const isBlob = t.e === "node.completed" && JSON.stringify(t.o ?? null).includes("$gv:blob");
    const isEnd = t.e === "node.resumed" || (t.e === "node.activated" && v !== undefined);
    const what = isEnd ? (v?.action ?? v?.kind ?? "delay") : isBlob ? "blob" : null;
    if (JSON.stringify(t.inp ?? null).length >= OUTPUT_INLINE_BYTES_MAX) {
      add("in child: a long input in its place");
    } else if (t.inp !== undefined && blobOfValue(t.inp) !== null) {
      add("in child: a large input");
    }
    if (what !== null) {
      add(what);
      add(t.m !== undefined ? `in map: ${what}` : what);
      add(t.r.includes("~") ? `in child: ${what}` : what);
      add(t.was?.startsWith("m") === true ? `of a map: ${what}` : what);
    } else if (t.e === "run.cancelled") {
      add("cancelled");
      const isBetween = [...gathering].some((key) => key.startsWith(`${t.r}|`));
      add(isBetween ? "cancelled before a map is collected" : "cancelled");
    }
  }
}

/** Plays one case and counts what there was in it. Returns the journal. */
async function play(kind: Play, one: Case): Promise<JournalRecord[]> {
  const { records, sleepers } = await playOutside(p, kind, one);
  count(records);
  const { woken, wokenPaused, wokenWithMap } = sleepers;
  const wakes = { woken, "woken paused": wokenPaused, "woken with a map": wokenWithMap };
  for (const [what, times] of Object.entries(wakes)) {
    seen.set(what, (seen.get(what) ?? 0) + times);
  }
  return records;
}

describe.each(Object.entries(KINDS))("B11: engine, outsiders and oracle: %s", (_, kind) => {
  it(
    "agree whatever comes when",
    async () => {
      await playAll(seedsOf(kind.cases ?? 60), (one) => play(kind, one));
    },
    10 * 60_000,
  );
});

describe.each(Object.entries(KINDS))("a seed: %s", (_, kind) => {
  it(
    "is one schedule, to the millisecond and to the secrets that are given out",
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
  const ends = ["signal", "callback", "approval", "timeout", "child", "delay", "blob"];
  const wanted = ends.flatMap((what) => [what, `in map: ${what}`]);
  const orders = ["complete", "fail", "skip"];
  const byHand = ["retry", "in map: retry", ...orders].concat(
    orders.flatMap((what) => [`in map: ${what}`, `of a map: ${what}`]),
  );
  const cancels = ["cancelled", "cancelled before a map is collected"];
  const wakes = ["woken", "woken paused", "woken with a map"];
  const before = ["nothing", "node.parked", "node.retrying", "map.started", "map.gather"];
  const losers = [
    ...["a token loses", "a token in a map loses", "a loop loses", "tokens at a join lose"],
    ...before.map((event) => `after ${event} it loses`),
  ];
  const inputs = ["a large input", "a long input in its place"];
  const inChild = ["signal", "blob", ...inputs].map((what) => `in child: ${what}`);
  it.each([...wanted, ...byHand, ...cancels, ...wakes, ...inChild, ...losers])(
    "there is: %s",
    (what) => {
      expect(seen.get(what) ?? 0).toBeGreaterThan(0);
    },
  );
});
