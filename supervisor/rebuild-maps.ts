/**
 * Puts the maps of a rebuilt unit back: what has ended keeps its result, elements in flight go on
 * where they were, those that had not begun begin as others end. A part of write-run.ts.
 */
import {
  bodyHash,
  commonQueueKey,
  elementEpoch,
  entriesOf,
  mapUnit,
  parseUnit,
  Profiles,
  queueKeyOf,
  queueLimits,
  terminalList,
  timerMember,
  unitFields,
  type HotMap,
  type HotState,
  type HotToken,
  type RunProfile,
} from "../sdk/internal.ts";
import type { Emitter, Writer } from "./emitter.ts";

const FINISH_GRACE_MS = 10_000;
const FIELDS_MAX = 1000;

/** Writes the maps of a unit, their elements, and what is inside those. */
export function rebuildMaps(pipeline: Writer, emit: Emitter, state: HotState): void {
  for (const [node, map] of state.maps) {
    const token = state.tokens.get(node);
    const isOurs = token?.scope === map.scope && state.isCurrent(map.scope);
    if (token !== undefined && isOurs && (token.state === "m" || token.state === "g")) {
      rebuildMap(pipeline, emit, node, map, token);
    }
  }
}

function rebuildMap(
  pipeline: Writer,
  emit: Emitter,
  node: number,
  map: HotMap,
  token: HotToken,
): void {
  if (token.state === "g") {
    const failure = map.failure === null ? "" : `=${JSON.stringify(map.failure)}`;
    emit.entry(node, token, "gather", failure);
    if (failure !== "") {
      return; // its elements are void
    }
  } else if (map.next < map.count && map.elements.size < map.window) {
    emit.entry(node, token, "run", ""); // some of the first ones had not been started yet
  }
  const { keys, profile } = emit;
  const name = mapUnit(emit.name, map.scope, node);
  const mapNode = profile.ir.nodes[node];
  pipeline.del(keys.run(name)); // of a frozen run it is still there
  pipeline.sadd(keys.maps(parseUnit(name).runId), name);
  const fields = {
    ...map.fields(),
    by: "rebuilt",
    entries: entriesOf(map.body),
    terminals: terminalList(map.body),
    queue: mapNode === undefined ? "" : queueKeyOf(profile, mapNode),
  };
  const pairs = Object.entries(fields);
  for (let from = 0; from < pairs.length; from += FIELDS_MAX) {
    pipeline.hset(keys.run(name), Object.fromEntries(pairs.slice(from, from + FIELDS_MAX)));
  }
  const body = bodyProfile(profile, node, map);
  const epoch = elementEpoch(name, emit.epoch, token.attempt);
  for (const [index, element] of map.elements) {
    rebuildElement(pipeline, emit.inside(body, `${name}#${index}`, epoch), element);
  }
}

function bodyProfile(profile: RunProfile, node: number, map: HotMap): RunProfile {
  const { partition, namespace, priority, root } = profile;
  const hash = bodyHash(profile.irHash, node);
  return new Profiles().add(map.body, hash, { partition, namespace, priority }, root);
}

function rebuildElement(pipeline: Writer, emit: Emitter, element: HotState): void {
  const { keys, profile, epoch, name } = emit;
  const fields = unitFields(element, epoch, profile.irHash);
  const limits = queueLimits(profile.ir);
  if (limits !== "") {
    fields["qt"] = limits;
  }
  emit.unit(element, fields);
  pipeline.del(keys.run(name));
  const mayLeave = Object.keys(fields).some((field) => /^[dmw]\d+$/.test(field));
  pipeline.hset(keys.run(name), mayLeave ? { ...fields, x: "1" } : fields);
  if (element.status === "finishing") {
    const queue = commonQueueKey(profile.queueKeys[0] as string);
    const member = timerMember({ kind: "finish", runId: name, epoch, queue });
    pipeline.zadd(keys.timers, emit.nowMs - FINISH_GRACE_MS, member);
  }
  rebuildMaps(pipeline, emit, element);
}
