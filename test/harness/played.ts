/**
 * Plays one case of a property test: a generated workflow, a child that it may start, and everybody
 * outside who has a say in its runs - until all have ended. The reference interpreter is the judge, as
 * a relation: each run must have come to what its journal's order and answers leave open.
 */
import { expect } from "vitest";
import { compile, type Ir, type Json } from "../../compiler/index.ts";
import {
  OUTPUT_INLINE_BYTES_MAX,
  unitOf,
  type JournalRecord,
  type RunProfile,
  type RunView,
} from "../../sdk/internal.ts";
import { nodeAt } from "../../sdk/unit.ts";
import { CIRCUITS, withCircuits, type CircuitOptions } from "../generate/circuits.ts";
import { withWaits } from "../generate/waits.ts";
import type { GenerateOptions, JsonObject } from "../generate/workflow.ts";
import type { Case } from "./case.ts";
import type { CircuitModel } from "./circuit-model.ts";
import { Driver } from "./driver.ts";
import { foldChain } from "./invariants.ts";
import { Outsiders, type Chances, type OutsiderOptions } from "./outsiders.ts";
import type { TestPartition } from "./partition.ts";
import { seeded } from "./random.ts";
import { isRefused, related, wholeWith } from "./relation.ts";
import { pick } from "./schedule.ts";
import { Sleepers } from "./sleepers.ts";
import { checkUnits } from "./units.ts";

const HANDS = ["open", "close"] as const;
const INPUT = { n: 3, name: "gavotte", list: [3, 1, 2] };

/** Of every fourth seed an input as long as one that stands where it is may be, or a byte longer. */
function inputOf(seed: number): typeof INPUT {
  const { length } = JSON.stringify(INPUT);
  const more = seed % 4 === 0 ? OUTPUT_INLINE_BYTES_MAX - length + (seed % 8 === 0 ? 1 : 0) : 0;
  return { ...INPUT, name: INPUT.name + "!".repeat(more) };
}

/** What is played, and what may happen to it. */
export interface Play extends Pick<OutsiderOptions, "actions" | "maps"> {
  generate: GenerateOptions;
  /** Not generated: the workflow of this seed. */
  top?: (seed: number) => object;
  chances: Chances;
  pause: number;
  /** Runs fall asleep and are woken. */
  sleep?: number;
  /** Steps have circuit breakers and rate limits, and do this when they may not begin. */
  onOpen?: CircuitOptions["onOpen"];
  /** How likely somebody opens or closes a circuit by hand, per step. */
  hands?: number;
}

export interface Played {
  /** The run at the top, and its workflow. */
  runId: string;
  ir: Ir;
  records: JournalRecord[];
  sleepers: Sleepers;
  circuits: CircuitModel;
}

async function published(p: TestPartition, document: JsonObject): Promise<RunProfile> {
  const { ir, hash, diagnostics } = compile({ document: document as Json });
  if (ir === null || hash === null) {
    throw new Error(`not valid: ${JSON.stringify(diagnostics)}`);
  }
  return p.publish(ir, hash);
}

/**
 * Without what is no promise: texts, how often a child was tried, reads that race (21 B11), and details
 * of errors but those that hold an output with which a node's edges could not be decided. Of one that
 * is too long for that the length depends on all of these.
 */
export function comparable(value: unknown): unknown {
  const vague = new Set(["message", "attempts", "seen"]);
  const text = JSON.stringify(value, (key, v: unknown) => {
    const isVague = key === "details" ? !holdsOutput(v) : vague.has(key);
    return isVague ? undefined : key === "output_bytes" ? "too many" : v;
  });
  return text === undefined ? undefined : (JSON.parse(text) as unknown);
}

function holdsOutput(details: unknown): boolean {
  const fields = Object.keys(details as object);
  return fields.includes("output") || fields.includes("output_bytes");
}

interface Node {
  status: string;
  activations: number;
  output?: Json;
  error?: object;
}

/** What a node's error promises; null: it has not failed. The oracle's names its place. */
export function failureOf({ status, error }: Pick<Node, "status" | "error">): unknown {
  return status === "failed" ? comparable({ ...error, scope: undefined }) : null;
}

type Nodes = { [id: string]: Node };

function nodesOf(nodes: Nodes, known: Nodes, whole: (value: Json) => Json): unknown {
  return Object.entries(nodes)
    .filter(([id]) => known[id] !== undefined)
    .map(([id, node]) => {
      const { status, activations, output } = node;
      const isShown = status === "completed" && output !== undefined;
      const shown = isShown ? comparable(whole(output)) : null;
      return [id, status, activations, shown, failureOf(node)];
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

/** Nobody fails with CIRCUIT_OPEN who was not told that it is open. */
function assertRefusals(
  runId: string,
  ir: Ir,
  records: readonly JournalRecord[],
  { refused }: CircuitModel,
): void {
  for (const t of records.flatMap(({ transitions }) => transitions)) {
    const { r, m = "", n = -1, s = "", a = 1 } = t;
    if (r === runId && isRefused(t) && nodeAt(ir, m, n)?.circuit_breaker !== undefined) {
      expect(refused).toContain([unitOf(r, m), n, s, a].join("|"));
    }
  }
}

/** Plays one case; all its runs are compared with the oracle. */
export async function playOutside(p: TestPartition, kind: Play, one: Case): Promise<Played> {
  const { seed } = one;
  await p.reset();
  await p.freeze();
  const random = seeded(seed);
  const anyOf = <T>(from: readonly T[]): T => pick({ random }, from);
  const limited = (document: JsonObject): JsonObject =>
    kind.onOpen === undefined ? document : withCircuits(document, { random, onOpen: kind.onOpen });
  const documentOf = (name: string, at: number, children: string[]): JsonObject => {
    const document = withWaits(one.workflow(kind.generate, at), { children, random });
    delete document["metadata"];
    return Object.assign(limited(document), { name });
  };
  const fixed = kind.top?.(seed) as JsonObject | undefined;
  const top = await published(
    p,
    fixed === undefined ? documentOf("top", seed, ["leaf"]) : one.fixed(limited(fixed)),
  );
  const leaf = await published(p, documentOf("leaf", seed + 10_000, []));
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
      if (kind.hands !== undefined && random() < kind.hands) {
        const [name = "", action, openMs] = [anyOf(CIRCUITS), anyOf(HANDS), anyOf([null, 5])];
        await driver.limits.byHand(name, action, openMs);
      }
      const isMoved = chance > 0 && outsiders.runs.size > 0 && (await sleepers.act(isIdle));
      return (await outsiders.act(isIdle && !isMoved)) || isMoved;
    },
  };
  const driver = new Driver(p, top, schedule, look, { leaf });
  await driver.run(runId, inputOf(seed));
  await sleepers.wakeAll();
  await outsiders.orphans();
  const records = await driver.records();

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
    compare(id, irOf(id), whole(input), records, { views, whole });
    assertRefusals(id, irOf(id), records, driver.limits.model);
  }
  return { runId, ir: top.ir, records, sleepers, circuits: driver.limits.model };
}
