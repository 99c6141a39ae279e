/**
 * A workflow as a worker meets it: the IR together with what differs between its runs - partition,
 * namespace, priority - and so the keys of the queues that its tokens go to.
 */
import type { Ir, IrNode, Priority } from "../compiler/ir.ts";
import { partitionKeys } from "./keys.ts";
import { Planner } from "./plan.ts";

export interface RunProfile {
  /** Identity of the profile: equal keys, equal profiles. */
  key: string;
  ir: Ir;
  irHash: string;
  /** The workflow's own IR: other than `ir` in the body of a map. */
  root: Ir;
  partition: number;
  /** "" or `ns:<id>:`. */
  namespace: string;
  priority: Priority;
  /** Queue keys, by `IrNode.queue`; from `Ir.behind` on those of tokens that stand behind. */
  queueKeys: string[];
  /** Where the tokens of entry nodes begin, by `IrNode.queue`. */
  entryKeys: string[];
  planner: Planner;
  /** Script flags: o, the run or element has an output template; t, a timeout; queue timeouts. */
  flags: string;
}

/** What is made of one IR. */
interface Made {
  planner: Planner;
  byKey: Map<string, RunProfile>;
}

/** Makes profiles, and keeps them with their IR; those of one graph share its planner. */
export class Profiles {
  readonly #byIr = new WeakMap<Ir, Made>();

  /** `root` is the workflow's IR when `ir` is the body of a map in it. */
  add(ir: Ir, irHash: string, place: ProfilePlace, root = ir): RunProfile {
    let made = this.#byIr.get(ir);
    if (made === undefined) {
      made = { planner: new Planner(ir), byKey: new Map() };
      this.#byIr.set(ir, made);
    }
    const key = profileKey(irHash, place);
    let profile = made.byKey.get(key);
    if (profile === undefined) {
      profile = {
        ...place,
        key,
        ir,
        irHash,
        root,
        ...nodeStreams(ir, place),
        planner: made.planner,
        flags:
          (ir.output === undefined ? "" : "o") +
          (ir.settings.timeout_ms === null ? "" : "t") +
          queueLimits(ir),
      };
      made.byKey.set(key, profile);
    }
    return profile;
  }
}

export interface ProfilePlace {
  partition: number;
  namespace: string;
  priority: Priority;
}

/**
 * Keys of the queues of a graph's tokens. A run that orders its steps has no streams for its first
 * tokens: what its end waits for stands with the tokens of runs on their way, all else with the
 * first tokens of others. So it never goes before runs of a higher priority, or new ones for ever.
 */
export function nodeStreams(
  ir: Pick<Ir, "queues" | "behind">,
  place: ProfilePlace,
): Pick<RunProfile, "queueKeys" | "entryKeys"> {
  const keys = partitionKeys(place.partition);
  const names = ir.queues.map((queue) => place.namespace + queue);
  const queueKeys = names.map((name) => keys.queue(name, place.priority));
  const entryKeys = names.map((name) => keys.entryQueue(name, place.priority));
  const { behind } = ir;
  if (behind === undefined) {
    return { queueKeys, entryKeys };
  }
  const ordered = [...queueKeys.slice(0, behind), ...entryKeys.slice(behind)];
  return { queueKeys: ordered, entryKeys: ordered };
}

function profileKey(irHash: string, place: ProfilePlace): string {
  return `${irHash}|${place.partition}|${place.namespace}|${place.priority}`;
}

/** The queue key of a node's tokens. */
export function queueKeyOf(profile: RunProfile, node: IrNode): string {
  return profile.queueKeys[node.queue] as string;
}

/** `;<node>=<ms>` for each node whose tokens may not stand in their queue for longer; "" for none. */
export function queueLimits(ir: Ir): string {
  return ir.nodes
    .map(({ queue_timeout_ms: ms }, index) => (ms === undefined ? "" : `;${index}=${ms}`))
    .join("");
}
