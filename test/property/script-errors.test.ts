/**
 * An error after every call that a script makes of Redis: whatever was written by then stays, and the
 * run comes to the end that it has without (21 A4). The scenarios call every script that moves runs on;
 * each is played once per call.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, type Ir, type Json } from "../../compiler/index.ts";
import { interpret } from "../../compiler/reference/index.ts";
import {
  cancelRun,
  pauseRun,
  resumeRun,
  signalRun,
  type RedriveWish,
  type RunProfile,
} from "../../sdk/internal.ts";
import { oracleHandlers } from "../generate/builtins.ts";
import { foldChain } from "../harness/invariants.ts";
import { openTestPartition, type TestPartition } from "../harness/partition.ts";
import { seeded } from "../harness/random.ts";
import { StruckDriver, type StruckOptions } from "../harness/struck-driver.ts";
import { struckPartition, type StruckPartition } from "../harness/struck-scripts.ts";

type Nodes = { [member: string]: unknown }[];

interface Scenario {
  nodes: Nodes;
  edges?: [from: string, to: string, more?: object][];
  more?: object;
  /** Workflows that it starts, by name. */
  children?: { [name: string]: Nodes };
  outside?: (p: TestPartition) => NonNullable<StruckOptions["outside"]>;
  /** How it ends where the oracle knows nothing of who ends it. */
  status?: string;
  sleeps?: boolean;
  redrive?: RedriveWish;
}

const INPUT = { n: 3, list: [1, 2, 3] };

const echo = (id: string, more: object = {}): { [member: string]: unknown } => ({
  ...{ id, type: "function", config: { function_name: "builtin.echo" } },
  ...more,
});

/** Fails on its first attempts. */
const fails = (id: string, attempts: number, more: object = {}): { [member: string]: unknown } => ({
  ...{ id, type: "function" },
  config: { function_name: "builtin.fail", params: { attempts } },
  ...more,
});

const DIAMOND: Scenario["edges"] = [
  ["a", "b"],
  ["a", "c"],
  ["b", "d"],
  ["c", "d"],
];
const RETRY = { retry: { max_attempts: 2, backoff_ms: 10 } };
const GO = { name: "go", id: "once", data: { ok: true } };

const SCENARIOS: { [name: string]: Scenario } = {
  "joins, a retry, an output of its own": {
    nodes: [echo("a"), fails("b", 1, RETRY), echo("c"), echo("d")],
    edges: DIAMOND,
    more: { output: { d: "${ctx.d.output}" }, settings: { timeout_ms: 3_600_000 } },
  },
  "pure nodes behind a step, and behind the last one": {
    nodes: [
      echo("a"),
      { id: "p", type: "transform", config: { expression: "data" } },
      echo("b", { queue: "other" }),
      { id: "q", type: "transform", config: { expression: "data" } },
    ],
    edges: [
      ["a", "p"],
      ["p", "b"],
      ["b", "q"],
    ],
    more: { settings: { timeout_ms: 3_600_000 } },
  },
  "a failure that other branches survive": {
    nodes: [echo("a"), fails("b", 9), echo("c"), echo("d")],
    edges: DIAMOND,
    more: { settings: { failure: "continue" } },
  },
  "a failure that ends it": {
    nodes: [echo("a"), fails("b", 9)],
    edges: [["a", "b"]],
  },
  "rounds with a delay between them": {
    nodes: [
      echo("a"),
      {
        ...{ id: "l", type: "loop" },
        config: {
          ...{ loop_back_to: "a", condition: "iteration < 2", max_iterations: 5, delay_ms: 20 },
          break_path: ["z"],
        },
      },
      echo("z"),
    ],
    edges: [["a", "l"]],
  },
  "a map with a failure that it tolerates": {
    nodes: [
      {
        ...{ id: "m", type: "map" },
        config: {
          ...{ items: "${input.list}", max_concurrency: 2, tolerated_failures: 1 },
          do: {
            nodes: [echo("x", { queue_timeout_ms: 60_000 }), fails("y", 9)],
            edges: [{ from: "x", to: "y", condition: "output == 2" }],
          },
        },
      },
      echo("z"),
    ],
    edges: [["m", "z"]],
  },
  "a map that fails, and is caught": {
    nodes: [
      {
        ...{ id: "m", type: "map" },
        config: { items: "${input.list}", max_concurrency: 1, do: fails("y", 9) },
      },
      echo("z"),
    ],
    edges: [["m", "z", { on: "error" }]],
  },
  "a child, and what it comes to": {
    nodes: [
      echo("a"),
      { id: "s", type: "subworkflow", config: { workflow: "leaf", input: "${data}" } },
      echo("z"),
    ],
    edges: [
      ["a", "s"],
      ["s", "z"],
    ],
    children: { leaf: [echo("k")] },
  },
  "a signal that is waited for": {
    nodes: [{ id: "w", type: "wait", config: { signal: "go" } }, echo("z")],
    edges: [["w", "z"]],
    outside: (p) => (runId) => signalRun(p.scripts, { ...GO, runId }),
    status: "COMPLETED",
  },
  "a wait that is over time": {
    nodes: [{ id: "w", type: "wait", timeout_ms: 500, config: { signal: "go" } }, echo("z")],
    edges: [["w", "z", { on: "timeout" }]],
    status: "COMPLETED",
  },
  "a pause, with what becomes ready meanwhile": {
    nodes: [echo("a"), fails("b", 1, RETRY), echo("c"), echo("d")],
    edges: DIAMOND,
    outside: (p) => (runId, step) =>
      step === 2 ? pauseRun(p.scripts, runId, "run") : resumeRun(p.scripts, runId, "run"),
  },
  "a sleep, with a map: frozen, gone, put back": {
    nodes: [
      { id: "w", type: "wait", config: { signal: "go" } },
      {
        ...{ id: "m", type: "map" },
        config: { items: "[1, 2]", do: { id: "e", type: "wait", config: { signal: "go" } } },
      },
      echo("z"),
    ],
    edges: [
      ["w", "z"],
      ["m", "z"],
    ],
    sleeps: true,
    outside: (p) => async (runId, step) => {
      for (let i = 0; step > 8 && i < 4; i++) {
        await signalRun(p.scripts, { ...GO, runId, id: `signal ${i}` });
      }
    },
    status: "COMPLETED",
  },
  "a sleep while it is paused, with what is held": {
    nodes: [echo("a"), echo("b"), echo("c"), echo("d")],
    edges: DIAMOND,
    sleeps: true,
    outside: (p) => async (runId, step) => {
      if (step === 2) {
        await pauseRun(p.scripts, runId, "run");
      }
      return step > 8 && resumeRun(p.scripts, runId, "run");
    },
  },
  "a redrive of what has failed": {
    nodes: [
      echo("a"),
      fails("b", 9),
      { id: "w", type: "wait", config: { signal: "go" } },
      echo("z"),
    ],
    edges: [
      ["a", "b"],
      ["a", "w"],
      ["b", "z"],
      ["w", "z"],
    ],
    redrive: { set: { b: 1 }, by: "ann" },
    outside: (p) => (runId) => signalRun(p.scripts, { ...GO, runId }),
    status: "COMPLETED",
  },
  "somebody cancels it": {
    nodes: [{ id: "w", type: "wait", config: { signal: "go" } }],
    outside: (p) => (runId) => cancelRun(p.scripts, runId, "somebody says so"),
    status: "CANCELLED",
  },
};

let own: TestPartition;
let p: StruckPartition;
beforeAll(async () => {
  own = await openTestPartition();
  p = await struckPartition(own);
});
afterAll(() => own.close());

function compiled(name: string, nodes: Nodes, edges: Scenario["edges"], more = {}): [Ir, string] {
  const listed = (edges ?? []).map(([from, to, about]) => ({ from, to, ...about }));
  const document = { name, nodes, edges: listed, ...more };
  const { ir, hash, diagnostics } = compile({ document: document as unknown as Json });
  if (ir === null || hash === null) {
    throw new Error(`not valid: ${JSON.stringify(diagnostics)}`);
  }
  return [ir, hash];
}

/** Without the words of errors, which are no promise. */
function comparable({ status, output }: { status: string; output: unknown }): unknown {
  const words = (key: string, value: unknown): unknown =>
    key === "message" || key === "details" ? undefined : value;
  return JSON.parse(JSON.stringify({ status, output }, words)) as unknown;
}

/** Plays it once, with an error after this call of Redis; returns how many calls there were. */
async function play(scenario: Scenario, struck: number): Promise<number> {
  await p.reset();
  await p.freeze();
  const root = compiled("top", scenario.nodes, scenario.edges, scenario.more);
  const children = Object.entries(scenario.children ?? {}).map(
    ([name, nodes]): [string, [Ir, string]] => [name, compiled(name, nodes, [])],
  );
  const all: [string, [Ir, string]][] = [["top", root], ...children];
  const profiles = new Map<string, RunProfile>();
  for (const [name, [ir, hash]] of all) {
    profiles.set(name, await p.publish(ir, hash));
  }
  const outside = scenario.outside?.(p);
  const { sleeps = false, redrive } = scenario;
  const options: StruckOptions = {
    ...{ profiles, random: seeded(1), sleeps },
    ...(outside === undefined ? {} : { outside }),
    ...(redrive === undefined ? {} : { redrive }),
  };
  await p.arm(struck);
  const driver = new StruckDriver(p, options);
  const records = await driver.run("run", INPUT);
  const told = new Set(records.flatMap(({ transitions }) => transitions.map(({ e }) => e)));
  if (struck === 0) {
    expect(told.has("run.hibernated")).toBe(sleeps);
    expect(told.has("run.redriven")).toBe(redrive !== undefined);
  }
  const view = foldChain(root[0], "run", records);
  if (scenario.status !== undefined) {
    expect(view.status).toBe(scenario.status);
    return driver.calls;
  }
  const workflows = Object.fromEntries(all.map(([name, [ir]]) => [name, ir]));
  const oracle = { handlers: oracleHandlers(), runId: "run", workflows };
  const expected = interpret(root[0], INPUT, oracle);
  expect(comparable(view)).toEqual(comparable(expected));
  const nodesOf = (nodes: { [id: string]: { status: string; activations: number } }): unknown =>
    Object.entries(nodes).map(([id, { status, activations }]) => [id, status, activations]);
  expect(nodesOf(view.nodes)).toEqual(nodesOf(expected.nodes));
  return driver.calls;
}

describe("A4: an error after any call of Redis", () => {
  it.each(Object.entries(SCENARIOS))(
    "%s: the run comes to its end",
    async (_, scenario) => {
      const calls = await play(scenario, 0);
      const failures: string[] = [];
      for (let at = 1; at <= calls; at++) {
        await play(scenario, at).catch((error: unknown) => {
          failures.push(`after call ${at} of ${calls}: ${String(error)}`);
        });
      }
      expect(failures).toEqual([]);
    },
    10 * 60_000,
  );
});
