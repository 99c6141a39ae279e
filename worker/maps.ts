/**
 * The two ends of a map that a worker has to do with: writing its items down so that the elements
 * run by themselves, and collecting their results.
 *
 * Items go to Redis in chunks, and nothing runs before the last of them is there. A worker that dies
 * in between leaves the map's entry pending; the next one begins anew, under another name, and the
 * first is refused should it be alive after all.
 */
import { randomBytes } from "node:crypto";
import type { Vars } from "../condition/index.ts";
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import {
  BlobTaker,
  bodyHash,
  expandMap,
  EXPANSION,
  MAP_CHUNK_CHARS_MAX,
  MAP_CHUNK_MAX,
  type MapExpansion,
  type MapFailure,
  mapUnit,
  putBlobs,
  queueKeyOf,
  readsInput,
  type RunProfile,
  type ScriptRunner,
  terminalsOf,
} from "../sdk/internal.ts";
import type { Prepared } from "./prepared.ts";
import { mapFailure, mapItems, mapWindow, toleratedFailures } from "./kinds/map.ts";
import { ExecutionError } from "./kinds/kind.ts";
import type { ElementError } from "./kinds/map.ts";
import { readResults } from "./map-results.ts";
import { OUTPUT_BYTES_MAX, outputText } from "./output-text.ts";
import type { Workflows } from "./workflows.ts";

/** Characters that the elements of one map may have together, and what they see of outside. */
const MAP_CHARS_MAX = 64 * 1024 * 1024;

export interface MapResults {
  output: Json[];
  /** Elements that failed and were tolerated; absent if the map tolerates none. */
  errors?: ElementError[];
}

/** The results of a map without elements. */
export function noResults(node: IrNode): MapResults {
  return toleratedFailures(node) > 0 ? { output: [], errors: [] } : { output: [] };
}

export interface MapPlan {
  /** JSON texts. */
  items: string[];
  expansion: Omit<MapExpansion, "body">;
}

/** What a map's token is expanded to. Throws what its config throws. */
export function planMap(p: Prepared, vars: Vars, input: Json): MapPlan {
  const { node, token } = p;
  const items = mapItems(node, vars, input).map((item) => JSON.stringify(item));
  const chars = items.reduce((sum, { length }) => sum + length, 0);
  if (chars > MAP_CHARS_MAX) {
    const message = `the elements have ${chars} characters together; at most ${MAP_CHARS_MAX} are run`;
    throw new ExecutionError("TOO_LARGE", message, { retryable: false });
  }
  const expansion = {
    token,
    queueKey: queueKeyOf(p.profile, node),
    by: randomBytes(6).toString("base64url"),
    count: items.length,
    window: mapWindow(node),
    tolerated: toleratedFailures(node),
    timeoutMs: node.timeout_ms,
    vars: outputText(outerVars(p, vars) as Json, MAP_CHARS_MAX, "what its body names of outside"),
  };
  return { items, expansion };
}

/** Names of the place where the map stands that its body may use. */
function outerVars(p: Prepared, vars: Vars): Vars {
  const { node, token, data } = p;
  const outer: Vars = { ctx: data.context(token.node, token.scope, node.outer_refs ?? []) };
  if (vars.run !== undefined && vars.run["attempt"] !== 1) {
    outer.run = vars.run;
  }
  if (readsInput(node.body)) {
    outer.input = data.input();
  }
  if (vars.iteration !== undefined) {
    outer.iteration = vars.iteration;
  }
  return outer;
}

export class Maps {
  readonly #scripts: ScriptRunner;
  readonly #workflows: Workflows;
  readonly #chunkMax: number;

  constructor(scripts: ScriptRunner, workflows: Workflows, chunkMax = MAP_CHUNK_MAX) {
    this.#scripts = scripts;
    this.#workflows = workflows;
    this.#chunkMax = chunkMax;
  }

  /**
   * Writes the items and starts the elements; the script acknowledges the token's entry. Items and
   * names that are large are kept as outputs are: they go into the journal, and names with every
   * chunk. False: it is another worker's by now. A map without elements is not expanded but completed.
   */
  async expand(p: Prepared, plan: MapPlan): Promise<boolean> {
    const { token, profile } = p;
    const hash = bodyHash(profile.irHash, token.node);
    const body: RunProfile | null = await this.#workflows.load(hash, token.queueKey);
    if (body === null) {
      throw new Error(`node "${p.node.id}" has no body`);
    }
    const outer = new BlobTaker();
    const vars = outer.text(plan.expansion.vars);
    await putBlobs(this.#scripts, token, outer.blobs);
    const expansion: MapExpansion = { ...plan.expansion, body, vars };
    const texts = plan.items;
    for (let from = 0; from < texts.length;) {
      const large = new BlobTaker();
      const chunk = nextChunk(texts, from, this.#chunkMax).map((item) => large.text(item));
      await putBlobs(this.#scripts, token, large.blobs);
      const code = await expandMap(this.#scripts, expansion, from, chunk);
      if (code !== EXPANSION.more) {
        return code !== EXPANSION.superseded;
      }
      from += chunk.length;
    }
    return this.resume(expansion);
  }

  /** Starts what is missing in the window of a map whose elements run. */
  async resume(expansion: MapExpansion): Promise<boolean> {
    for (;;) {
      const code = await expandMap(this.#scripts, expansion, expansion.count, []);
      if (code !== EXPANSION.more) {
        return code !== EXPANSION.superseded;
      }
    }
  }

  /**
   * The results of a map whose elements have ended. Throws the map's failure; `bytesMax` is kept of
   * the list.
   */
  async collect(p: Prepared, bytesMax = OUTPUT_BYTES_MAX): Promise<MapResults> {
    const { token, node } = p;
    if (token.payload !== null) {
      throw mapFailure(JSON.parse(token.payload) as MapFailure);
    }
    const { redis, keys } = this.#scripts;
    const key = keys.run(mapUnit(token.unit, token.scope, token.node));
    const how = { composed: isComposed(node.body), bytesMax };
    const { output, errors } = await readResults(redis, key, keys.blobs(token.runId), how);
    return toleratedFailures(node) === 0 ? { output } : { output, errors };
  }
}

/** As many items from index `from` on as one call may carry. */
function nextChunk(texts: readonly string[], from: number, max: number): string[] {
  let chars = 0;
  let to = from;
  while (to < texts.length && to - from < max) {
    chars += (texts[to] as string).length;
    if (chars > MAP_CHUNK_CHARS_MAX && to > from) {
      break;
    }
    to += 1;
  }
  return texts.slice(from, to);
}

/** Whether a script has put an element's output together from those of several nodes. */
function isComposed(body: Ir | undefined): boolean {
  return body !== undefined && body.output === undefined && terminalsOf(body).length > 1;
}
