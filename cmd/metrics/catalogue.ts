/**
 * Every metric of the engine: its name, type, labels, what it means, and what to do about it. The
 * table of docs/metrics.md is made of this, and nothing is served that is not here.
 *
 * Labels have few values, known beforehand: no ids of runs, nodes, tenants or workflows; of names of
 * queues, which are the users', the first QUEUES_MAX.
 */

export interface MetricSpec {
  type: "counter" | "gauge" | "histogram";
  labels?: readonly string[];
  /** One sentence. */
  about: string;
  /** What to look at when it is high, or not what it should be. */
  high: string;
}

export type MetricGroup = { readonly [name: string]: MetricSpec };

/** Of every process. */
export const PROCESS_METRICS = {
  gavotte_info: {
    type: "gauge",
    labels: ["version", "roles"],
    about: "1; its labels say which version runs here, and as what.",
    high: "Versions should differ only while one replaces another.",
  },
  gavotte_ready: {
    type: "gauge",
    about: "1 when this process does its work and what it needs answers, as /readyz says.",
    high: "0: see gavotte_store_up, then the process's log.",
  },
  gavotte_store_up: {
    type: "gauge",
    labels: ["store"],
    about: "1 when redis or postgres answers this process.",
    high: "0: nothing is lost; see that the store runs and can be reached from here.",
  },
  gavotte_script_calls_total: {
    type: "counter",
    labels: ["script", "outcome"],
    about: "Calls of Redis scripts: ok, waits (not certified, full, loading), error.",
    high: "waits: is a supervisor running, is Redis full? error: the log says why.",
  },
  gavotte_script_seconds: {
    type: "histogram",
    about: "Round trip of a script call to Redis.",
    high: "Redis is busy (one core), or far away: look at its CPU and at the network.",
  },
  gavotte_postgres_connections: {
    type: "gauge",
    labels: ["state"],
    about: "Connections of this process to Postgres: used, idle; and calls waiting for one.",
    high: "waiting above 0 for long: slow statements, or raise database_connections_max.",
  },
  gavotte_postgres_connections_max: {
    type: "gauge",
    about: "Connections that this process may open to Postgres.",
    high: "All processes together stay below max_connections of the server.",
  },
} as const satisfies MetricGroup;

/** Of a worker. */
export const WORKER_METRICS = {
  gavotte_steps_total: {
    type: "counter",
    labels: ["kind", "outcome"],
    about:
      "Executions by kind of node: completed, retrying, failed for good. Not what only waits, nor " +
      "nodes that were evaluated in the step of another one.",
    high: "failed: gavotte dlq and the worker's log name code and node.",
  },
  gavotte_step_seconds: {
    type: "histogram",
    labels: ["kind"],
    about: "How long executions took, handlers included.",
    high: "The handlers or what they call are slow; the engine's part is gavotte_script_seconds.",
  },
  gavotte_nodes_settled_total: {
    type: "counter",
    about: "Ends of nodes that Redis has accepted from this worker, evaluated ones included.",
    high: "This is the throughput of steps.",
  },
  gavotte_settled_total: {
    type: "counter",
    labels: ["outcome"],
    about: "Results sent to Redis: accepted, refused (came too late), unknown (not answered).",
    high: "refused: leases are lost, handlers block their process, or runs are cancelled.",
  },
  gavotte_settle_batches_total: {
    type: "counter",
    about: "Calls that carried these results.",
    high: "Results per call rise with load: that is how the engine keeps up.",
  },
  gavotte_tokens_read_total: {
    type: "counter",
    about: "Ready tokens that were read from queues.",
    high: "Far more than are settled: see gavotte_taken_over_total.",
  },
  gavotte_read_wait_seconds: {
    type: "histogram",
    about: "How long the first token of each read had waited in its queue.",
    high: "Too few workers, or too little worker_concurrency: see gavotte_worker_slots.",
  },
  gavotte_taken_over_total: {
    type: "counter",
    about: "Tokens that were taken over from workers that stopped answering, or handed back.",
    high: "Workers die or stand still: look for restarts, out of memory, blocked event loops.",
  },
  gavotte_poison_total: {
    type: "counter",
    about: "Tokens that were delivered too often without a result and failed as poison.",
    high: "A step kills its worker: gavotte dlq names it.",
  },
  gavotte_worker_slots: {
    type: "gauge",
    labels: ["state"],
    about: "Steps that this worker may execute at one time: used and free.",
    high: "None free for long: add workers, or raise worker_concurrency if handlers only wait.",
  },
  gavotte_worker_held: {
    type: "gauge",
    about: "Tokens that this worker has read and not settled.",
    high: "Much more than slots in use: Redis or the settling of results is slow.",
  },
  gavotte_worker_partitions: {
    type: "gauge",
    about: "Partitions that this worker reads.",
    high: "Below gavotte_partitions: it cannot reach some servers of the cluster.",
  },
} as const satisfies MetricGroup;

/** Of a supervisor; what is of a partition is told by the one that holds its role. */
export const SUPERVISOR_METRICS = {
  gavotte_runs_accepted_total: {
    type: "counter",
    about: "Submissions that were accepted.",
    high: "Above what ends for long: the backlog grows, see gavotte_queue_oldest_seconds.",
  },
  gavotte_submissions_rejected_total: {
    type: "counter",
    labels: ["code"],
    about: "Submissions that were refused, by code of the error.",
    high: "docs/errors.md says what each code means; the answer told the client.",
  },
  gavotte_submissions_waiting: {
    type: "gauge",
    about: "Submissions that no supervisor has answered yet.",
    high: "The intake pauses (gavotte_archive_lag_records, gavotte_store_up), or add supervisors.",
  },
  gavotte_runs_started_total: {
    type: "counter",
    about: "Runs that have begun, as the archive has it; children too.",
    high: "Below what is accepted: limits hold runs, or Redis is full: gavotte why RUN.",
  },
  gavotte_runs_ended_total: {
    type: "counter",
    labels: ["status"],
    about: "Runs whose end is archived, by status.",
    high: "FAILED: gavotte runs --status FAILED, then gavotte explain RUN.",
  },
  gavotte_dead_letters_total: {
    type: "counter",
    about: "Tokens that went to the dead letters.",
    high: "gavotte dlq lists them, gavotte redrive tries them again.",
  },
  gavotte_partitions: {
    type: "gauge",
    about: "Partitions of the deployment.",
    high: "Compare with the sum of gavotte_partitions_held.",
  },
  gavotte_partitions_held: {
    type: "gauge",
    about: "Partitions that this supervisor looks after.",
    high: "If the sum is below gavotte_partitions for long, nobody archives the rest.",
  },
  gavotte_roles_held: {
    type: "gauge",
    about: "Exclusive roles of this supervisor: its partitions, and retention.",
    high: "Taken and given up all the time: its session in Postgres is cut off.",
  },
  gavotte_runs_stalled: {
    type: "gauge",
    about: "Unfinished runs without news for long; each supervisor counts all: take the maximum.",
    high: "gavotte doctor says what each waits for.",
  },
  gavotte_queue_tokens: {
    type: "gauge",
    labels: ["queue", "priority", "state"],
    about:
      "Tokens in queues: waiting for a worker, or held by one. All of a queue together is the work " +
      "there is: the signal to add workers by. Queues of a single gavotte run are not counted.",
    high: "waiting grows: add workers that serve this queue, or see why they are slow.",
  },
  gavotte_queue_oldest_seconds: {
    type: "gauge",
    labels: ["queue"],
    about: "For how long the oldest token that waits in the queue does: take the maximum.",
    high: "Too few workers, none that serves this queue, or it is paused.",
  },
  gavotte_archive_lag_records: {
    type: "gauge",
    about: "Journal records that are not in Postgres yet.",
    high: "Postgres is slow or away. Above 100,000 in a partition the intake pauses.",
  },
  gavotte_archive_lag_seconds: {
    type: "gauge",
    about: "Age of the oldest journal record that is not in Postgres yet: take the maximum.",
    high: "Postgres is slow or away. So much is executed again if Redis is lost now.",
  },
  gavotte_archive_records_total: {
    type: "counter",
    about: "Journal records that were archived.",
    high: "Stands still while the lag grows: see gavotte_store_up and the supervisor's log.",
  },
  gavotte_archive_transitions_total: {
    type: "counter",
    about: "Transitions in these records.",
    high: "A measure of what the engine does altogether.",
  },
  gavotte_archive_commit_seconds: {
    type: "histogram",
    about: "How long a block of the journal took until it was committed.",
    high: "Postgres is slow: its disk, its locks, its vacuum.",
  },
  gavotte_journal_bytes: {
    type: "gauge",
    about: "Memory of the journal in Redis, its archived tail included.",
    high: "Above 256 MiB in a partition the intake pauses: see gavotte_archive_lag_records.",
  },
  gavotte_timers: {
    type: "gauge",
    labels: ["state"],
    about: "Timers: waiting for their time, or due and not fired.",
    high: "due: supervisors do not keep up, or the scripts are not certified.",
  },
  gavotte_timers_late_seconds: {
    type: "gauge",
    about: "For how long the timer that is most overdue is: take the maximum.",
    high: "Above a second: is a supervisor running, does Redis answer it?",
  },
  gavotte_timers_fired_total: {
    type: "counter",
    about: "Timers that this supervisor has fired.",
    high: "Retries, delays and time limits are timers.",
  },
  gavotte_releases_waiting: {
    type: "gauge",
    about: "Runs that have ended or fallen asleep and still take memory in Redis.",
    high: "Grows: the archive is behind.",
  },
  gavotte_runs_paused: {
    type: "gauge",
    about: "Runs that are paused.",
    high: "gavotte runs --status PAUSED; gavotte resume lets them go on.",
  },
  gavotte_quarantined: {
    type: "gauge",
    about: "Queue entries that were no tokens.",
    high: "Some other program writes to the keys of the engine.",
  },
  gavotte_redis_memory_bytes: {
    type: "gauge",
    labels: ["state"],
    about: "Memory of Redis, of the fullest server asked: used and max (0: no limit is set).",
    high: "Above 75 % of max no run begins: more memory, or fewer runs at a time.",
  },
  gavotte_workflow_cache_total: {
    type: "counter",
    labels: ["role", "result"],
    about: "Look-ups of compiled workflows in a worker or supervisor: hit or miss.",
    high: "Misses all the time: more and larger workflows than are kept.",
  },
} as const satisfies MetricGroup;

/** Of a gateway. */
export const GATEWAY_METRICS = {
  gavotte_http_requests_total: {
    type: "counter",
    labels: ["method", "route", "status"],
    about: "Answered requests; of paths that nobody serves the route is unknown.",
    high: "5xx: its log and gavotte_store_up; 429 and 413: callers exceed what is taken.",
  },
  gavotte_http_seconds: {
    type: "histogram",
    about: "How long requests took; those that wait for a result (?wait=) are among them.",
    high: "Submissions wait for the intake: see gavotte_submissions_waiting.",
  },
  gavotte_feed_clients: {
    type: "gauge",
    about: "Connections of the live feed.",
    high: "A gateway takes 10,000: add gateways.",
  },
  gavotte_feed_subscriptions: {
    type: "gauge",
    about: "Runs that these watch, each counted as often as it is watched.",
    high: "Clients that never unsubscribe.",
  },
  gavotte_feed_runs: {
    type: "gauge",
    about: "Runs that somebody watches here.",
    high: "Each takes memory until nobody watches it.",
  },
  gavotte_feed_dropped_total: {
    type: "counter",
    about: "Messages that slow clients did not get; they get a snapshot instead.",
    high: "Clients read too slowly, or the network does.",
  },
  gavotte_feed_silent_total: {
    type: "counter",
    about: "Clients that were cut off because they no longer answered.",
    high: "Proxies that drop idle connections, machines that went away.",
  },
} as const satisfies MetricGroup;

export const METRICS = {
  ...PROCESS_METRICS,
  ...WORKER_METRICS,
  ...SUPERVISOR_METRICS,
  ...GATEWAY_METRICS,
};

export type MetricName = keyof typeof METRICS;

/** Names of queues that are told apart; what comes later is "other". */
export const QUEUES_MAX = 100;
