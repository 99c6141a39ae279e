/** `gavotte dlq …`: tokens and submissions that could not be done, and what to do about them. */
import type { RunError } from "../../sdk/internal.ts";
import { errorIn } from "../../sdk/client-report.ts";
import type { DeadLetter } from "../../sdk/postgres/index.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readChoice, readLimit } from "../read-option.ts";
import { withClient } from "../with-client.ts";

const STATES = ["open", "retried", "dropped", "all"] as const;

interface Shown {
  id: string;
  kind: DeadLetter["kind"];
  state: DeadLetter["state"];
  run_id: string | null;
  node: string | null;
  scope: string | null;
  attempts: number | null;
  error: RunError | null;
  created_at: string;
}

/** Letters, newest first. */
export async function list(
  context: Context,
  flags: { state?: string; run?: string; limit?: string },
): Promise<number> {
  const limit = readLimit(flags.limit);
  const state = readChoice("--state", flags.state ?? "open", STATES);
  const filter = {
    limit,
    ...(state === "all" ? {} : { state }),
    ...(flags.run === undefined ? {} : { runId: flags.run }),
  };
  return withClient(context, async (client) => {
    const letters = (await client.deadLetters(filter)).map(shown);
    const rows = letters.map((letter) => {
      const { id, kind, state: now, run_id, node, error } = letter;
      return [id, kind, now, run_id ?? "-", node ?? "-", error?.code ?? "", letter.created_at];
    });
    if (rows.length > 0) {
      context.output.table([["ID", "KIND", "STATE", "RUN", "NODE", "ERROR", "CREATED"], ...rows]);
    } else if (!context.output.json) {
      context.output.note("no dead letters");
    }
    context.output.document({ dead_letters: letters });
    return EXIT.done;
  });
}

/** All about one letter, its payload included. */
export async function show(context: Context, id: string): Promise<number> {
  return withClient(context, async (client) => {
    const letter = await client.deadLetter(id);
    const all = { ...shown(letter), payload: letter.payload };
    for (const [name, value] of Object.entries(all)) {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      context.output.line(`${name.padEnd(12)}${text}`);
    }
    context.output.document(all);
    return EXIT.done;
  });
}

/** Tries a letter again, as Client.retryDeadLetter says. */
export async function retry(context: Context, id: string): Promise<number> {
  return withClient(context, async (client) => {
    const { runId, kind } = await client.retryDeadLetter(id);
    context.output.note(
      kind === "token"
        ? "its run has gone on without it, so this is a new run of the same workflow and input"
        : "submitted again",
    );
    context.output.line(runId);
    context.output.document({ dead_letter: id, kind, run_id: runId });
    return EXIT.done;
  });
}

/** Marks a letter as dropped. */
export async function drop(context: Context, id: string): Promise<number> {
  return withClient(context, async (client) => {
    await client.dropDeadLetter(id);
    context.output.line(`${id} dropped`);
    context.output.document({ dead_letter: id, state: "dropped" });
    return EXIT.done;
  });
}

function shown(letter: DeadLetter): Shown {
  const { id, kind, state, runId: run_id, node, scope, attempts, createdAtMs } = letter;
  const created_at = new Date(createdAtMs).toISOString();
  return {
    id,
    kind,
    state,
    run_id,
    node,
    scope,
    attempts,
    error: errorIn(letter.error),
    created_at,
  };
}
