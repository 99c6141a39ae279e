/**
 * What is done about dead letters. One of a submission is submitted again. One of a token is retried
 * in its run: the run is redriven, and of its unhandled failures only those that are asked for are
 * undone (21 B8). The archiver marks those letters, in the transaction that makes the run live
 * again; so a letter says what became of it, whoever dies in between.
 */
import type { Json } from "../compiler/ir.ts";
import type { SubmissionRequest } from "./client-submit.ts";
import type { Clock } from "./clock.ts";
import { GavotteError } from "./errors.ts";
import type { Operations } from "./operations.ts";
import {
  listDeadLetters,
  readDeadLetter,
  settleDeadLetter,
  type Database,
  type DeadLetter,
  type DeadLetterFilter,
} from "./postgres/index.ts";
import type { Note } from "./redis/pause-scripts.ts";

export interface DeadLettersOptions {
  db: Database;
  clock: Clock;
  submit(this: void, request: SubmissionRequest): Promise<string>;
  operations: Operations;
}

/** What became of a letter. */
export interface SettledLetter {
  id: string;
  kind: DeadLetter["kind"];
  /** Its run; of a submission, the run that it became. */
  runId: string | null;
  outcome: string;
  /** Why it stays open. */
  error?: { code: string; message: string };
}

export type BulkFilter = Omit<DeadLetterFilter, "state">;

export class DeadLetters {
  readonly #o: DeadLettersOptions;

  constructor(options: DeadLettersOptions) {
    this.#o = options;
  }

  /** One letter. Throws GV_DEAD_LETTER_NOT_FOUND. */
  async read(id: string): Promise<DeadLetter> {
    const letter = await readDeadLetter(this.#o.db, id);
    if (letter === null) {
      const message = `there is no dead letter ${id}; "gavotte dlq list" shows those there are`;
      throw new GavotteError("GV_DEAD_LETTER_NOT_FOUND", message);
    }
    return letter;
  }

  /**
   * Tries a letter again, with another input if one is given. Throws GV_DEAD_LETTER_NOT_FOUND, what a
   * submission or a redrive throws.
   */
  async retry(id: string, note: Note, edit: { input?: Json } = {}): Promise<SettledLetter> {
    const letter = await this.read(id);
    assertOpen(letter);
    return letter.kind === "submission"
      ? this.#submitAgain(letter, edit)
      : this.#redrive(letter.runId ?? "", [letter], note, edit);
  }

  /** Tries all that fit again, at most `limit`: letters of one run together. */
  async retryAll(filter: BulkFilter, note: Note): Promise<SettledLetter[]> {
    const letters = await listDeadLetters(this.#o.db, { ...filter, state: "open" });
    const settled: SettledLetter[] = [];
    const byRun = new Map<string, DeadLetter[]>();
    for (const letter of letters) {
      if (letter.kind === "submission") {
        settled.push(await kept(letter, this.#submitAgain(letter, {})));
      } else {
        const runId = letter.runId ?? "";
        byRun.set(runId, [...(byRun.get(runId) ?? []), letter]);
      }
    }
    for (const [runId, of] of byRun) {
      const redriven = this.#redrive(runId, of, note, {});
      const [first] = of as [DeadLetter];
      const result = await kept(first, redriven);
      settled.push(...of.map(({ id }) => ({ ...result, id })));
    }
    return settled;
  }

  /** Marks a letter as dropped. Throws GV_DEAD_LETTER_NOT_FOUND. */
  async drop(id: string, note: Note): Promise<SettledLetter> {
    const letter = await this.read(id);
    assertOpen(letter);
    return this.#drop(letter, note);
  }

  /** Marks all that fit as dropped, at most `limit`. */
  async dropAll(filter: BulkFilter, note: Note): Promise<SettledLetter[]> {
    const letters = await listDeadLetters(this.#o.db, { ...filter, state: "open" });
    return Promise.all(letters.map((letter) => this.#drop(letter, note)));
  }

  async #drop({ id, kind, runId }: DeadLetter, { by, why }: Note): Promise<SettledLetter> {
    const outcome = `dropped by ${by ?? "somebody"}${why === undefined ? "" : `: ${why}`}`;
    await settleDeadLetter(this.#o.db, id, "dropped", outcome, this.#o.clock.nowMs());
    return { id, kind, runId, outcome };
  }

  /** The letter's id is the idempotency key: repeated, it is the same new run. */
  async #submitAgain(letter: DeadLetter, edit: { input?: Json }): Promise<SettledLetter> {
    const { id, kind } = letter;
    const request = { ...againOf(letter), ...edit };
    const idempotency_key = request.idempotency_key ?? `dead-letter:${id}`;
    const runId = await this.#o.submit({ ...request, idempotency_key });
    const outcome = `submitted again as run ${runId}`;
    await settleDeadLetter(this.#o.db, id, "retried", outcome, this.#o.clock.nowMs());
    return { id, kind, runId, outcome };
  }

  async #redrive(
    runId: string,
    letters: readonly DeadLetter[],
    { by = "somebody", why }: Note,
    { input }: { input?: Json },
  ): Promise<SettledLetter> {
    const names = letters.map(({ node, scope }) => (scope ? `${node}@${scope}` : (node ?? "")));
    const [first] = letters as [DeadLetter];
    if (input !== undefined && first.scope?.includes("#") === true) {
      const message =
        `dead letter ${first.id} is of an element of a map, whose elements run again together: ` +
        "retry it without another input, or redrive the run with another one (--input)";
      throw new GavotteError("GV_BAD_INPUT", message);
    }
    const { attempt } = await this.#o.operations.redrive(runId, {
      ...{ only: names, by },
      ...(why !== undefined && { why }),
      ...(input !== undefined && { inputs: { [names[0] ?? ""]: input } }),
    });
    const outcome = `run again in attempt ${attempt} of its run`;
    return { id: first.id, kind: "token", runId, outcome };
  }
}

/** A letter that cannot be settled stays open; the others of a bulk go on. */
async function kept(letter: DeadLetter, work: Promise<SettledLetter>): Promise<SettledLetter> {
  try {
    return await work;
  } catch (error) {
    const { id, kind, runId } = letter;
    const { code = "ERROR", message = String(error) } = error as {
      code?: string;
      message?: string;
    };
    return { id, kind, runId, outcome: "still open", error: { code, message } };
  }
}

/** The submission of a letter, as it came. Throws GV_BAD_SUBMISSION if it cannot be sent again. */
function againOf(letter: DeadLetter): SubmissionRequest {
  try {
    const payload = JSON.parse(letter.payload ?? "") as SubmissionRequest & { reply_to?: string };
    const { reply_to: _, run_id: __, ...request } = payload;
    return request;
  } catch (cause) {
    const message = `dead letter ${letter.id} is no JSON and can never be accepted; drop it`;
    throw new GavotteError("GV_BAD_SUBMISSION", message, { cause });
  }
}

function assertOpen({ id, state, outcome }: DeadLetter): void {
  if (state !== "open") {
    const what = outcome === null ? "" : ` (${outcome})`;
    const message = `dead letter ${id} is ${state} already${what}`;
    throw new GavotteError("GV_DEAD_LETTER_NOT_FOUND", message);
  }
}
