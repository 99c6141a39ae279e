/** What `npm run bench -- …` takes. */
import { parseArgs } from "node:util";
import { CATALOGUE } from "./catalogue.ts";

export interface BenchOptions {
  /** A fifth of the steps, one round, small counts: to see that it works, not to publish. */
  quick: boolean;
  /** Everything, peers too, without anybody looking on. */
  all: boolean;
  /** Names of the rows to measure; the usual ones when empty. */
  only: readonly string[];
  /** Other engines to run in between. */
  peers: readonly Peer[];
  /** Runs per row instead of as many as the aimed number of steps makes. */
  runs: number | null;
  /** How often each throughput row is measured; the table shows the middle. */
  rounds: number;
  /** Write CPU profiles of the engine's processes into bench/profiles. */
  profile: boolean;
  /** What has not begun after so many minutes is left out. */
  minutes: number;
  help: boolean;
}

export const PEERS = ["bullmq", "dbos"] as const;
export type Peer = (typeof PEERS)[number];

const MINUTES = 22;

/** The text of --help. */
export function usage(): string {
  const width = Math.max(...CATALOGUE.map(({ name }) => name.length));
  const rows = CATALOGUE.map(({ name, about, when }) => {
    return `  ${name.padEnd(width)}  ${when === "all" ? "*" : " "} ${about}`;
  });
  return `npm run bench -- [options]
  --all              every row and every peer, unattended, in at most 25 minutes
  --quick            few runs, one round: does it work?
  --only <row>       one row; may be repeated
  --peer <name>      also run a peer: ${PEERS.join(", ")}; may be repeated
  --runs <n>         runs per row
  --rounds <n>       rounds per throughput row (3; with --all 2)
  --profile          CPU profiles into bench/profiles: .cpuprofile, and the top 20 as text
  --minutes <n>      leave out what has not begun by then (${MINUTES})
  --help             this text

rows (those with * only with --all or --only):
${rows.join("\n")}
`;
}

const FLAGS = {
  all: { type: "boolean", default: false },
  quick: { type: "boolean", default: false },
  only: { type: "string", multiple: true, default: [] as string[] },
  peer: { type: "string", multiple: true, default: [] as string[] },
  runs: { type: "string" },
  rounds: { type: "string" },
  profile: { type: "boolean", default: false },
  minutes: { type: "string" },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** Reads the command line; throws with the usage when it makes no sense. */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({ args: [...args], options: FLAGS });
  const { all, quick, profile, help } = values;
  const only = values.only.flatMap((names) => names.split(","));
  const known = CATALOGUE.map(({ name }) => name);
  refuseUnknown("row", only, known);
  refuseUnknown("peer", values.peer, PEERS);
  const peers = PEERS.filter((peer) => all || values.peer.includes(peer));
  const rounds = quick ? 1 : all ? 2 : 3;
  return {
    ...{ all, quick, only, peers, profile, help },
    runs: values.runs === undefined ? null : count("--runs", values.runs),
    rounds: values.rounds === undefined ? rounds : count("--rounds", values.rounds),
    minutes: values.minutes === undefined ? MINUTES : count("--minutes", values.minutes),
  };
}

function refuseUnknown(what: string, names: readonly string[], known: readonly string[]): void {
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new Error(`there is no ${what} "${unknown.join(", ")}"; there are: ${known.join(" ")}`);
  }
}

function count(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new Error(`${flag} takes a whole number from 1, not "${text}"`);
  }
  return value;
}
