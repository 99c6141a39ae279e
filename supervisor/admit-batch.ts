/**
 * One batch of submissions, from entries to answers: rows committed, runs started.
 *
 * Every step may be repeated: run ids come from the submission or its entry, rows are inserted
 * once, starts are refused when they come twice. So an intake that dies anywhere in here leaves
 * entries that another one takes over and answers the same way.
 */
import {
  admitRuns,
  type Admission,
  type AdmissionGate,
  type Definition,
  type LimitEffects,
  type NewRun,
} from "../sdk/postgres/index.ts";
import { BlobTaker, partitionOf } from "../sdk/internal.ts";
import type { SupervisorContext } from "./context.ts";
import { Binder, UNBOUND, type Bound } from "./bindings.ts";
import type { StoredIr } from "./ir-store.ts";
import { LimitWatch } from "./limits.ts";
import { askAtOnce, LATER, type Ask, type Patience } from "./patience.ts";
import { keepRefused, refusalOf } from "./refusals.ts";
import { limitsOf } from "./run-limits.ts";
import { startPointOf } from "./start-point.ts";
import type { Starter } from "./starter.ts";
import {
  bad,
  isBad,
  readSubmission,
  type BadSubmission,
  type Submission,
  type SubmissionProblem,
} from "./submission.ts";
import { Turns } from "./turns.ts";
import { endUnserved } from "./unserved.ts";
import type { Resolved, Workflows } from "./workflows.ts";

export type Entry = readonly [id: string, fields: readonly string[]];

export interface SubmissionReply {
  submission_id: string;
  run_id: string | null;
  status: "accepted" | "rejected";
  errors?: SubmissionProblem[];
}

export interface Answer {
  replyTo: string;
  reply: SubmissionReply;
}

interface Prepared {
  submission: Submission;
  stored: StoredIr;
  /** Its own and those that it is bound to, as far as they came with this batch. */
  definitions: Definition[];
  run: NewRun;
  raw: string;
}

const NOT_FOUND = "GV_WORKFLOW_NOT_FOUND";

/** How a batch is admitted. */
export interface Manner {
  /** Whoever had it before may have died of it. */
  isSuspect?: boolean;
  /** How long it waits for the compile thread; absent: as long as that takes. */
  patience?: Patience;
}

/**
 * Admits a batch; one answer per entry, but for those that `patience` says are put off. Throws
 * GV_DATABASE_UNAVAILABLE: keep it and repeat.
 */
export async function admitBatch(
  context: SupervisorContext,
  workflows: Workflows,
  starter: Starter,
  entries: readonly Entry[],
  limits: LimitWatch = new LimitWatch(context, starter),
  how: Manner = {},
): Promise<Answer[]> {
  const turns = new Turns(context.clock);
  const read: (Submission | BadSubmission)[] = [];
  for (const [id, fields] of entries) {
    read.push(readSubmission(id, fields));
    const turn = turns.next();
    if (turn !== null) {
      await turn;
    }
  }
  const rejected: BadSubmission[] = read.filter(isBad);
  const good = read.filter((one): one is Submission => !isBad(one));
  const prepared = await prepare(context, workflows, limits, { good, ...how }, rejected);
  // After what may take longer than the time for a start.
  const deadlines = await starter.deadlines();
  const effects: LimitEffects[] = [];
  const gate = limits.gate((told) => effects.push(told));
  const admissions = await admit(context, gate, prepared, rejected);
  const accepted = prepared.flatMap(({ run }, i) => {
    const admission = admissions[i];
    // A repeated idempotency key is answered with the first run: that has a row of its own, which
    // its own entry or the sweep starts.
    const own = admission?.accepted === true && admission.runId === run.id;
    return own ? [{ run, isDue: admission.status === "QUEUED" && !admission.held }] : [];
  });
  const unserved = await endUnserved(
    context,
    accepted.map(({ run }) => run),
  );
  const startable = accepted.flatMap(({ run, isDue }) =>
    isDue && !unserved.has(run.id) ? [run] : [],
  );
  await keepRefused(context, rejected);
  await starter.start(startable, deadlines);
  for (const told of effects) {
    await limits.settle(told, deadlines);
  }
  context.counts.accepted += accepted.length;
  rejected.forEach(({ problems }) => context.counts.reject(problems[0]?.code ?? "unknown"));
  return answersOf(prepared, admissions, rejected);
}

async function prepare(
  context: SupervisorContext,
  workflows: Workflows,
  limits: LimitWatch,
  { good, isSuspect = false, patience }: Manner & { good: readonly Submission[] },
  rejected: BadSubmission[],
): Promise<Prepared[]> {
  const ask: Ask = patience === undefined ? askAtOnce : (...asked) => patience.ask(...asked);
  const resolved = await workflows.resolve(good, isSuspect, ask);
  const putOff = good.filter((_, i) => resolved[i] === LATER);
  putOff.forEach(({ entryId, tenant }) => patience?.later.set(entryId, tenant));
  const binder = new Binder(context, resolved.flatMap(freshOf));
  const prepared: Prepared[] = [];
  const isApart = isSuspect || patience?.isLate === true;
  const turns = new Turns(context.clock);
  for (const [i, submission] of good.entries()) {
    const turn = turns.next();
    if (turn !== null) {
      await turn;
    }
    const one = resolved[i] as (typeof resolved)[number];
    const { entryId, runId, raw } = submission;
    const reject = refuser(submission, rejected, patience);
    if (one === LATER) {
      continue;
    }
    if (isProblems(one)) {
      reject(one);
      continue;
    }
    // A promise each would be a good part of what most cost here, which refer to no others, either.
    const { guard } = workflows;
    const fits = context.irs.check(one.stored, submission.input, guard, isApart, (check) =>
      ask(entryId, "check", check),
    );
    const problems = Array.isArray(fits) ? fits : await fits;
    if (problems === LATER) {
      patience?.later.set(entryId, submission.tenant);
      continue;
    }
    const isAlone = one.stored.references.length === 0;
    const bound = problems.length > 0 ? problems : isAlone ? UNBOUND : await binder.bind(one);
    if (isProblems(bound)) {
      reject(bound);
      continue;
    }
    const { tenant, namespace, input } = submission;
    const { hasTenantMax } = limits;
    const limited = limitsOf(one.stored.ir, { runId, tenant, namespace, input, hasTenantMax });
    if (Array.isArray(limited)) {
      reject(limited);
      continue;
    }
    const large = new BlobTaker();
    // A promise only for a run that has one.
    const start = submission.start && (await startPointOf(one.stored.ir, submission, large));
    if (Array.isArray(start)) {
      reject(start);
      continue;
    }
    const run = rowOf(context, submission, one.stored, bound, large);
    if (limited !== undefined) {
      run.limits = limited;
    }
    if (start !== null) {
      run.start = start;
    }
    const definitions = [...freshOf(one), ...bound.definitions];
    prepared.push({ submission, stored: one.stored, definitions, run, raw });
  }
  return prepared;
}

function freshOf(one: Resolved | typeof LATER): Definition[] {
  return one === LATER || isProblems(one) || one.definition === null ? [] : [one.definition];
}

/** What takes the problems of a submission: it is rejected, or put off. */
function refuser(
  { entryId, tenant, runId, replyTo, raw }: Submission,
  rejected: BadSubmission[],
  patience: Patience | undefined,
): (problems: SubmissionProblem[]) => void {
  return (problems) => {
    const isLost = problems.some(({ code }) => code === NOT_FOUND);
    if (isLost && patience?.mayName(entryId) === true) {
      patience.later.set(entryId, tenant);
    } else {
      rejected.push(bad(entryId, runId, replyTo, problems, raw));
    }
  };
}

function isProblems<T extends object>(one: T | SubmissionProblem[]): one is SubmissionProblem[] {
  return Array.isArray(one);
}

function rowOf(
  context: SupervisorContext,
  submission: Submission,
  stored: StoredIr,
  { bindings }: Bound,
  large: BlobTaker,
): NewRun {
  const { runId, tenant, namespace, inputText, idempotencyKey, requestHash } = submission;
  const run: NewRun = {
    id: runId,
    tenant,
    workflow: stored.ir.name,
    version: stored.ir.workflow_version,
    irHash: stored.hash,
    isByReference: "ref" in submission.workflow,
    partition: partitionOf(runId, context.deployment.partitions),
    namespace,
    priority: submission.priority ?? stored.ir.settings.priority,
    input: large.text(inputText),
    idempotencyKey,
    requestHash,
    createdAtMs: context.clock.nowMs(),
    bindings,
  };
  if (large.blobs.length > 0) {
    run.blobs = large.blobs;
  }
  return run;
}

/**
 * Commits the rows. A batch that Postgres refuses for another reason than being away is tried one
 * by one: whatever is wrong with one submission must not keep the others.
 */
async function admit(
  context: SupervisorContext,
  gate: AdmissionGate,
  prepared: readonly Prepared[],
  rejected: BadSubmission[],
): Promise<(Admission | null)[]> {
  const definitionsOf = (list: readonly Prepared[]): Definition[] => {
    const all = list.flatMap(({ definitions }) => definitions);
    return [...new Map(all.map((definition) => [definition.hash, definition])).values()];
  };
  const together = (list: readonly Prepared[]): Promise<Admission[]> =>
    admitRuns(
      context.db,
      definitionsOf(list),
      list.map(({ run }) => run),
      gate,
    );
  let admissions: (Admission | null)[];
  try {
    admissions = prepared.length === 0 ? [] : await together(prepared);
  } catch (error) {
    if (!isRefusal(error)) {
      throw error;
    }
    admissions = [];
    for (const one of prepared) {
      admissions.push(
        await together([one]).then(
          ([admission]) => admission ?? null,
          (cause: unknown) => {
            if (!isRefusal(cause)) {
              throw cause;
            }
            context.logger.error({ err: cause, run: one.run.id }, "Postgres refuses a run's row");
            const why = (cause as Error).message;
            return { accepted: false, message: `the run cannot be stored: Postgres says "${why}"` };
          },
        ),
      );
    }
  }
  prepared.forEach((one, i) => {
    const admission = admissions[i];
    if (admission?.accepted === true && one.definitions.length > 0) {
      context.irs.keep(one.stored);
    }
    if (admission?.accepted === false) {
      const { entryId, replyTo, runId } = one.submission;
      const conflict = admission.message.includes("used before");
      const code = conflict ? "GV_IDEMPOTENCY_CONFLICT" : "GV_BAD_SUBMISSION";
      const problem = { code: admission.code ?? code, message: admission.message };
      rejected.push(bad(entryId, runId, replyTo, [problem], one.raw));
    }
  });
  return admissions;
}

/** An SQL error about what was sent (data exception, constraint, limits), not about the server. */
function isRefusal(error: unknown): boolean {
  return /^(22|23|54)/.test(String((error as { code?: unknown }).code));
}

function answersOf(
  prepared: readonly Prepared[],
  admissions: readonly (Admission | null)[],
  rejected: readonly BadSubmission[],
): Answer[] {
  const answers = prepared.flatMap(({ submission }, i): Answer[] => {
    const admission = admissions[i];
    if (admission?.accepted !== true) {
      return [];
    }
    const { entryId: submission_id, replyTo } = submission;
    return [{ replyTo, reply: { submission_id, run_id: admission.runId, status: "accepted" } }];
  });
  return [...answers, ...rejected.map(refusalOf)];
}
