/**
 * `gavotte pause|resume RUN | --workflow NAME | --queue NAME`, `gavotte resume --all`, and `gavotte
 * pauses`.
 */
import type { Client } from "../../sdk/client.ts";
import { COMMON_QUEUE, GavotteError, unknownQueue, unknownWorkflow } from "../../sdk/internal.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { userName } from "../user-name.ts";
import { withClient } from "../with-client.ts";

export interface PauseFlags {
  /** Of resume: what `gavotte stop --all` has stopped. */
  all?: boolean;
  workflow?: string;
  queue?: string;
  as?: string;
  reason?: string;
}

/** Somebody may mean nodes of kind `parallel` alone, and stops what every run needs. */
const OF_ALL =
  "until it is resumed no map ends in the whole deployment, nor a run whose output is " +
  "computed, and what is settled by hand or over its time does not go on: gavotte resume --queue " +
  COMMON_QUEUE;

type Target =
  | { kind: "run"; id: string }
  | { kind: "workflow"; name: string; version?: string }
  | { kind: "queue"; name: string };

/** Stops dispatching; what is executing ends. */
export async function pause(
  context: Context,
  run: string | undefined,
  flags: PauseFlags,
): Promise<number> {
  const target = targetOf(run, flags);
  const note = noteOf(flags);
  return change(context, target, "paused", ({ operations }) =>
    target.kind === "run"
      ? operations.pause(target.id, note)
      : target.kind === "workflow"
        ? operations.pauseWorkflow(target, note)
        : operations.pauseQueue(target.name, note),
  );
}

/** Lets it go on. */
export async function resume(
  context: Context,
  run: string | undefined,
  flags: PauseFlags,
): Promise<number> {
  const note = noteOf(flags);
  if (flags.all === true) {
    return resumeAll(context, run, flags, note);
  }
  const target = targetOf(run, flags);
  return change(context, target, "resumed", ({ operations }) =>
    target.kind === "run"
      ? operations.resume(target.id, note)
      : target.kind === "workflow"
        ? operations.resumeWorkflow(target, note)
        : operations.resumeQueue(target.name),
  );
}

function resumeAll(
  context: Context,
  run: string | undefined,
  { workflow, queue }: PauseFlags,
  note: Note,
): Promise<number> {
  if ([run, workflow, queue].some((one) => one !== undefined)) {
    throw new GavotteError("GV_BAD_INPUT", "--all resumes what was stopped: name nothing else");
  }
  return withClient(context, async (client) => {
    await client.dispatch.resume(note);
    context.output.line("the deployment goes on");
    context.output.document({ state: "resumed" });
    return EXIT.done;
  });
}

/** Workflows and queues that are paused. */
export async function pauses(context: Context): Promise<number> {
  return withClient(context, async (client) => {
    const list = await client.operations.pauses();
    const rows = list.map(({ kind, name, version, state, who, reason, changedAtMs }) => {
      const what = kind === "all" ? "-" : version === "*" ? name : `${name}@${version}`;
      return [kind, what, state, new Date(changedAtMs).toISOString(), who, reason];
    });
    if (rows.length > 0) {
      context.output.table([["KIND", "NAME", "STATE", "SINCE", "BY", "REASON"], ...rows]);
    } else if (!context.output.json) {
      context.output.note("nothing is paused");
    }
    context.output.document({
      pauses: list.map(({ changedAtMs, ...pause }) => ({
        ...pause,
        changed_at: new Date(changedAtMs).toISOString(),
      })),
    });
    return EXIT.done;
  });
}

interface Note {
  by: string;
  why?: string;
}

/** Who acts: `--as`, else the user of this machine. */
export function noteOf(flags: { as?: string; reason?: string }): Note {
  return { by: flags.as ?? userName(), ...(flags.reason && { why: flags.reason }) };
}

async function change(
  context: Context,
  target: Target,
  state: "paused" | "resumed",
  work: (client: Client) => Promise<void>,
): Promise<number> {
  return withClient(context, async (client) => {
    await work(client);
    const warning = state === "paused" ? await warningOf(client, target) : null;
    if (warning !== null) {
      context.output.note(`warning: ${warning}`);
    }
    const name = target.kind === "run" ? target.id : `${target.kind} ${target.name}`;
    context.output.line(`${name} ${state}`);
    const told = warning === null ? {} : { warning };
    const { kind, ...rest } = target;
    context.output.document({ [kind]: "id" in rest ? rest.id : rest.name, state, ...told });
    return EXIT.done;
  });
}

/** What to say of a name that nobody knows, or that stops more than it says. */
async function warningOf({ db }: Client, target: Target): Promise<string | null> {
  switch (target.kind) {
    case "run":
      return null; // there is none: an error
    case "workflow":
      return unknownWorkflow(db, target);
    case "queue":
      return target.name === COMMON_QUEUE ? OF_ALL : unknownQueue(db, target.name);
  }
}

function targetOf(run: string | undefined, { workflow, queue }: PauseFlags): Target {
  const given = [run, workflow, queue].filter((one) => one !== undefined);
  if (given.length !== 1) {
    const message = "name one of: a run, --workflow NAME, --queue NAME";
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  if (run !== undefined) {
    return { kind: "run", id: run };
  }
  if (queue !== undefined) {
    return { kind: "queue", name: queue };
  }
  const [name = "", ...version] = (workflow ?? "").split("@");
  return { kind: "workflow", name, ...(version.length > 0 && { version: version.join("@") }) };
}
