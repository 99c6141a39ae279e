/**
 * Every option: its name with its unit, its default, its range, one sentence.
 *
 * An option `some_name` is the key `some_name` of the configuration file, the variable
 * `GAVOTTE_SOME_NAME`, and the flag `--some-name` where a command takes it.
 */

export type OptionValue = string | number | boolean | readonly string[] | null;

interface OptionBase {
  about: string;
  /** Values are masked when shown: all of it, or the password of a URL. */
  secret?: "all" | "url";
}

export type OptionSpec = OptionBase &
  (
    | { type: "string"; default: string | null; choices?: readonly string[]; pattern?: RegExp }
    | { type: "integer"; default: number | null; min: number; max: number; powerOfTwo?: true }
    | { type: "list"; default: readonly string[]; pattern?: RegExp }
  );

const URL_REDIS = /^(redis|rediss|redis-cluster|rediss-cluster|unix):/;
const URL_POSTGRES = /^postgres(ql)?:\/\//;
const URL_WEB = /^(https?|wss?):\/\//;
/** A key that can be guessed is none; a comma would be two. */
const API_KEY = /^[!-+\--~]{16,256}$/;
const LISTEN = /^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/;

export const OPTION_SPECS = {
  redis_url: {
    type: "string",
    default: null,
    pattern: URL_REDIS,
    secret: "url",
    about:
      "Redis or Valkey: redis://, rediss://, unix://, or redis-cluster://host:port,host:port; " +
      "without it the embedded stack is used",
  },
  database_url: {
    type: "string",
    default: null,
    pattern: URL_POSTGRES,
    secret: "url",
    about: "Postgres: postgres://; without it the embedded stack is used",
  },
  data_dir: {
    type: "string",
    default: ".gavotte",
    about: "folder of the embedded stack's data",
  },
  partitions: {
    type: "integer",
    default: null,
    min: 1,
    max: 16_384,
    powerOfTwo: true,
    about: "partitions of a new deployment; if given, an existing one must have as many",
  },
  database_connections_max: {
    type: "integer",
    default: 10,
    min: 1,
    max: 1000,
    about: "connections of one process to Postgres",
  },
  worker_concurrency: {
    type: "integer",
    default: 100,
    min: 1,
    max: 100_000,
    about: "steps that one worker executes at one time",
  },
  lease_ms: {
    type: "integer",
    default: 30_000,
    min: 1000,
    max: 3_600_000,
    about: "how long a worker may be silent before another takes its work over",
  },
  blocked_ms_max: {
    type: "integer",
    default: 600_000,
    min: 0,
    max: 86_400_000,
    about: "how long a step that blocks its worker process keeps its lease; 0 not at all",
  },
  deliveries_max: {
    type: "integer",
    default: 5,
    min: 1,
    max: 1000,
    about: "deliveries of one step without a result before it counts as poison",
  },
  functions: {
    type: "list",
    default: [],
    about: "modules whose functions this process serves",
  },
  http_allow: {
    type: "list",
    default: [],
    about: "hosts and networks that http nodes may reach though they are not public",
  },
  gateway_listen: {
    type: "string",
    default: "127.0.0.1:8080",
    pattern: LISTEN,
    about: "address and port of the gateway; port 0 takes a free one",
  },
  gateway_url: {
    type: "string",
    default: null,
    pattern: URL_WEB,
    secret: "url",
    about: "where clients find the gateway: http:// or ws://",
  },
  api_keys: {
    type: "list",
    default: [],
    pattern: API_KEY,
    secret: "all",
    about:
      "keys of the gateway, 16 to 256 characters: REST and feed ask for one; " +
      "without any REST is for its own machine",
  },
  api_key: {
    type: "string",
    default: null,
    pattern: API_KEY,
    secret: "all",
    about: "one of the gateway's keys, as commands send it; 16 to 256 characters",
  },
  metrics_port: {
    type: "integer",
    default: null,
    min: 0,
    max: 65_535,
    about:
      "port for /metrics, /healthz and /readyz of this process; 0 takes a free one; none without it",
  },
  metrics_host: {
    type: "string",
    default: "127.0.0.1",
    about: "address on which metrics are served",
  },
  audit_runs_per_minute: {
    type: "integer",
    default: 6,
    min: 0,
    max: 600,
    about: "unfinished runs that a supervisor compares with their journals; 0: none",
  },
  stalled_after_ms: {
    type: "integer",
    default: 300_000,
    min: 1000,
    max: 86_400_000,
    about: "runs without news for longer than this are explained",
  },
  tenant_runs_max: {
    type: "integer",
    default: 1000,
    min: 0,
    max: 1_000_000,
    about: "runs in progress of one named tenant, further ones wait; 0: no end",
  },
  hibernate_after_ms: {
    type: "integer",
    default: 600_000,
    min: 0,
    max: 2_592_000_000,
    about: "runs that wait for longer than this, and for longer still, leave Redis; 0: none does",
  },
  retention_hours: {
    type: "integer",
    default: 0,
    min: 0,
    max: 876_000,
    about: "how long ended runs and their history are kept; 0: for ever",
  },
  retention_letters_hours: {
    type: "integer",
    default: 0,
    min: 0,
    max: 876_000,
    about: "how long those with an open dead letter are, if longer; 0: until it is settled",
  },
  submit_timeout_ms: {
    type: "integer",
    default: 10_000,
    min: 100,
    max: 600_000,
    about: "how long a command waits for an answer: of Redis, and to a submission",
  },
  shutdown_ms: {
    type: "integer",
    default: 10_000,
    min: 0,
    max: 600_000,
    about: "how long a stopping process may finish what it holds",
  },
  log_level: {
    type: "string",
    default: "info",
    choices: ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
    about: "least severity that is logged, to stderr",
  },
} as const satisfies { [name: string]: OptionSpec };

export type OptionName = keyof typeof OPTION_SPECS;

type ValueOf<S> = S extends { type: "integer"; default: infer D }
  ? D extends null
    ? number | null
    : number
  : S extends { type: "list" }
    ? readonly string[]
    : S extends { default: null }
      ? string | null
      : string;

/** The values in force, by option. */
export type ConfigValues = { readonly [N in OptionName]: ValueOf<(typeof OPTION_SPECS)[N]> };

export const OPTION_NAMES = Object.keys(OPTION_SPECS) as OptionName[];

/** The environment variable of an option. */
export function variableOf(name: OptionName): string {
  return `GAVOTTE_${name.toUpperCase()}`;
}

/** The flag of an option. */
export function flagOf(name: OptionName): string {
  return `--${name.replaceAll("_", "-")}`;
}
