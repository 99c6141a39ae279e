/** `gavotte prune`: deletes runs that ended long ago, with all that is kept of them. */
import { GavotteError } from "../../sdk/internal.ts";
import {
  databaseTimeMs,
  deleteSubmissionLetters,
  FIRST_RUN,
  type RunCursor,
} from "../../sdk/postgres/index.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readAge } from "../read-option.ts";
import { withClient } from "../with-client.ts";

export interface PruneFlags {
  olderThan?: string;
  workflow?: string;
  letters?: boolean;
  dryRun?: boolean;
}

/** What a repeated submission may still ask for is younger. */
const AGE_MS_MIN = 3_600_000;

/** Prints how many were deleted, or would be. An interrupt leaves the pages before it deleted. */
export async function prune(context: Context, flags: PruneFlags): Promise<number> {
  const { olderThan, workflow, letters = false, dryRun = false } = flags;
  const ageMs = olderThan === undefined ? 0 : readAge("--older-than", olderThan);
  if (ageMs < AGE_MS_MIN) {
    const message =
      "--older-than must be given, at least 1h: what is younger may be asked for again";
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  return withClient(context, async (client, stack) => {
    const { prunePage } = await import("../../supervisor/index.ts");
    const { redis, db } = client;
    const endedBeforeMs = (await databaseTimeMs(db)) - ageMs;
    const rule = {
      ...{ endedBeforeMs, lettersBeforeMs: letters ? endedBeforeMs : 0 },
      ...(workflow !== undefined && { workflow }),
    };
    const { partitions } = await client.deployment();
    const total = { trees: 0, runs: 0, kept: 0, submissions: 0 };
    for (let after: RunCursor | null = FIRST_RUN; after !== null;) {
      stack.signal.throwIfAborted();
      const page = await prunePage({ redis, db, partitions }, rule, after, dryRun);
      total.trees += page.trees;
      total.runs += page.runs;
      total.kept += page.kept;
      after = page.next;
    }
    if (workflow === undefined) {
      total.submissions = await deleteSubmissionLetters(db, rule, dryRun);
    }
    const { trees, runs, kept, submissions } = total;
    const what = dryRun ? "would be deleted" : "deleted";
    const parts = `${trees} of them submitted, the others children and compensations`;
    context.output.line(`${runs} run(s) ${what} (${parts}), ${submissions} dead submission(s)`);
    if (kept > 0) {
      const why = "a run of their trees is open, younger, has an open dead letter or is in Redis";
      context.output.note(`${kept} old enough stay: ${why}`);
    }
    context.output.document({ dry_run: dryRun, ...total });
    return EXIT.done;
  });
}
