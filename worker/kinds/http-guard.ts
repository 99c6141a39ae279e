/**
 * Which addresses an `http` node may reach.
 *
 * A workflow's URL often comes from its input, so whoever submits a run could have the worker ask
 * the cloud's metadata service or a database's admin port (SSRF). So a connection is made only to
 * public addresses, judged where it is made: the check stands in the resolver that the socket uses,
 * and a name cannot resolve to one address when checked and to another when connected. Numbers in
 * odd spellings (decimal, octal, hex) need no care: the URL parser has made them plain before.
 *
 * What a deployment needs besides is on its allow list.
 */
import { lookup } from "node:dns";
import type { LookupAddress, LookupOptions } from "node:dns";
import { BlockList, isIP } from "node:net";
import type { LookupFunction } from "node:net";

/** Thrown for an address that is not public and not allowed. Crosses node:http as a plain error. */
export class AddressRefusedError extends Error {
  readonly code = "HTTP_REFUSED";
  override readonly name = "AddressRefusedError";

  constructor(host: string) {
    super(
      `${host} is not a public address, and this worker connects to no others; ` +
        "if it should, put the host or its network on the allow list (http_allow)",
    );
  }
}

/** Everything in IPv4 that is not the public internet (IANA's special-purpose registry). */
const REFUSED_V4: readonly [string, number][] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

/**
 * In IPv6 only global unicast is public, without the ranges that embed an IPv4 address (6to4,
 * Teredo; NAT64 and mapped ones are outside anyway) or are for documentation.
 */
const PUBLIC_V6: readonly [string, number] = ["2000::", 3];
const REFUSED_V6: readonly [string, number][] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];

const refused = new BlockList();
for (const [network, prefix] of REFUSED_V4) refused.addSubnet(network, prefix, "ipv4");
for (const [network, prefix] of REFUSED_V6) refused.addSubnet(network, prefix, "ipv6");
const publicV6 = new BlockList();
publicV6.addSubnet(PUBLIC_V6[0], PUBLIC_V6[1], "ipv6");

/** Whether an address in its plain spelling belongs to the public internet. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !refused.check(address, "ipv4");
  return publicV6.check(address, "ipv6") && !refused.check(address, "ipv6");
}

export class AddressGuard {
  readonly #hosts = new Set<string>();
  readonly #suffixes: string[] = [];
  readonly #networks = new BlockList();
  readonly #allowsAll: boolean;

  /**
   * `allow`: host names (`api.internal`), `*.` suffixes (`*.corp.example`), addresses and networks
   * (`127.0.0.1`, `10.0.0.0/8`), `loopback`, or `*` for everything. Throws TypeError for a network
   * that is none.
   */
  constructor(allow: readonly string[]) {
    this.#allowsAll = allow.includes("*");
    for (const entry of allow) this.#add(entry.toLowerCase());
  }

  #add(entry: string): void {
    const [network = "", prefix] = entry.split("/");
    if (entry === "*") return;
    if (entry === "loopback") {
      this.#hosts.add("localhost");
      this.#networks.addSubnet("127.0.0.0", 8, "ipv4");
      this.#networks.addAddress("::1", "ipv6");
    } else if (isIP(network) !== 0) {
      const family = isIP(network) === 4 ? "ipv4" : "ipv6";
      const bits = prefix === undefined ? (family === "ipv4" ? 32 : 128) : Number(prefix);
      this.#networks.addSubnet(network, bits, family);
    } else if (prefix !== undefined) {
      throw new TypeError(`"${entry}" is neither a host name nor a network such as 10.0.0.0/8`);
    } else if (entry.startsWith("*.")) {
      this.#suffixes.push(entry.slice(1));
    } else {
      this.#hosts.add(entry);
    }
  }

  /** Throws AddressRefusedError if the host is an address that is refused; names resolve later. */
  assertHost(hostname: string): void {
    const address = hostname.replace(/^\[|\]$/g, "");
    if (isIP(address) !== 0) this.#assertAddress(address, hostname);
  }

  #assertAddress(address: string, hostname: string): void {
    if (this.#allowsAll || isPublicAddress(address)) return;
    if (this.#networks.check(address, isIP(address) === 4 ? "ipv4" : "ipv6")) return;
    throw new AddressRefusedError(hostname);
  }

  #allowsName(hostname: string): boolean {
    const name = hostname.toLowerCase().replace(/\.$/, "");
    return this.#hosts.has(name) || this.#suffixes.some((suffix) => name.endsWith(suffix));
  }

  /**
   * dns.lookup for a socket: fails if any of the addresses is refused, so that the family chosen
   * later makes no difference.
   */
  readonly lookup: LookupFunction = (hostname, options: LookupOptions, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error !== null) return callback(error, []);
      try {
        if (!this.#allowsName(hostname)) {
          for (const { address } of addresses) this.#assertAddress(address, hostname);
        }
      } catch (refusal) {
        return callback(refusal as Error, []);
      }
      const first = addresses[0];
      if (options.all === true || first === undefined) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}
