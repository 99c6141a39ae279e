/**
 * What a run begins with: the fields of its hash and the entries of its first tokens, as
 * scripts/include/run_start.lua takes them. They follow from the run alone, so they are put together
 * here: Redis is one thread for everybody.
 */
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
}

/** The flat list; `queues`: where the queues of the entry nodes begin in KEYS. */
export function runStart(run: RunBeginning, queues: number): (string | number)[] {
  const { profile, runId, epoch, input, more = [], paused } = run;
  const { ir, irHash, namespace, priority } = profile;
  const { roots } = ir.analysis;
  const status = paused === undefined ? "running" : "paused";
  const fields = ["s", status, "e", String(epoch), "c", String(roots.length)];
  fields.push("ir", irHash, "in", input, "m", `${namespace}|${priority}`, ...more);
  const limits = queueLimits(ir);
  if (limits !== "") {
    fields.push("qt", limits);
  }
  if (paused !== undefined) {
    fields.push("ps", paused);
  }
  const payload = Buffer.byteLength(input) <= PAYLOAD_INLINE_MAX ? `=${input}` : "";
  const entries = roots.flatMap((root) => {
    const scope = entrySuffix(ir, root);
    fields.push(...roundFields(scope), `n${root}`, `a1|${scope}|`);
    const entry = [runId, epoch, root, scope, 1, irHash, "", "", payload].join("\x1f");
    return [queues + (ir.nodes[root]?.queue ?? 0), entry, root, scope];
  });
  const timeoutMs = ir.settings.timeout_ms ?? 0;
  return [timeoutMs, limits, fields.length, ...fields, entries.length / 4, ...entries];
}

/** The rounds that a scope opens: a field of each loop, with the scope up to it. */
function roundFields(scope: string): string[] {
  const elements = scope === "" ? [] : scope.split("/");
  return elements.flatMap((element, i) => {
    const latch = element.slice(0, element.indexOf(":"));
    return [`l${latch}`, scopePrefix(scope, i + 1)];
  });
}
