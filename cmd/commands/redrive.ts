/** `gavotte redrive RUN`: a failed run goes on from where it failed. */
import type { RedriveResult, RedriveWish } from "../../sdk/client.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readInput } from "../read-input.ts";
import { readPairs } from "../read-pairs.ts";
import { withClient } from "../with-client.ts";
import { noteOf } from "./pause.ts";

export interface RedriveFlags {
  from?: string[];
  set?: string[];
  nodeInput?: string[];
  input?: string;
  dryRun?: boolean;
  as?: string;
  reason?: string;
}

/** Redrives, or tells what that would do. */
export async function redrive(context: Context, run: string, flags: RedriveFlags): Promise<number> {
  const wish: RedriveWish = {
    ...noteOf(flags),
    ...(flags.from !== undefined && { from: flags.from }),
    ...(flags.set !== undefined && { set: readPairs("--set", flags.set) }),
    ...(flags.nodeInput !== undefined && { inputs: readPairs("--node-input", flags.nodeInput) }),
    ...(flags.input !== undefined && { input: await readInput(context, flags.input) }),
  };
  const isDry = flags.dryRun === true;
  return withClient(context, async ({ operations }) => {
    const result = isDry
      ? await operations.previewRedrive(run, wish)
      : await operations.redrive(run, wish);
    tell(context, run, isDry, result);
    context.output.document({ run_id: run, dry_run: isDry, ...result });
    return EXIT.done;
  });
}

function tell({ output }: Context, run: string, isDry: boolean, result: RedriveResult): void {
  const { attempt, starts, again, kept, effects, uncertain, given } = result;
  const list = (ids: readonly string[]): string => (ids.length === 0 ? "-" : ids.join(", "));
  output.line(`${run} ${isDry ? "would go on" : "goes on"} as attempt ${attempt}`);
  output.line(`  starts      ${list(starts)}`);
  output.line(`  runs again  ${list(again)}`);
  output.line(`  kept        ${list(kept)}`);
  if (given.length > 0) {
    output.line(`  by hand     ${list(given)}`);
  }
  if (effects.length > 0) {
    output.note(`executed before, and so again: ${list(effects)}`);
  }
  if (uncertain.length > 0) {
    output.note(`may have been executed, and so again: ${list(uncertain)}`);
  }
}
