/** What `CLUSTER NODES` says, and which node a slot belongs to when nodes disagree. */
import type { NodeAddress } from "./cluster-url.ts";

export const SLOTS = 16384;

export interface ClusterNode {
  id: string;
  address: NodeAddress;
  isPrimary: boolean;
  /** Of a replica: the id of its primary. */
  primaryId: string | null;
  /** The cluster, or the node that was asked, holds it for dead. */
  isFailed: boolean;
  epoch: number;
  /** First and last slot of each range. */
  ranges: [number, number][];
}

/** Who owns each slot: an index into `nodes`, −1 for nobody. */
export interface SlotMap {
  nodes: ClusterNode[];
  owners: Int16Array;
}

/** Reads the reply of one node; `asked` stands for a node that does not know its own address. */
export function parseNodes(text: string, asked: NodeAddress): ClusterNode[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.includes("noaddr") && !line.includes("handshake"))
    .map((line) => parseLine(line, asked));
}

function parseLine(line: string, asked: NodeAddress): ClusterNode {
  const [id = "", where = "", flags = "", primary = "-", , , epoch = "0", , ...slots] =
    line.split(" ");
  const [socket = "", hostname = ""] = where.split(",");
  const address = socket.split("@", 1)[0] ?? "";
  const colon = address.lastIndexOf(":");
  const ip = address.slice(0, colon);
  const isPrimary = flags.split(",").includes("master");
  return {
    id,
    // A name where one is announced: certificates are made out to names.
    address: { host: hostname || ip || asked.host, port: Number(address.slice(colon + 1)) },
    isPrimary,
    primaryId: primary === "-" ? null : primary,
    isFailed: flags.split(",").includes("fail"),
    epoch: Number(epoch),
    ranges: isPrimary ? slots.flatMap((slot) => rangeOf(slot)) : [],
  };
}

/** `7` or `0-5460`; slots on their way (`[93->-…]`) belong to where they come from. */
function rangeOf(text: string): [number, number][] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  return match === null ? [] : [[Number(match[1]), Number(match[2] ?? match[1])]];
}

/**
 * One map of several views: of two that claim a slot the one with the higher configuration epoch
 * has it, which is the cluster's own rule. A primary that was cut off or stood still claims its
 * slots under an older epoch.
 */
export function mergeViews(views: readonly ClusterNode[][]): SlotMap {
  const nodes: ClusterNode[] = [];
  const owners = new Int16Array(SLOTS).fill(-1);
  const places = new Map<string, number>();
  for (const node of views.flat()) {
    const place = places.get(node.id);
    const known = place === undefined ? undefined : nodes[place];
    if (place === undefined || known === undefined) {
      places.set(node.id, nodes.push(node) - 1);
    } else if (node.epoch > known.epoch) {
      nodes[place] = node;
    }
  }
  for (const node of views.flat()) {
    const place = places.get(node.id) ?? -1;
    for (const [first, last] of node.ranges) {
      for (let slot = first; slot <= last; slot++) {
        const owner = owners[slot] ?? -1;
        if (owner < 0 || node.epoch > (epochs(nodes, owner) ?? 0)) {
          owners[slot] = place;
        }
      }
    }
  }
  return { nodes, owners };
}

function epochs(nodes: readonly ClusterNode[], place: number): number | undefined {
  return nodes[place]?.epoch;
}
