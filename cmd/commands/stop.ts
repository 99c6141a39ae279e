/** `gavotte stop --all`: nothing begins in the whole deployment until `gavotte resume --all`. */
import { GavotteError } from "../../sdk/errors.ts";
import type { UnderWay } from "../../sdk/internal.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { formatMs } from "../output.ts";
import { readAge } from "../read-option.ts";
import { withClient } from "../with-client.ts";
import { noteOf } from "./pause.ts";

export interface StopFlags {
  all?: boolean;
  wait?: string;
  as?: string;
  reason?: string;
}

/** 0: nothing is executed any more; 1: it is stopped, and something is, still. */
export async function stop(context: Context, flags: StopFlags): Promise<number> {
  if (flags.all !== true) {
    const message = "stop ends all dispatching in the deployment: say --all, or see pause";
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  const waitMs = readAge("--wait", flags.wait ?? "60s");
  const { values } = await context.config();
  return withClient(context, async (client) => {
    await client.dispatch.stop(noteOf(flags));
    context.output.line('stopped: nothing more begins until "gavotte resume --all"');
    let told = "";
    const left = await client.dispatch.drained({
      ...{ leaseMs: values.lease_ms, waitMs },
      onLook(state) {
        const text = textOf(state);
        if (text !== told && state.executing.size + state.reading.size > 0) {
          context.output.note(text);
        }
        told = text;
      },
    });
    const executing = Object.fromEntries(left.executing);
    const isDrained = left.executing.size === 0 && left.reading.size === 0;
    context.output.line(
      isDrained ? "nothing is being executed" : `after ${formatMs(waitMs)}: ${textOf(left)}`,
    );
    context.output.document({ state: "stopped", drained: isDrained, executing });
    return isDrained ? EXIT.done : EXIT.failed;
  });
}

function textOf({ executing, reading }: UnderWay): string {
  const parts = [...executing].map(([worker, tokens]) => `${worker} (${tokens})`);
  const tokens = [...executing.values()].reduce((sum, one) => sum + one, 0);
  return tokens > 0
    ? `${tokens} steps are still being executed: ${parts.join(", ")}`
    : `being told: ${[...reading].join(", ")}`;
}
