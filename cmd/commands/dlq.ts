/** `gavotte dlq …`: tokens and submissions that could not be done, and what to do about them. */
import type { BulkFilter, Client, SettledLetter } from "../../sdk/client.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { RunError } from "../../sdk/internal.ts";
import { errorIn } from "../../sdk/client-report.ts";
import type { DeadLetter, ListedLetter } from "../../sdk/postgres/index.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readInput } from "../read-input.ts";
import { readAge, readChoice, readLimit } from "../read-option.ts";
import { withClient } from "../with-client.ts";
import { noteOf } from "./pause.ts";

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
  /** What became of it. */
  outcome: string | null;
}

export interface LetterFlags {
  run?: string;
  workflow?: string;
  node?: string;
  code?: string;
  olderThan?: string;
  limit?: string;
}

/** Letters, newest first. */
export async function list(
  context: Context,
  flags: LetterFlags & { state?: string },
): Promise<number> {
  const state = readChoice("--state", flags.state ?? "open", STATES);
  const filter = { ...filterOf(flags), ...(state === "all" ? {} : { state }) };
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

export interface SettleFlags extends LetterFlags {
  all?: boolean;
  input?: string;
  as?: string;
  reason?: string;
}

/** Tries a letter again, or all that fit, as DeadLetters says. */
export async function retry(
  context: Context,
  id: string | undefined,
  flags: SettleFlags,
): Promise<number> {
  const isBulk = assertTarget(id, flags);
  const edit = flags.input === undefined ? {} : { input: await readInput(context, flags.input) };
  return settle(context, ({ letters }) =>
    isBulk
      ? letters.retryAll(filterOf(flags), noteOf(flags))
      : letters.retry(id ?? "", noteOf(flags), edit).then((one) => [one]),
  );
}

/** Marks a letter, or all that fit, as dropped. */
export async function drop(
  context: Context,
  id: string | undefined,
  flags: SettleFlags,
): Promise<number> {
  const isBulk = assertTarget(id, flags);
  return settle(context, ({ letters }) =>
    isBulk
      ? letters.dropAll(filterOf(flags), noteOf(flags))
      : letters.drop(id ?? "", noteOf(flags)).then((one) => [one]),
  );
}

async function settle(
  context: Context,
  work: (client: Client) => Promise<SettledLetter[]>,
): Promise<number> {
  return withClient(context, async (client) => {
    const settled = await work(client);
    for (const { id, outcome, error } of settled) {
      context.output.line(`${id} ${outcome}`);
      if (error !== undefined) {
        context.output.note(`${id}: ${error.code}: ${error.message}`);
      }
    }
    const shownLetters = settled.map(({ runId: run_id, ...letter }) => ({ ...letter, run_id }));
    context.output.document({ dead_letters: shownLetters });
    return settled.some(({ error }) => error !== undefined) ? EXIT.failed : EXIT.done;
  });
}

/** Whether all that fit are meant. Throws GV_BAD_INPUT unless either they or one letter are named. */
function assertTarget(id: string | undefined, flags: SettleFlags): boolean {
  const { all, run, workflow, node, code, olderThan } = flags;
  const isBulk = all === true || [run, workflow, node, code, olderThan].some(Boolean);
  if (isBulk === (id !== undefined)) {
    const message =
      "name one letter, or which: --all, --run, --workflow, --node, --code, --older-than";
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  if (isBulk && flags.input !== undefined) {
    throw new GavotteError("GV_BAD_INPUT", "--input is the input of one letter: name it");
  }
  return isBulk;
}

function filterOf(flags: LetterFlags): BulkFilter {
  const { run, workflow, node, code, olderThan } = flags;
  return {
    limit: readLimit(flags.limit),
    ...(run !== undefined && { runId: run }),
    ...(workflow !== undefined && { workflow }),
    ...(node !== undefined && { node }),
    ...(code !== undefined && { code }),
    ...(olderThan !== undefined && { olderThanMs: readAge("--older-than", olderThan) }),
  };
}

function shown(letter: ListedLetter): Shown {
  const { id, kind, state, runId: run_id, node, scope, attempts, createdAtMs, outcome } = letter;
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
    outcome,
  };
}
