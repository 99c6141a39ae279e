/** What `npm run bench -- …` takes. */
import { parseArgs } from "node:util";

export interface BenchOptions {
  /** A fifth of the steps, one round, small counts: to see that it works, not to publish. */
  quick: boolean;
  /** Names of the rows to measure; all when empty. */
  only: readonly string[];
  /** Other engines to run in between. */
  peers: readonly string[];
  /** Runs per throughput row instead of as many as the aimed number of steps makes. */
  runs: number | null;
  /** How often each throughput row is measured; the table shows the middle. */
  rounds: number;
  /** Write CPU profiles of the engine's processes into bench/profiles. */
  profile: boolean;
}

/** Rows that are not throughput rows, by the name that `--only` takes. */
export const OTHER_ROWS = ["submission", "fan8000", "latency", "join", "memory", "cli"] as const;
export const PEERS = ["bullmq"] as const;

export const USAGE = `npm run bench -- [options]
  --quick            few runs, one round
  --only <name>      one row; may be repeated: chain10 diamond fan50 ${OTHER_ROWS.join(" ")}
  --peer <name>      also run a peer: ${PEERS.join(" ")}
  --runs <n>         runs per throughput row
  --rounds <n>       rounds per throughput row (3)
  --profile          CPU profiles of supervisor and worker into bench/profiles`;

/** Reads the command line; throws with the usage when it makes no sense. */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      peer: { type: "string", multiple: true, default: [] },
      runs: { type: "string" },
      rounds: { type: "string" },
      profile: { type: "boolean", default: false },
    },
  });
  const unknown = values.peer.filter((name) => !PEERS.some((peer) => peer === name));
  if (unknown.length > 0) {
    throw new Error(`there is no peer "${unknown.join(", ")}"\n${USAGE}`);
  }
  return {
    quick: values.quick,
    only: values.only,
    peers: values.peer,
    runs: values.runs === undefined ? null : count("--runs", values.runs),
    rounds: values.rounds === undefined ? (values.quick ? 1 : 3) : count("--rounds", values.rounds),
    profile: values.profile,
  };
}

function count(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new Error(`${flag} takes a whole number from 1, not "${text}"\n${USAGE}`);
  }
  return value;
}
