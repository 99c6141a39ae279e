/** `gavotte redrive RUN`: a failed run goes on from where it failed. */
import type { Json } from "../../compiler/ir.ts";
import type { RedriveResult, RedriveWish } from "../../sdk/client.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readInput } from "../read-input.ts";
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
    ...(flags.set !== undefined && { set: pairs("--set", flags.set) }),
    ...(flags.nodeInput !== undefined && { inputs: pairs("--node-input", flags.nodeInput) }),
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

/** `node=JSON` each. Throws GV_BAD_INPUT. */
function pairs(flag: string, texts: readonly string[]): { [node: string]: Json } {
  const found: { [node: string]: Json } = {};
  for (const text of texts) {
    const border = text.indexOf("=");
    try {
      if (border < 1) {
        throw new Error("there is no node before a =");
      }
      const value = JSON.parse(text.slice(border + 1)) as Json;
      Object.defineProperty(found, text.slice(0, border), { value, enumerable: true });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `${flag} takes NODE=JSON, not ${text}: ${reason}`;
      throw new GavotteError("GV_BAD_INPUT", message, { cause });
    }
  }
  return found;
}
