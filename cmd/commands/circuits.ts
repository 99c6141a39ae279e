/** `gavotte circuits`, and `gavotte circuits open|close NAME`. */
import type { CircuitView } from "../../sdk/internal.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readAge, readChoice } from "../read-option.ts";
import { withClient } from "../with-client.ts";
import { noteOf } from "./pause.ts";

export interface CircuitFlags {
  for?: string;
  as?: string;
  reason?: string;
}

/** Lists circuits with trouble; or opens or closes one whatever its executions come to. */
export async function circuits(
  context: Context,
  [action, name]: string[],
  flags: CircuitFlags,
): Promise<number> {
  if (action === undefined) {
    return list(context);
  }
  const order = readChoice("the first argument", action, ["open", "close"]);
  if (name === undefined || name === "") {
    throw new GavotteError("GV_BAD_INPUT", `circuits ${order} needs the name of a circuit`);
  }
  if (order === "close" && flags.for !== undefined) {
    throw new GavotteError("GV_BAD_INPUT", "--for belongs to circuits open");
  }
  const forMs = flags.for === undefined ? null : readAge("--for", flags.for);
  const state = order === "open" ? "open" : "closed";
  return withClient(context, async (client) => {
    if (order === "open") {
      await client.circuits.open(name, { ...noteOf(flags), forMs });
    } else {
      await client.circuits.close(name, noteOf(flags));
    }
    context.output.line(`circuit ${name} ${state}`);
    context.output.document({ circuit: name, state });
    return EXIT.done;
  });
}

function list(context: Context): Promise<number> {
  return withClient(context, async (client) => {
    const found = await client.circuits.list();
    if (found.length > 0) {
      context.output.table([
        ["CIRCUIT", "STATE", "FAILURES", "OPEN UNTIL", "WAITING"],
        ...found.map((view) => [
          view.name,
          view.state,
          `${view.failures}`,
          view.byHand ? "closed by hand" : (untilText(view) ?? "-"),
          `${view.waiting}`,
        ]),
      ]);
    } else if (!context.output.json) {
      context.output.note("no circuit has had failures lately");
    }
    context.output.document({
      circuits: found.map((view) => ({
        ...{ name: view.name, state: view.state, failures: view.failures },
        ...{ until: untilText(view), by_hand: view.byHand, waiting: view.waiting },
      })),
    });
    return EXIT.done;
  });
}

function untilText({ untilMs }: CircuitView): string | null {
  return untilMs === null ? null : new Date(untilMs).toISOString();
}
