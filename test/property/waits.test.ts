/**
 * Random workflows whose nodes wait - for signals, people, times, children; in loops, in elements of
 * maps and in children too - through the real scripts under random schedules, with outsiders who
 * signal early, twice and late, answer, decide, settle by hand, pause and cancel at any moment. The
 * reference interpreter is the judge, as a relation. GAVOTTE_SEED replays one case, GAVOTTE_CASES
 * sets how many there are.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, type Ir, type Json } from "../../compiler/index.ts";
import type { JournalRecord, RunProfile, RunView, Transition } from "../../sdk/internal.ts";
import type { GenerateOptions, JsonObject } from "../generate/workflow.ts";
import {
  documentOf as scenarioDocument,
  MAP_SCENARIOS,
  type MapScenario,
} from "../generate/map-scenarios.ts";
import { raceDocument } from "../generate/races.ts";
import { withWaits } from "../generate/waits.ts";
import type { Case } from "../harness/case.ts";
import { isSpecial, playAll, reportCases, seedsOf } from "../harness/cases.ts";
import { Driver } from "../harness/driver.ts";
import { foldChain } from "../harness/invariants.ts";
import { Outsiders, type Chances, type OutsiderOptions } from "../harness/outsiders.ts";
import { openTestPartition, type TestPartition } from "../harness/partition.ts";
import { seeded } from "../harness/random.ts";
import { Sleepers } from "../harness/sleepers.ts";
import { related, wholeWith } from "../harness/relation.ts";
import { checkUnits } from "../harness/units.ts";

reportCases(import.meta.filename);
const INPUT = { n: 3, name: "gavotte", list: [3, 1, 2] };
const CALM: Chances = { answer: 0.3, manual: 0, cancel: 0, hurry: 0.1 };

interface Kind extends Pick<OutsiderOptions, "actions" | "maps"> {
  generate: GenerateOptions;
  /** Not generated: the workflow of this seed. */
  top?: (seed: number) => object;
  /** Default 60. */
  cases?: number;
  chances: Chances;
  pause: number;
  /** Runs fall asleep and are woken. */
  sleep?: number;
}

const GENERATE: GenerateOptions = { loops: true, continue: true, maxNodes: 16 };
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

async function published(document: JsonObject): Promise<RunProfile> {
  const { ir, hash, diagnostics } = compile({ document: document as Json });
  if (ir === null || hash === null) {
    throw new Error(`not valid: ${JSON.stringify(diagnostics)}`);
  }
  return p.publish(ir, hash);
}

/** What is no promise: texts, how often a child was tried, reads that race (21 B11). */
function comparable(value: unknown): unknown {
  const vague = new Set(["message", "details", "attempts", "seen"]);
  const text = JSON.stringify(value, (key, v: unknown) => (vague.has(key) ? undefined : v));
  return text === undefined ? undefined : (JSON.parse(text) as unknown);
}

type Nodes = { [id: string]: { status: string; activations: number; output?: Json } };

function nodesOf(nodes: Nodes, known: Nodes, whole: (value: Json) => Json): unknown {
  return Object.entries(nodes)
    .filter(([id]) => known[id] !== undefined)
    .map(([id, { status, activations, output }]) => {
      const isShown = status === "completed" && output !== undefined;
      return [id, status, activations, isShown ? comparable(whole(output)) : null];
    });
}

/** Each signal serves one wait, and those of a name come in the order in which they were accepted. */
function assertSignals(runId: string, records: readonly JournalRecord[]): void {
  const accepted: { [name: string]: string[] } = {};
  const used: { [name: string]: string[] } = {};
  for (const t of records.flatMap(({ transitions }) => transitions)) {
    const v = t.v as { kind?: string; name: string; id: string } | undefined;
    if (t.r === runId && v?.kind === "signal") {
      const known = (accepted[v.name] ??= []);
      if (!known.includes(v.id)) {
        known.push(v.id);
      }
      if (t.e === "node.resumed") {
        (used[v.name] ??= []).push(v.id);
      }
    }
  }
  for (const [name, ids] of Object.entries(used)) {
    expect(ids).toEqual(accepted[name]?.slice(0, ids.length));
  }
}

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

function compare(
  runId: string,
  ir: Ir,
  input: Json,
  records: readonly JournalRecord[],
  { views, whole }: Pick<Parameters<typeof related>[4], "views" | "whole">,
): void {
  const expected = related(ir, runId, input, records, { views, whole });
  const view = views.get(runId) as RunView;
  const isCut = view.status === "CANCELLED";
  const end = isCut ? null : comparable({ status: view.status, output: whole(view.output) });
  const wanted = isCut ? null : comparable({ status: expected.status, output: expected.output });
  expect([runId, end]).toEqual([runId, wanted]);
  expect(nodesOf(view.nodes, view.nodes, whole)).toEqual(
    nodesOf(expected.nodes, view.nodes, whole),
  );
}

/** Plays one case; all its runs are compared with the oracle. Returns the journal. */
async function play(kind: Kind, one: Case): Promise<JournalRecord[]> {
  const { seed } = one;
  await p.reset();
  await p.freeze();
  const random = seeded(seed);
  const documentOf = (name: string, at: number, children: string[]): JsonObject => {
    const document = withWaits(one.workflow(kind.generate, at), { children, random });
    delete document["metadata"];
    return Object.assign(document, { name });
  };
  const fixed = kind.top?.(seed) as JsonObject | undefined;
  const top = await published(
    fixed === undefined ? documentOf("top", seed, ["leaf"]) : one.fixed(fixed),
  );
  const leaf = await published(documentOf("leaf", seed + 10_000, []));
  const profiles = new Map([top, leaf].map((profile) => [profile.irHash, profile]));
  const { chances, actions, maps, pause } = kind;
  const outsiders = new Outsiders({ partition: p, profiles, random, chances, actions, maps });
  const runId = `run-${seed}`;
  const irOf = (id: string): Ir => profiles.get(outsiders.runs.get(id) ?? top.irHash)?.ir as Ir;
  const look = async (): Promise<void> => {
    for (const id of new Set([runId, ...outsiders.runs.keys()])) {
      if (sleepers.has(id)) {
        continue;
      }
      await checkUnits({ redis: p.redis, keys: p.scripts.keys }, irOf(id), id);
    }
  };
  const chance = kind.sleep ?? 0;
  const runs = (): ReadonlyMap<string, string> => outsiders.runs;
  const sleepers = new Sleepers({ partition: p, profiles, runs, random, chance });
  const schedule = {
    ...{ random, die: 0.1, steal: 0.1, duplicate: 0.2, late: 0.1, pause },
    async outside(isIdle: boolean) {
      const isMoved = chance > 0 && outsiders.runs.size > 0 && (await sleepers.act(isIdle));
      return (await outsiders.act(isIdle && !isMoved)) || isMoved;
    },
  };
  const driver = new Driver(p, top, schedule, look, { leaf });
  await driver.run(runId, INPUT);
  await sleepers.wakeAll();
  await outsiders.orphans();
  const records = await driver.records();

  count(records);
  const { woken, wokenPaused, wokenWithMap } = sleepers;
  const wakes = { woken, "woken paused": wokenPaused, "woken with a map": wokenWithMap };
  for (const [what, times] of Object.entries(wakes)) {
    seen.set(what, (seen.get(what) ?? 0) + times);
  }
  const views = new Map<string, RunView>();
  const ids = [...outsiders.runs.keys()];
  ids.forEach((id) => views.set(id, foldChain(irOf(id), id, records)));
  // A run's output may name what a child of it has put out.
  const texts = await Promise.all(ids.map((id) => p.redis.hgetall(p.scripts.keys.blobs(id))));
  const whole = wholeWith(Object.assign({}, ...texts) as { [sha256: string]: string });
  for (const id of ids) {
    expect([id, views.get(id)?.status]).not.toEqual([id, "RUNNING"]);
    assertSignals(id, records);
    const input = JSON.parse((await p.redis.hget(p.scripts.keys.run(id), "in")) ?? "null") as Json;
    compare(id, irOf(id), input, records, { views, whole });
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
  const inChild = ["in child: signal", "in child: blob"];
  it.each([...wanted, ...byHand, ...cancels, ...wakes, ...inChild, ...losers])(
    "there is: %s",
    (what) => {
      expect(seen.get(what) ?? 0).toBeGreaterThan(0);
    },
  );
});
