/**
 * What a token in a map needs to be executed besides its own unit's hash: whether the maps around it
 * still wait for their elements, and the names of the place where the map stands.
 *
 * Names do not change while a map lives, so they are read once per map and worker, and kept as long
 * as there is room. Whether the map lives is read with every batch: one look per map in it, not per
 * element, and all of them at one time.
 */
import type { Vars } from "../condition/index.ts";
import type { Redis } from "ioredis";
import {
  aboutRun,
  blobRefOf,
  blobText,
  completeTokens,
  type CompletionItem,
  type CompletionResult,
  elementEpoch,
  type ElementPlace,
  elementPlace,
  isBlobSized,
  NO_EFFECTS,
  outputFields,
  type Outside,
  parseRecord,
  parseUnit,
  type PartitionKeys,
  putBlobs,
  readBlob,
  type ReadyToken,
  Recent,
  RunData,
  type RunProfile,
  type ScriptRunner,
} from "../sdk/internal.ts";
import { outputFailure, outputText } from "./output-text.ts";
import { outputTemplate, withBlobs, type Settling } from "./output-template.ts";

/** How things stand around an element. */
export interface Surroundings {
  /** Status of the run and epoch of the element; null: it is void, or its run is gone. */
  run: { status: string; epoch: string } | null;
  outside: Outside;
}

/**
 * Characters, as JSON, of what is kept of names around maps, of all lanes together. In memory they take
 * two to three times as much.
 */
export const NAMES_CHARS_MAX = 64 * 1024 * 1024;

/** `vars` by map and epoch of its elements: an expansion has its own. */
export type MapNames = Recent<Vars>;

/** What the lanes of one worker keep of names around maps. */
export function mapNames(charsMax = NAMES_CHARS_MAX): MapNames {
  return new Recent(charsMax);
}

export class Elements {
  readonly #redis: Redis;
  readonly #keys: PartitionKeys;
  readonly #names: MapNames;

  constructor(redis: Redis, keys: PartitionKeys, names = mapNames()) {
    this.#redis = redis;
    this.#keys = keys;
    this.#names = names;
  }

  /**
   * By token, for those of this batch that are in maps. Tokens of a run before its redrive may stand
   * beside those of the same elements after it: each sees the names of its own expansion.
   */
  async look<Token extends Pick<ReadyToken, "unit" | "epoch">>(
    tokens: readonly Token[],
  ): Promise<Map<Token, Surroundings>> {
    const runs = new Map<string, Promise<Surroundings["run"]>>();
    const names = new Map<string, Promise<Vars>>();
    const found: Promise<[Token, Surroundings]>[] = [];
    for (const token of tokens) {
      const place = elementPlace(token.unit);
      if (place !== null) {
        const { map, index } = place;
        const name = `${map} ${token.epoch}`;
        const run = runs.get(map) ?? this.#run(place);
        runs.set(map, run);
        const vars = names.get(name) ?? this.#vars(map, token.epoch);
        names.set(name, vars);
        const asked = Promise.all([run, vars]);
        found.push(asked.then(([run, vars]) => [token, { run, outside: { vars, index } }]));
      }
    }
    return new Map(await Promise.all(found));
  }

  /** As scripts/include/unit.lua has it: the map's token says `m`, in a round that is alive. */
  async #run(place: ElementPlace): Promise<Surroundings["run"]> {
    const latches = place.scope === "" ? [] : place.scope.split("/");
    const rounds = latches.map((element) => `l${element.slice(0, element.indexOf(":"))}`);
    const key = this.#keys.run(place.parent);
    const [status, epoch, record, ...current] = await this.#redis.hmget(
      key,
      ...["s", "e", `n${place.node}`, ...rounds],
    );
    const token = parseRecord(record);
    const isCurrent = latches.every((_, i) => current[i] === latches.slice(0, i + 1).join("/"));
    if (token?.state !== "m" || token.scope !== place.scope || !isCurrent) {
      return null;
    }
    const own = elementEpoch(place.map, epoch ?? "", token.attempt);
    const above = elementPlace(place.parent);
    if (above === null) {
      return { status: status ?? "", epoch: own };
    }
    const run = status === "running" ? await this.#run(above) : null;
    return run && { ...run, epoch: own };
  }

  async #vars(map: string, epoch: string): Promise<Vars> {
    const name = `${map} ${epoch}`;
    let vars = this.#names.get(name);
    if (vars === undefined) {
      const text = await this.#redis.hget(this.#keys.run(map), "vars");
      const blobs = this.#keys.blobs(parseUnit(map).runId);
      const json = await readBlob(this.#redis, blobs, text ?? "{}");
      vars = JSON.parse(json) as Vars;
      if (text !== null) {
        this.#names.set(name, vars, name.length + json.length);
      }
    }
    return vars;
  }
}

/**
 * Evaluates the output template of an element whose tokens have all ended, and ends the element;
 * harmless if somebody else did.
 */
export async function finishElement(
  settling: Settling,
  elements: Elements,
  profile: RunProfile,
  token: Pick<ReadyToken, "unit" | "runId" | "epoch" | "queueKey">,
  entryId: string | null,
): Promise<void> {
  const { scripts, outputBytesMax } = settling;
  const { ir, root } = profile;
  const { template, refs } = outputTemplate(ir);
  const fields = [...outputFields(ir, refs), "it"];
  const [values, around] = await Promise.all([
    scripts.redis.hmget(scripts.keys.run(token.unit), ...fields),
    elements.look([token]),
  ]);
  const outside = around.get(token)?.outside ?? null;
  const read = new Map(fields.map((field, i) => [field, values[i] ?? null]));
  const data = new RunData(ir, read, outside);
  await withBlobs(settling, token.runId, data, async () => {
    let value: string;
    let edges = "L";
    try {
      const output = template.evaluate({
        ...outside?.vars,
        input: data.input(),
        ctx: data.context(-1, "", refs),
        item: data.item(),
        index: outside?.index ?? 0,
        run: outside?.vars.run ?? aboutRun(token.runId, root, data),
      });
      value = outputText(output, outputBytesMax);
    } catch (error) {
      edges = "X";
      value = outputFailure(error);
    }
    if (edges === "L" && isBlobSized(value)) {
      const ref = blobRefOf(value);
      await putBlobs(scripts, token, [{ sha256: ref.sha256, text: value }]);
      value = blobText(ref);
    }
    await endElement(scripts, profile, { ...token, entryId }, { value, edges });
  });
}

/** Ends an element with its output, or with why it has none (edges X). */
export async function endElement(
  scripts: ScriptRunner,
  profile: RunProfile,
  token: Pick<CompletionItem, "epoch" | "entryId"> & Pick<ReadyToken, "unit" | "queueKey">,
  result: Pick<CompletionResult, "value" | "edges">,
): Promise<void> {
  const { unit: runId, epoch, entryId, queueKey } = token;
  const queue = Math.max(0, profile.queueKeys.indexOf(queueKey));
  const entry = {
    entryId,
    ...(profile.queueKeys[queue] === queueKey ? {} : { entryKey: queueKey }),
  };
  const base = { node: 0, scope: "", attempt: 1, extra: "", delayMs: 0, plan: NO_EFFECTS };
  const results: CompletionResult[] = [{ ...base, op: "Z", ...result }];
  await completeTokens(scripts, [{ profile, runId, epoch, queue, ...entry, results }]);
}
