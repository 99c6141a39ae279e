/**
 * How a Redis Cluster is named: `redis-cluster://[user:password@]host:port,host:port…`, with TLS
 * `rediss-cluster://…`. The hosts are where the search begins; the others are found through them.
 */
import type { RedisOptions } from "ioredis";
import { GavotteError } from "../errors.ts";

export interface NodeAddress {
  host: string;
  port: number;
}

export interface ClusterTarget {
  seeds: NodeAddress[];
  /** What each connection to any node needs: user, password, TLS. */
  options: RedisOptions;
}

const CLUSTER_URL = /^redis(s?)-cluster:\/\/(?:([^@/]*)@)?([^/?#]+)\/?$/;
const PORT = 6379;

/** Whether a URL names a cluster. */
export function isClusterUrl(url: string): boolean {
  return /^rediss?-cluster:/.test(url);
}

/** Throws GV_BAD_CONFIG, without the password, when the URL is not of that form. */
export function parseClusterUrl(url: string): ClusterTarget {
  const [, tls, credentials = "", hosts = ""] = CLUSTER_URL.exec(url) ?? [];
  const seeds = hosts.split(",").flatMap((text) => parseNode(text) ?? []);
  if (seeds.length === 0 || seeds.length !== hosts.split(",").length) {
    throw new GavotteError(
      "GV_BAD_CONFIG",
      "redis_url is not of the form redis-cluster://[user:password@]host:port,host:port " +
        "(a cluster has database 0 only; rediss-cluster:// is with TLS)",
    );
  }
  const colon = credentials.indexOf(":");
  const username = decodeURIComponent(colon < 0 ? credentials : credentials.slice(0, colon));
  const password = colon < 0 ? "" : decodeURIComponent(credentials.slice(colon + 1));
  return {
    seeds,
    options: {
      ...(username === "" ? {} : { username }),
      ...(password === "" ? {} : { password }),
      ...(tls === "s" ? { tls: {} } : {}),
    },
  };
}

/** `host:port`, `[v6]:port`, or a host alone. */
function parseNode(text: string): NodeAddress | null {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  return host === undefined ? null : { host, port: Number(match?.[3] ?? PORT) };
}

/** `host:port`, as text. */
export function addressText({ host, port }: NodeAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
