/** The `output` template of a workflow, or of a map's body, and what it reads of a run's hash. */
import { compileTemplate, type Template } from "../condition/index.ts";
import type { Ir } from "../compiler/ir.ts";
import { type RunData, type ScriptRunner } from "../sdk/internal.ts";
import { ByteRoom } from "./byte-room.ts";
import { OUTPUT_BYTES_MAX } from "./output-text.ts";
import { READ_BYTES_MAX, readable } from "./read-limit.ts";

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

/** What settling an output takes. */
export interface Settling {
  scripts: ScriptRunner;
  /** For the large values that outputs are made of. */
  room: ByteRoom;
  outputBytesMax: number;
}

/** Of one partition, since others go on while its server is away: room for as much as one may take. */
export function settlingOf(
  scripts: ScriptRunner,
  outputBytesMax: number = OUTPUT_BYTES_MAX,
): Settling {
  return { scripts, outputBytesMax, room: new ByteRoom(READ_BYTES_MAX) };
}

/**
 * Does what needs the large outputs that a run's data refers to, if there are any, when there is room
 * for them; too large together: they are not read. Outputs are settled beside the steps that take a
 * worker's slots, as many as there are: only this bounds what is held for them.
 */
export async function withBlobs(
  { scripts, room }: Pick<Settling, "scripts" | "room">,
  runId: string,
  data: RunData,
  work: () => Promise<void>,
): Promise<void> {
  const { refs, bytes, failure } = readable(data.blobRefs(null));
  if (failure !== null) {
    data.refuse(failure);
  }
  await room.with(bytes, async () => {
    const hashes = refs.map(({ sha256 }) => sha256);
    if (hashes.length > 0) {
      const texts = await scripts.redis.hmget(scripts.keys.blobs(runId), ...hashes);
      data.resolve(new Map(hashes.map((hash, i) => [hash, texts[i] ?? null])));
    }
    await work();
  });
}
