/**
 * Random workflows that fail, redriven under random schedules. Their handlers fail again as they did,
 * so whatever was undone and run again, the run must come to the end that the reference interpreter
 * gives. Under fail-fast, and with any and count joins, that depends on who comes first: it must be
 * the end that the interpreter comes to in the order of what is kept and of what has happened since.
 * And runs that wait, as if each had failed at some moment: what the journal is told of a redrive folds
 * to what is planned, to the time of a timer, so whoever rebuilds the run later has the same run.
 * GAVOTTE_SEED replays one case, GAVOTTE_CASES sets how many there are.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { compile } from "../../compiler/index.ts";
import { interpret, recordedOrder } from "../../compiler/reference/index.ts";
import type { JournalRecord, RedriveWish } from "../../sdk/internal.ts";
import { hotFields } from "../../sdk/hot-fields.ts";
import { HotState } from "../../sdk/hot-state.ts";
import { planRedrive } from "../../sdk/redrive.ts";
import { withoutUndone, type Placed } from "../../sdk/redrive-filter.ts";
import type { Ir } from "../../compiler/ir.ts";
import { oracleHandlers } from "../generate/builtins.ts";
import type { GenerateOptions } from "../generate/workflow.ts";
import type { Case } from "../harness/case.ts";
import { isSpecial, playAll, reportCases, seedsOf } from "../harness/cases.ts";
import { Driver, type DriveResult } from "../harness/driver.ts";
import { foldChain } from "../harness/invariants.ts";
import { openTestPartition, type TestPartition } from "../harness/partition.ts";
import { playOutside, type Play } from "../harness/played.ts";
import { seeded } from "../harness/random.ts";

reportCases(import.meta.filename);
const INPUT = { n: 3, name: "gavotte", list: [3, 1, 2] };
const OPTIONS = { anyJoins: false, failures: true, loops: true, continue: true, pure: true };
const KINDS: { [name: string]: GenerateOptions } = {
  plain: OPTIONS,
  maps: { ...OPTIONS, maps: true, maxNodes: 20 },
  "fail-fast": { ...OPTIONS, continue: false },
  "any and count joins": { ...OPTIONS, anyJoins: true },
  "joins that cancel their losers": { ...OPTIONS, anyJoins: true, cancels: true },
  "any and count joins, fail-fast": { ...OPTIONS, anyJoins: true, continue: false },
};

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());

const tokens = (of: { [field: string]: string }): [string, string][] =>
  Object.entries(of)
    .filter(([field]) => /^[njliem]\d+$/.test(field) || field === "nf")
    .sort(([a], [b]) => (a < b ? -1 : 1));

function folded(ir: Ir, records: readonly JournalRecord[]): { [field: string]: string } {
  const hot = new HotState(ir);
  records.forEach((r) => r.transitions.forEach((t) => hot.apply(t, r.t)));
  const more = { epoch: 1, irHash: "", input: INPUT, namespace: "", priority: "normal" };
  return hotFields(hot, more);
}

/** The journal without what redrives have undone. */
function effective(ir: Ir, records: readonly JournalRecord[]): Placed[] {
  let list: Placed[] = [];
  for (const { transitions, t } of records) {
    for (const transition of transitions) {
      const { rd } = transition;
      list = rd === undefined ? list : withoutUndone(ir, list, new Set(rd.u)).kept;
      list.push(...(rd === undefined ? [{ transition, t }] : []));
    }
  }
  return list;
}

/** What the workflow comes to; where that depends on who comes first, in the journal's order. */
function expectedOf(ir: Ir, runId: string, of: Placed[] | null): ReturnType<typeof interpret> {
  const ends = new Set(["node.completed", "node.failed", "node.retrying"]);
  const order = of
    ?.filter(({ transition }) => ends.has(transition.e))
    .map(({ transition: { n = -1, s = "" } }) => ({ node: ir.nodes[n]?.id ?? "", scope: s }));
  const more = order === undefined ? {} : { order: recordedOrder(order) };
  return interpret(ir, INPUT, { handlers: oracleHandlers(), runId, ...more });
}

/** A guarded read of a node that is upstream only through an any join is not told (B11). */
function told(value: unknown): unknown {
  const text = JSON.stringify(value, (key, v: unknown) => (key === "seen" ? undefined : v));
  return JSON.parse(text) as unknown;
}

/** What lies in a round that is over does not run again: it goes on where the refusal says. */
async function redriven(driver: Driver, runId: string, wish: RedriveWish): Promise<DriveResult> {
  try {
    return await driver.redrive(runId, INPUT, wish);
  } catch (error) {
    const [, end] = /has ended since: .* \(--from (.*)\)$/.exec(String(error)) ?? [];
    if (end === undefined) {
      throw error;
    }
    return driver.redrive(runId, INPUT, { ...wish, from: [end] });
  }
}

/** Whether the run failed and was redriven. */
async function play(options: GenerateOptions, one: Case): Promise<boolean> {
  const { seed } = one;
  const { ir, hash } = compile({ document: one.workflow(options) });
  if (ir === null || hash === null) {
    throw new Error("not valid");
  }
  const isRacing = options.anyJoins === true || options.continue !== true;
  const runId = `run-${seed}`;
  if (!isRacing && expectedOf(ir, runId, null).status !== "FAILED") {
    return false;
  }
  await p.reset();
  const random = seeded(seed);
  const schedule = { random, die: 0.1, steal: 0.15, duplicate: 0.2, late: 0.15 };
  const driver = new Driver(p, await p.publish(ir, hash), schedule);
  let { records, hash: fields } = await driver.run(runId, INPUT);
  let view = foldChain(ir, runId, records);
  for (let round = 0; round < 3; round++) {
    if (view.status !== "FAILED") {
      return round > 0;
    }
    const executed = effective(ir, records)
      .map(({ transition }) => transition)
      .filter(({ e, m }) => (e === "node.completed" || e === "node.failed") && m === undefined)
      .map(({ n }) => ir.nodes[n ?? -1]?.id ?? "");
    const from = executed[Math.floor(random() * executed.length)] as string;
    const wish: RedriveWish = { by: "test", ...(round > 0 && { from: [from] }) };
    ({ records, hash: fields } = await redriven(driver, runId, wish));
    view = foldChain(ir, runId, records);
    // A run that fails at once leaves tokens that were counted and never emitted.
    if (view.status === "COMPLETED" || ir.settings.failure === "continue") {
      expect(tokens(folded(ir, records))).toEqual(tokens(fields));
    }
    const expected = expectedOf(ir, runId, isRacing ? effective(ir, records) : null);
    const seen = Object.entries(view.nodes).map(([id, { status, output }]) => ({
      ...{ id, status, output },
    }));
    const wanted = Object.keys(view.nodes) // not those in bodies of maps
      .map((id) => ({ id, node: expected.nodes[id] }))
      .map(({ id, node }) => ({ id, status: node?.status, output: node?.output }));
    const outcome = options.anyJoins === true ? told : (value: unknown): unknown => value;
    expect(view.status).toBe(expected.status);
    expect(outcome(seen)).toEqual(outcome(wanted));
    expect(view.error?.message).toBe(expected.error?.message);
  }
  return true;
}

it.each(Object.entries(KINDS))(
  "B8: %s: a redriven run comes to the end that its workflow has, whatever is undone",
  async (_, options) => {
    const were = await playAll(seedsOf(60), (one) => play(options, one));
    expect(were.filter((was) => was).length).toBeGreaterThan(isSpecial ? -1 : were.length / 20);
  },
  10 * 60_000,
);

const OUTSIDE: { [name: string]: Play } = {
  "waits, maps, pauses, and what is settled by hand": {
    generate: { loops: true, continue: true, maps: true, failures: true, maxNodes: 16 },
    chances: { answer: 0.2, manual: 0.08, cancel: 0, hurry: 0.2 },
    ...{ pause: 0.1, actions: ["complete", "fail", "skip", "retry"], maps: true },
  },
  "circuits and rate limits": {
    generate: { loops: true, continue: true, maxNodes: 16 },
    chances: { answer: 0.2, manual: 0.05, cancel: 0, hurry: 0.2 },
    ...{ pause: 0.05, actions: ["retry"], maps: false, onOpen: ["wait"] },
  },
};

/** All that the next step goes by, and with which a run is rebuilt. */
function standing(state: HotState): unknown {
  const { tokens, joins, inputs, rounds, answers, over, edited, mapErrors, mapScopes } = state;
  const listed = [joins, inputs, rounds, answers, over, edited, mapErrors, mapScopes];
  const open = [...tokens].map(([node, { timer, isResumed, circuit, wait, answer, ...record }]) => {
    return [node, { ...record, ...{ timer, isResumed, circuit, wait, answer } }] as const;
  });
  const sorted = (map: Iterable<readonly [number, unknown]>): unknown =>
    [...map].sort(([a], [b]) => a - b);
  return {
    ...{ tokens: sorted(open), fields: listed.map(sorted), maps: [...state.maps.keys()] },
    ...{ failed: state.failed, signals: state.signals.fields(() => null), counter: state.counter },
  };
}

/** Redrives the run twice, as if it had failed after so many transitions; how often it could be. */
function redrivenAt(ir: Ir, journal: readonly Placed[], random: () => number): number {
  let list = journal.slice(0, Math.floor(random() * journal.length) + 1);
  for (let at = 2; at < 4; at++) {
    const ended = list.flatMap(({ transition: { e, n = -1, m } }) =>
      e === "node.completed" && m === undefined ? [ir.nodes[n]?.id ?? ""] : [],
    );
    const name = ended[Math.floor(random() * ended.length)];
    const from = random() < 0.5 && name !== undefined ? [name] : [];
    let plan;
    try {
      plan = planRedrive(ir, list, { by: "test", from });
    } catch {
      return at - 2; // nothing would run again
    }
    const t = (list.at(-1)?.t ?? 0) + 1;
    const rd = plan.redriven;
    const { r } = list[0]?.transition as Placed["transition"];
    list = [...list, { transition: { r, e: "run.redriven", ep: at, at, rd }, t }];
    const state = new HotState(ir);
    list.forEach(({ transition, t: tMs }) => state.apply(transition, tMs));
    expect(standing(state)).toEqual(standing(plan.state));
  }
  return 2;
}

it.each(Object.entries(OUTSIDE))(
  "B8: %s: folding what is told of a redrive gives the state that it has planned",
  async (_, kind) => {
    const counts = await playAll(seedsOf(30), async (one) => {
      const { ir, runId, records } = await playOutside(p, kind, one);
      const random = seeded(one.seed);
      const journal = records.flatMap(({ transitions, t }) =>
        transitions.filter(({ r }) => r === runId).map((transition) => ({ transition, t })),
      );
      return Array.from({ length: 30 }, () => redrivenAt(ir, journal, random));
    });
    expect(counts.flat().filter((times) => times > 0).length).toBeGreaterThan(
      isSpecial ? -1 : counts.flat().length / 10,
    );
  },
  10 * 60_000,
);
