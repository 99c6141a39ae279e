/** The `output` template of a workflow, or of a map's body, and what it reads of a run's hash. */
import { compileTemplate, type Template } from "../condition/index.ts";
import type { Ir } from "../compiler/ir.ts";
import { type RunData, type ScriptRunner } from "../sdk/internal.ts";
import { readable } from "./read-limit.ts";

interface OutputTemplate {
  template: Template;
  /** Nodes that it reads. */
  refs: number[];
}

const cache = new WeakMap<Ir, OutputTemplate>();

/** Compiled once per workflow. */
export function outputTemplate(ir: Ir): OutputTemplate {
  let entry = cache.get(ir);
  if (entry === undefined) {
    const template = compileTemplate(ir.output ?? null);
    const ids = new Set(
      template.references.filter(({ path }) => path[0] === "ctx").map(({ path }) => path[1]),
    );
    const refs = [...ir.nodes.keys()].filter((index) => ids.has(ir.nodes[index]?.id));
    entry = { template, refs };
    cache.set(ir, entry);
  }
  return entry;
}

/** Reads the large outputs that a run's data refers to, if there are any; too large together: none. */
export async function readBlobs(
  scripts: ScriptRunner,
  runId: string,
  data: RunData,
): Promise<void> {
  const { refs, failure } = readable(data.blobRefs(null));
  const hashes = refs.map(({ sha256 }) => sha256);
  if (failure !== null) {
    data.refuse(failure);
  } else if (hashes.length > 0) {
    const texts = await scripts.redis.hmget(scripts.keys.blobs(runId), ...hashes);
    data.resolve(new Map(hashes.map((hash, i) => [hash, texts[i] ?? null])));
  }
}
