/**
 * Random workflows through the real scripts on a real Redis, under random schedules, compared with
 * the reference interpreter. GAVOTTE_SEED replays one case, GAVOTTE_CASES sets how many there are.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Ir, IrNode, Json } from "../../compiler/index.ts";
import {
  interpret,
  nodesNotRun,
  planStart,
  recordedOrder,
  runVars,
  type Start,
} from "../../compiler/reference/index.ts";
import {
  FUSION,
  Planner,
  startFields,
  type EffectPlan,
  type JournalRecord,
} from "../../sdk/internal.ts";
import { hotFields } from "../../sdk/hot-fields.ts";
import { HotState } from "../../sdk/hot-state.ts";
import { oracleHandlers } from "../generate/builtins.ts";
import { undecidedDocument } from "../generate/undecided.ts";
import type { GenerateOptions } from "../generate/workflow.ts";
import type { Case } from "../harness/case.ts";
import { isSpecial, playAll, reportCases, seedsOf } from "../harness/cases.ts";
import { compiled } from "../harness/compiled.ts";
import { Driver } from "../harness/driver.ts";
import { foldChain } from "../harness/invariants.ts";
import { openTestPartition, type TestPartition } from "../harness/partition.ts";
import { seeded } from "../harness/random.ts";
import type { Schedule } from "../harness/schedule.ts";
import { checkUnits } from "../harness/units.ts";

reportCases(import.meta.filename);
/** Seeds that once failed: a retry in a self loop's later round; a fused sibling after the run's end. */
const REGRESSIONS = [97, 588];
const INPUT = { n: 3, name: "gavotte", list: [3, 1, 2] };

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());

const CALM: GenerateOptions = {
  ...{ anyJoins: false, failures: false, loops: true, continue: false, pure: true },
};
const KINDS: { [name: string]: GenerateOptions } = {
  calm: CALM,
  "handled failures and continue": { ...CALM, failures: true, continue: true, ordered: true },
  "any and count joins, fail-fast": { ...CALM, anyJoins: true, failures: true },
  "joins that cancel their losers": { ...CALM, anyJoins: true, cancels: true, failures: true },
  maps: { ...CALM, maps: true, maxNodes: 20, ordered: true },
  "maps with failures": { ...CALM, maps: true, maxNodes: 20, failures: true, handledOnly: true },
};

/**
 * A guarded read (`seen`) of a node that is upstream only through an any/count join sees whatever was
 * there when the token was read, which the journal does not tell (21 B11: "only sometimes there"); the
 * oracle reads at the journal's place of the completion. That is not an error of either. In a condition
 * it would take another branch: generated conditions ask for no such nodes (`racing` in draft.ts).
 */
function withoutRacingReads(value: unknown): unknown {
  const text = JSON.stringify(value, (key, v: unknown) => (key === "seen" ? undefined : v));
  return JSON.parse(text) as unknown;
}

/** What an error promises, itself and those that it tells of; and not its words. */
function promised(error: unknown): unknown {
  const vague = new Set(["message", "scope", "attempts"]);
  const text = JSON.stringify(error ?? null, (key, v: unknown) => (vague.has(key) ? undefined : v));
  return JSON.parse(text) as unknown;
}

/** The error of a node that has failed. */
function errorOf({ status, error }: { status: string; error?: unknown }): unknown {
  return status === "failed" ? promised(error) : null;
}

const isPart = ({ id }: IrNode): boolean => /^~(fan|join|entry):/.test(id);

/** The attempts that the journal accepted, in its order. */
function attempts(ir: Ir, records: readonly JournalRecord[]): { node: string; scope: string }[] {
  const ends = new Set(["node.completed", "node.failed", "node.retrying"]);
  return records
    .flatMap((record) => record.transitions)
    .filter((t) => ends.has(t.e))
    .map((t) => ({ node: ir.nodes[t.n ?? -1]?.id ?? "", scope: t.s ?? "" }));
}

const NOTHING: ReadonlySet<string> = new Set();

/**
 * What a node may be instead of skipped where its skip is in flight for a while: the run may end before,
 * by a failure; and a join that fires without the node's branch cancels what is open there.
 */
function insteadOfSkipped(status: string, { settings }: Ir): ReadonlySet<string> {
  const isCutOff = status === "FAILED" && settings.failure !== "continue";
  return new Set(isCutOff ? ["pending", "cancelled"] : ["cancelled"]);
}

interface Variation {
  /** What comes more or less often than elsewhere. */
  schedule?: Partial<Schedule>;
  /** How likely the run is paused or resumed between two steps. */
  pause?: number;
  /** Edges of a node beyond which the engine's workflow is split; the oracle's stays whole. */
  fan?: number;
  /** Where it begins; null: it cannot, and the case is left out. */
  start?: (ir: Ir, seed: number) => Start | null;
  /** Instead of one that is drawn. */
  document?: { [key: string]: Json };
  /** Skips go on in tokens of their own, which take their time. */
  spreads?: boolean;
}

async function play(
  options: GenerateOptions,
  one: Case,
  { pause = 0, start: startOf, schedule: more = {}, fan, spreads, document: given }: Variation = {},
): Promise<boolean> {
  const { seed } = one;
  const document = given === undefined ? one.workflow(options) : one.fixed(given);
  const { ir: whole, diagnostics } = compiled(document);
  const { ir, hash } = fan === undefined ? compiled(document) : compiled(document, { fan });
  if (fan !== undefined && (ir === null || !ir.nodes.some(isPart))) {
    return false;
  }
  if (ir === null || hash === null || whole === null) {
    throw new Error(`not valid: ${JSON.stringify(diagnostics)}`);
  }
  const runId = `run-${seed}`;
  const start = startOf === undefined ? undefined : startOf(ir, seed);
  const plan = start ? planStart(ir, start, runVars(ir, runId, INPUT)) : null;
  if (start === null || (plan !== null && "problems" in plan)) {
    return false;
  }
  await p.reset();
  await p.freeze();
  const random = seeded(seed);
  const usual = { die: 0.1, steal: 0.15, duplicate: 0.2, late: 0.15 };
  const schedule = { random, ...usual, pause, ...more };
  const profile = await p.publish(ir, hash);
  const { redis, scripts } = p;
  const look = (): Promise<void> => checkUnits({ redis, keys: scripts.keys }, ir, runId);
  const isLookedAt = options.maps === true || options.cancels === true;
  const driver = new Driver(p, profile, schedule, isLookedAt ? look : undefined);
  const begun = plan === null ? null : JSON.stringify(startFields(ir, plan));
  const { records, hash: fields } = await driver.run(runId, INPUT, begun);
  const view = foldChain(ir, runId, records);

  // Folding the journal gives the hot state.
  const hot = new HotState(ir);
  records.forEach((r) => r.transitions.forEach((t) => hot.apply(t, r.t)));
  const folded = hotFields(hot, {
    ...{ epoch: 1, irHash: hash, input: INPUT, namespace: "", priority: "normal" },
  });
  const tokens = (of: { [f: string]: string }): [string, string][] =>
    Object.entries(of)
      .filter(([field]) => /^[njli]\d+$/.test(field) || field === "nf")
      .sort(([a], [b]) => (a < b ? -1 : 1));
  // A run that fails at once may leave tokens that were counted and never emitted: it has ended.
  if (view.status === "COMPLETED" || ir.settings.failure === "continue") {
    expect(tokens(folded)).toEqual(tokens(fields));
  }

  // Where the outcome depends on who comes first, the oracle is a relation: in the journal's order
  // it must come to the same end (20 §9.8).
  // So has a run that is given what its nodes cannot work with: the first failure ends it.
  const isRacing = options.anyJoins === true || start !== undefined;
  const order = isRacing ? { order: recordedOrder(attempts(ir, records)) } : {};
  const expected = interpret(whole, INPUT, {
    ...{ handlers: oracleHandlers(), runId, ...order },
    ...(start === undefined ? {} : { start }),
  });
  const outcome = options.anyJoins === true ? withoutRacingReads : (value: unknown) => value;
  expect(
    outcome({ status: view.status, output: view.output, error: promised(view.error) }),
  ).toEqual(
    outcome({
      ...{ status: expected.status, output: expected.output, error: promised(expected.error) },
    }),
  );
  const own = Object.entries(view.nodes).filter(([id]) => fan === undefined || !id.startsWith("~"));
  const seen = Object.fromEntries(
    own.map(([id, n]) => {
      const { status, activations, output } = n;
      return [id, { status, activations, output, error: errorOf(n) }];
    }),
  );
  const instead = spreads === true ? insteadOfSkipped(view.status, whole) : NOTHING;
  const wanted = Object.fromEntries(
    Object.entries(expected.nodes)
      .filter(([id]) => view.nodes[id] !== undefined) // not those in bodies of maps
      .map(([id, n]) => {
        const { activations, output } = n;
        const found = view.nodes[id]?.status ?? n.status;
        const status = n.status === "skipped" && instead.has(found) ? found : n.status;
        return [id, { status, activations, output, error: errorOf({ ...n, status }) }];
      }),
  );
  expect(outcome(seen)).toEqual(outcome(wanted));
  return true;
}

/**
 * One or two nodes drawn from the seed, and the outputs of all that does not run: those of a run from
 * the beginning, and something else for what has none there. Null: it is refused all the same.
 */
function drawnStart(ir: Ir, seed: number): Start | null {
  const random = seeded(seed * 7 + 3);
  const whole = interpret(ir, INPUT, { handlers: oracleHandlers(), runId: `run-${seed}` });
  const ids = ir.nodes.filter(({ synthetic }) => synthetic !== true).map(({ id }) => id);
  const draw = (): string => ids[Math.floor(random() * ids.length)] ?? "";
  const [first, second, isByHand] = [draw(), draw(), random() < 0.5];
  const from = (at: string[]): Start => ({
    at,
    inputs: isByHand ? { [first]: whole.nodes[first]?.output ?? INPUT } : {},
    outputs: Object.fromEntries(
      nodesNotRun(ir, at).map((id) => [id, whole.nodes[id]?.output ?? { n: 1 }]),
    ),
  });
  const vars = runVars(ir, `run-${seed}`, INPUT);
  const can = (start: Start): boolean => !("problems" in planStart(ir, start, vars));
  return [from([first, second]), from([first])].find(can) ?? null;
}

describe.each(Object.entries(KINDS))("engine and oracle: %s", (_, options) => {
  it(
    "agree whatever the schedule",
    async () => {
      await playAll(seedsOf(150, REGRESSIONS), async (one) => void (await play(options, one)));
    },
    10 * 60_000,
  );
});

describe.each(Object.entries(KINDS).filter(([, { anyJoins }]) => anyJoins !== true))(
  "split beyond two edges: %s",
  (_, options) => {
    it(
      "a run comes to the end that the oracle comes to with the workflow whole",
      async () => {
        const seeds = seedsOf(60, REGRESSIONS);
        const played = await playAll(seeds, (one) => play(options, one, { fan: 2 }));
        // Not every workflow has a place so wide.
        expect(isSpecial || played.filter(Boolean).length > seeds.length / 4).toBe(true);
      },
      10 * 60_000,
    );
  },
);

describe.each(Object.entries(KINDS))("B5: paused and resumed at random: %s", (_, options) => {
  it(
    "a run comes to the end that it comes to without",
    async () => {
      await playAll(seedsOf(50, REGRESSIONS), async (one) => {
        await play(options, one, { pause: 0.3 });
      });
    },
    10 * 60_000,
  );
});

/** Closures from which each join is missing at random, as those are that there was no room for. */
function leaveJoinsOut(random: () => number): void {
  for (const name of ["end", "skip"] as const) {
    const whole = Planner.prototype[name] as (...args: unknown[]) => EffectPlan;
    vi.spyOn(Planner.prototype, name).mockImplementation(function (
      this: Planner,
      ...args: unknown[]
    ) {
      const plan = whole.apply(this, args);
      const drop = (join: string): string => (random() < 0.6 ? "" : join);
      return { ...plan, closure: plan.closure.replace(/\|\d+=[^|]*/g, drop) };
    });
  }
}

describe.each(Object.entries(KINDS))("C1: skips go on in tokens of their own: %s", (_, options) => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it(
    "a run comes to the end that it comes to in one call",
    async () => {
      let spread = 0;
      const seeds = seedsOf(40, REGRESSIONS);
      await playAll(seeds, async (one) => {
        vi.restoreAllMocks();
        leaveJoinsOut(seeded(one.seed * 13 + 5));
        await play(options, one, { spreads: true });
        spread += vi.mocked(Planner.prototype.skip).mock.calls.length;
      });
      expect(isSpecial || spread > 0).toBe(true);
    },
    10 * 60_000,
  );
});

/** Four layers, each node joined to all of the next: one of the first fails, or none goes on from it. */
function dense(failing: boolean): { [key: string]: Json } {
  const row = Array.from({ length: 24 }, (_, i) => i);
  const layers = [0, 1, 2, 3];
  const nodes = layers.flatMap((layer) =>
    row.map((i) => {
      const fails = failing && layer === 0 && i === 7;
      const params = fails ? { code: "E0", message: "as told", value: 1 } : { layer, i };
      const function_name = fails ? "builtin.fail" : "builtin.echo";
      return { id: `n${layer}-${i}`, type: "function", config: { function_name, params } };
    }),
  );
  const edges = [1, 2, 3].flatMap((layer) =>
    row.flatMap((from) =>
      row.map((to) => ({
        ...{ from: `n${layer - 1}-${from}`, to: `n${layer}-${to}` },
        ...(layer === 1 && !failing ? { condition: "input.n > 99" } : {}),
      })),
    ),
  );
  return {
    metadata: { name: "dense", version: "1" },
    nodes,
    edges,
    settings: { failure: "continue" },
  };
}

describe.each([
  ["a failure", true],
  ["conditions that do not hold", false],
])("C1: densely layered: %s", (_, failing) => {
  it(
    "what is skipped is more than is sent with a step, and all of it is skipped in the end",
    async () => {
      const skip = vi.spyOn(Planner.prototype, "skip");
      await playAll(seedsOf(3), async (one) => {
        expect(await play(CALM, one, { document: dense(failing) })).toBe(true);
      });
      expect(skip.mock.calls.length).toBeGreaterThan(3);
      skip.mockRestore();
    },
    10 * 60_000,
  );
});

describe("outputs that edges cannot be decided with", () => {
  it(
    "are in the errors as the oracle keeps them, short and long ones",
    async () => {
      await playAll(seedsOf(10), async (one) => {
        expect(await play(CALM, one, { document: undecidedDocument() })).toBe(true);
      });
    },
    10 * 60_000,
  );
});

/** Behind two steps a pure region that is wide and deep; its ends read all that there is to read. */
function pureRegion(wide: number, deep: number): { [key: string]: Json } {
  const step = (id: string, params: Json): Json => ({
    ...{ id, type: "function", config: { function_name: "builtin.echo", params } },
  });
  const seen = "has(ctx.z.output) ? ctx.z.output.v : -1, has(input.n) ? input.n : -1, run.attempt";
  const nodes: Json[] = [step("z", { v: 1 }), step("a", {})];
  const edges: Json[] = [{ from: "z", to: "a" }];
  for (let i = 0; i < wide; i++) {
    for (let d = 0; d < deep; d++) {
      const expression = d === deep - 1 ? `[${seen}]` : "data";
      nodes.push({ id: `n${i}-${d}`, type: "transform", config: { expression } });
      edges.push({ from: d === 0 ? "a" : `n${i}-${d - 1}`, to: `n${i}-${d}` });
    }
  }
  return { metadata: { name: "pure", version: "1" }, nodes, edges };
}

describe("A10: a pure region that one step does not hold", () => {
  it.each([
    [40, 3],
    [3, 40],
    [1, 70],
  ])(
    "comes to the oracle's outputs, %i ways of %i nodes",
    async (wide, deep) => {
      await playAll(seedsOf(2), async (one) => {
        expect(await play(CALM, one, { document: pureRegion(wide, deep) })).toBe(true);
      });
    },
    10 * 60_000,
  );

  it.each(Object.entries(KINDS))(
    "comes to what it comes to in one step, after one or two nodes: %s",
    async (_, options) => {
      let hops = 0;
      const max = vi.spyOn(FUSION, "nodesMax", "get");
      const seeds = seedsOf(40, REGRESSIONS);
      await playAll(seeds, async (one) => {
        max.mockReturnValue(1 + (one.seed % 2));
        await play(options, one);
        hops += max.mock.calls.length;
      });
      max.mockRestore();
      expect(hops).toBeGreaterThan(0);
    },
    10 * 60_000,
  );
});

describe.each(Object.entries(KINDS))("W19: delivered one to five times: %s", (_, options) => {
  it(
    "a run comes to the end that it comes to without",
    async () => {
      const schedule = { duplicate: 0.8, repeats: 4, steal: 0.4, late: 0.3 };
      await playAll(seedsOf(10, REGRESSIONS), async (one) => {
        await play(options, one, { schedule });
      });
    },
    10 * 60_000,
  );
});

describe.each(Object.entries(KINDS))("X20: begun in the middle: %s", (_, options) => {
  it(
    "a run comes to the end that the oracle comes to from there",
    async () => {
      let played = 0;
      const seeds = seedsOf(60, REGRESSIONS);
      await playAll(seeds, async (one) => {
        played += (await play(options, one, { start: drawnStart })) ? 1 : 0;
      });
      // Few cannot begin: what is given for a node that never ran may decide none of its edges.
      expect(played).toBeGreaterThan(seeds.length / 2);
    },
    10 * 60_000,
  );
});
