/**
 * What a run begins with: the fields of its hash and the entries of its first tokens, as
 * scripts/include/run_start.lua takes them. They follow from the run alone, so they are put together
 * here: Redis is one thread for everybody.
 */
import type { Ir } from "../../compiler/ir.ts";
import { HotState } from "../hot-state.ts";
import { queueLimits, type RunProfile } from "../profile.ts";
import { entrySuffix, scopePrefix } from "../scope.ts";

/** Longer inputs do not travel with the tokens. */
const PAYLOAD_INLINE_MAX = 4096;

export interface RunBeginning {
  profile: RunProfile;
  runId: string;
  epoch: number;
  /** JSON text. */
  input: string;
  /** Further fields: names and values. */
  more?: readonly string[];
  /** Why it starts paused; absent: it does not. */
  paused?: string;
  /** JSON text of the fields that it begins with in the middle; absent: at its entry nodes. */
  start?: string;
}

/** The flat list; `queues`: where the queues of the entry nodes begin in KEYS. */
export function runStart(run: RunBeginning, queues: number): (string | number)[] {
  const { profile, runId, epoch, input, more = [], paused, start } = run;
  const { ir, irHash, namespace, priority } = profile;
  const status = paused === undefined ? "running" : "paused";
  const first = start === undefined ? entryTokens(ir, input) : tokensInside(ir, start);
  const fields = ["s", status, "e", String(epoch), "c", String(first.counter), ...first.fields];
  fields.push("ir", irHash, "in", input, "m", `${namespace}|${priority}`, ...more);
  const limits = queueLimits(ir);
  if (limits !== "") {
    fields.push("qt", limits);
  }
  if (paused !== undefined) {
    fields.push("ps", paused);
  }
  const entries = first.tokens.flatMap(({ node, scope, arrivals, payload }) => {
    const entry = [runId, epoch, node, scope, 1, irHash, "", arrivals, payload].join("\x1f");
    return [queues + (ir.nodes[node]?.queue ?? 0), entry, node, scope];
  });
  const timeoutMs = ir.settings.timeout_ms ?? 0;
  return [timeoutMs, limits, fields.length, ...fields, entries.length / 4, ...entries];
}

interface First {
  counter: number;
  /** Names and values. */
  fields: string[];
  tokens: { node: number; scope: string; arrivals: string; payload: string }[];
}

function entryTokens(ir: Ir, input: string): First {
  const { roots } = ir.analysis;
  const payload = Buffer.byteLength(input) <= PAYLOAD_INLINE_MAX ? `=${input}` : "";
  const tokens = roots.map((node) => {
    return { node, scope: entrySuffix(ir, node), arrivals: "", payload };
  });
  const fields = tokens.flatMap(({ node, scope }) => {
    return [...roundFields(scope), `n${node}`, `a1|${scope}|`];
  });
  return { counter: roots.length, fields, tokens };
}

/** Their inputs are in the run hash. */
function tokensInside(ir: Ir, start: string): First {
  const fields = JSON.parse(start) as { [field: string]: string };
  const state = new HotState(ir);
  state.start(0, fields);
  const tokens = [...state.tokens].flatMap(([node, { state: is, scope, rest }]) => {
    return is === "a" ? [{ node, scope, arrivals: rest, payload: "" }] : [];
  });
  return { counter: state.counter, fields: Object.entries(fields).flat(), tokens };
}

/** The rounds that a scope opens: a field of each loop, with the scope up to it. */
function roundFields(scope: string): string[] {
  const elements = scope === "" ? [] : scope.split("/");
  return elements.flatMap((element, i) => {
    const latch = element.slice(0, element.indexOf(":"));
    return [`l${latch}`, scopePrefix(scope, i + 1)];
  });
}
