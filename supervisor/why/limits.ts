/** Why an accepted run is not started: the limits of its workflow and of its tenant, in words. */
import type { AdmissionWait } from "../../sdk/postgres/index.ts";
import type { Reason } from "../explain.ts";

/** One reason for each limit that keeps it; empty if none does any more. */
export function limitReasons(wait: AdmissionWait | null): Reason[] {
  if (wait === null) {
    return [];
  }
  const { ahead, holders, tenant, tenantRuns } = wait;
  const before = ahead === 0 ? "it is the next" : `${ahead} have their turn before it`;
  if (wait.state === "tenant") {
    const text =
      `tenant ${tenant} has ${tenantRuns} runs in progress, as many as one may ` +
      `(tenant_runs_max); ${before}`;
    return [{ kind: "tenant", tenant, running: tenantRuns, ahead, text }];
  }
  const reasons: Reason[] = [];
  if (wait.keyLimit !== null && wait.held >= wait.keyLimit) {
    const limit = wait.keyLimit;
    const key = wait.keyText ?? "";
    const of = key === "" ? "of this workflow" : `of key "${key}"`;
    const text =
      `settings.concurrency lets ${limit} runs ${of} be in progress; ${holders.join(", ")} ` +
      `${wait.held === 1 ? "is" : "are"}; ${before}`;
    reasons.push({ kind: "concurrency", key, limit, holders, ahead, text });
  }
  if (wait.rateLimit !== null && wait.rateFreeMs !== null) {
    const { rateLimit: limit, rateMs, rateFreeMs: dueMs } = wait;
    const key = wait.rateText ?? "";
    const of = key === "" ? "of this workflow" : `of key "${key}"`;
    const text =
      `settings.rate_limit lets ${limit} runs ${of} start in ${rateMs ?? 0} ms; the next may ` +
      `start at ${new Date(dueMs).toISOString()}; ${before}`;
    reasons.push({ kind: "start_rate", key, limit, dueMs, ahead, text });
  }
  if (reasons.length === 0) {
    const text = `its limits let it start now: a supervisor does so within seconds; ${before}`;
    reasons.push({ kind: "not_started", text });
  }
  return reasons;
}
