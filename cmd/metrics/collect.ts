/** From what the parts of a process know to samples. Nothing is asked here that may take long. */
import type { Pool } from "pg";
import { scriptCounts } from "../../sdk/internal.ts";
import type { GatewayFacts } from "../../gateway/index.ts";
import type { QueueLoad, SupervisorFacts } from "../../supervisor/index.ts";
import type { WorkerFacts } from "../../worker/index.ts";
import { QUEUES_MAX } from "./catalogue.ts";
import type { Samples } from "./samples.ts";

const SECOND_MS = 1000;
const OTHER = "other";

const seconds = (ms: number | undefined): number | undefined =>
  ms === undefined ? undefined : ms / SECOND_MS;

/** Names of queues that are told apart by this process: the first that came, for as long as it runs. */
export class QueueNames {
  readonly #known = new Set<string>();

  of(queue: string): string {
    if (this.#known.size < QUEUES_MAX) {
      this.#known.add(queue);
    }
    return this.#known.has(queue) ? queue : OTHER;
  }
}

/** What every process has. */
export function addProcess(samples: Samples, pool: Pool): void {
  for (const [script, { ok, waits, errors }] of scriptCounts.byName) {
    samples.add("gavotte_script_calls_total", ok, { script, outcome: "ok" });
    samples.add("gavotte_script_calls_total", waits, { script, outcome: "waits" });
    samples.add("gavotte_script_calls_total", errors, { script, outcome: "error" });
  }
  samples.add("gavotte_script_seconds", scriptCounts.times);
  const { totalCount, idleCount, waitingCount, options } = pool;
  samples.add("gavotte_postgres_connections", totalCount - idleCount, { state: "used" });
  samples.add("gavotte_postgres_connections", idleCount, { state: "idle" });
  samples.add("gavotte_postgres_connections", waitingCount, { state: "waiting" });
  samples.add("gavotte_postgres_connections_max", options.max);
}

export function addWorker(samples: Samples, facts: WorkerFacts): void {
  const { counts, slots, workflows } = facts;
  for (const [kind, step] of counts.steps) {
    samples.add("gavotte_steps_total", step.completed, { kind, outcome: "completed" });
    samples.add("gavotte_steps_total", step.retrying, { kind, outcome: "retrying" });
    samples.add("gavotte_steps_total", step.failed, { kind, outcome: "failed" });
    samples.add("gavotte_step_seconds", step.times, { kind });
  }
  samples.add("gavotte_nodes_settled_total", counts.nodes);
  for (const [outcome, count] of Object.entries(counts.settled)) {
    samples.add("gavotte_settled_total", count, { outcome });
  }
  samples.add("gavotte_settle_batches_total", counts.batches);
  samples.add("gavotte_tokens_read_total", counts.tokensRead);
  samples.add("gavotte_read_wait_seconds", counts.waits);
  samples.add("gavotte_taken_over_total", counts.takenOver);
  samples.add("gavotte_poison_total", counts.poison);
  samples.add("gavotte_worker_slots", slots.used, { state: "used" });
  samples.add("gavotte_worker_slots", slots.max - slots.used, { state: "free" });
  samples.add("gavotte_worker_held", facts.held);
  samples.add("gavotte_worker_partitions", facts.lanes);
  addLooks(samples, "worker", workflows);
}

export function addSupervisor(samples: Samples, facts: SupervisorFacts, names: QueueNames): void {
  const { counts, load, workflows } = facts;
  samples.add("gavotte_runs_accepted_total", counts.accepted);
  for (const [code, count] of counts.rejected) {
    samples.add("gavotte_submissions_rejected_total", count, { code });
  }
  samples.add("gavotte_runs_started_total", counts.started);
  for (const [status, count] of counts.ended) {
    samples.add("gavotte_runs_ended_total", count, { status });
  }
  samples.add("gavotte_dead_letters_total", counts.deadLetters);
  samples.add("gavotte_archive_records_total", counts.records);
  samples.add("gavotte_archive_transitions_total", counts.transitions);
  samples.add("gavotte_archive_commit_seconds", counts.commits);
  samples.add("gavotte_timers_fired_total", counts.timersFired);
  samples.max("gavotte_partitions", facts.partitions);
  samples.add("gavotte_partitions_held", facts.held);
  samples.add("gavotte_roles_held", facts.roles);
  samples.max("gavotte_runs_stalled", facts.stalled);
  addLooks(samples, "supervisor", workflows);
  if (load.submissions !== undefined) {
    samples.add("gavotte_submissions_waiting", load.submissions);
  }
  if (load.memory !== undefined) {
    samples.max("gavotte_redis_memory_bytes", load.memory.used, { state: "used" });
    samples.max("gavotte_redis_memory_bytes", load.memory.max, { state: "max" });
  }
  for (const one of load.partitions) {
    samples.addKnown("gavotte_archive_lag_records", one.lagRecords);
    samples.max("gavotte_archive_lag_seconds", seconds(one.lagMs));
    samples.addKnown("gavotte_journal_bytes", one.journalBytes);
    samples.addKnown("gavotte_timers", one.timersWaiting, { state: "waiting" });
    samples.addKnown("gavotte_timers", one.timersDue, { state: "due" });
    samples.max("gavotte_timers_late_seconds", seconds(one.timersLateMs));
    samples.addKnown("gavotte_releases_waiting", one.releases);
    samples.addKnown("gavotte_runs_paused", one.pausedRuns);
    samples.addKnown("gavotte_quarantined", one.quarantined);
    one.queues.forEach((queue) => addQueue(samples, queue, names));
  }
}

function addQueue(samples: Samples, load: QueueLoad, names: QueueNames): void {
  const queue = names.of(load.queue);
  const { priority } = load;
  samples.add("gavotte_queue_tokens", load.waiting, { queue, priority, state: "waiting" });
  samples.add("gavotte_queue_tokens", load.held, { queue, priority, state: "held" });
  samples.max("gavotte_queue_oldest_seconds", load.oldestMs / SECOND_MS, { queue });
}

export function addGateway(samples: Samples, facts: GatewayFacts): void {
  const { counts } = facts;
  for (const { method, route, status, count } of counts.requests.values()) {
    samples.add("gavotte_http_requests_total", count, { method, route, status: `${status}` });
  }
  samples.add("gavotte_http_seconds", counts.times);
  samples.add("gavotte_feed_clients", facts.clients);
  samples.add("gavotte_feed_subscriptions", facts.subscriptions);
  samples.add("gavotte_feed_runs", facts.runs);
  samples.add("gavotte_feed_dropped_total", counts.feedDropped);
  samples.add("gavotte_feed_silent_total", counts.feedSilent);
}

function addLooks(
  samples: Samples,
  role: string,
  { hits, misses }: { hits: number; misses: number },
): void {
  samples.add("gavotte_workflow_cache_total", hits, { role, result: "hit" });
  samples.add("gavotte_workflow_cache_total", misses, { role, result: "miss" });
}
