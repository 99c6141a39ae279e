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
  type ListedLetter,
} from "./postgres/index.ts";
import type { Note } from "./redis/pause-scripts.ts";
import { namespaceAgain } from "./run-namespaces.ts";

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
      ? this.#submitAgain(id, edit)
      : this.#redrive(letter.runId ?? "", [letter], note, edit);
  }

  /** Tries all that fit again, at most `limit`: letters of one run together. */
  async retryAll(filter: BulkFilter, note: Note): Promise<SettledLetter[]> {
    const letters = await listDeadLetters(this.#o.db, { ...filter, state: "open" });
    const settled: SettledLetter[] = [];
    const byRun = new Map<string, ListedLetter[]>();
    for (const letter of letters) {
      if (letter.kind === "submission") {
        settled.push(await this.#kept(letter, this.#submitAgain(letter.id, {})));
      } else {
        const runId = letter.runId ?? "";
        byRun.set(runId, [...(byRun.get(runId) ?? []), letter]);
      }
    }
    for (const [runId, of] of byRun) {
      const redriven = this.#redrive(runId, of, note, {});
      const [first] = of as [ListedLetter];
      const result = await this.#kept(first, redriven);
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

  async #drop({ id, kind, runId }: ListedLetter, { by, why }: Note): Promise<SettledLetter> {
    const outcome = `dropped by ${by ?? "somebody"}${why === undefined ? "" : `: ${why}`}`;
    await settleDeadLetter(this.#o.db, id, "dropped", outcome, this.#o.clock.nowMs());
    return { id, kind, runId, outcome };
  }

  /**
   * The letter's id is the idempotency key: repeated, it is the same new run. One that is refused
   * again has a letter of its own, which takes the place of this.
   */
  async #submitAgain(id: string, edit: { input?: Json }): Promise<SettledLetter> {
    const letter = await this.read(id);
    const request = { ...againOf(letter), ...edit };
    const idempotency_key = request.idempotency_key ?? `dead-letter:${id}`;
    const settle = (outcome: string): Promise<boolean> =>
      settleDeadLetter(this.#o.db, id, "retried", outcome, this.#o.clock.nowMs());
    try {
      const runId = await this.#o.submit({ ...request, idempotency_key });
      const outcome = `submitted again as run ${runId}`;
      await settle(outcome);
      return { id, kind: letter.kind, runId, outcome };
    } catch (error) {
      const next = await this.#letterOf(error);
      if (next === null || !(error instanceof GavotteError)) {
        throw error;
      }
      const outcome = `refused again: see dead letter ${next}`;
      await settle(outcome);
      const { code, message, details } = error;
      throw new GavotteError(code, `${message} (${outcome})`, { details, cause: error });
    }
  }

  /** Id of the letter that a refused submission has left; null: none, or it was not refused. */
  async #letterOf(error: unknown): Promise<string | null> {
    const { submission_id: entryId } = ((error as { details?: unknown }).details ?? {}) as {
      submission_id?: string;
    };
    const id = `submission-${entryId ?? ""}`;
    return (await readDeadLetter(this.#o.db, id)) === null ? null : id;
  }

  /** A letter whose retry fails says what has become of it; the others of a bulk go on. */
  async #kept(of: ListedLetter, work: Promise<SettledLetter>): Promise<SettledLetter> {
    try {
      return await work;
    } catch (error) {
      const { id, kind, runId } = of;
      const { code = "ERROR", message = String(error) } = error as {
        code?: string;
        message?: string;
      };
      const { outcome } = await this.read(id);
      return { id, kind, runId, outcome: outcome ?? "still open", error: { code, message } };
    }
  }

  async #redrive(
    runId: string,
    letters: readonly ListedLetter[],
    { by = "somebody", why }: Note,
    { input }: { input?: Json },
  ): Promise<SettledLetter> {
    const names = letters.map(({ node, scope }) => (scope ? `${node}@${scope}` : (node ?? "")));
    const [first] = letters as [ListedLetter];
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

/** The submission of a letter, as it came. Throws GV_BAD_SUBMISSION if it cannot be sent again. */
function againOf(letter: DeadLetter): SubmissionRequest {
  try {
    const payload = JSON.parse(letter.payload ?? "") as SubmissionRequest & { reply_to?: string };
    const { reply_to: _, run_id: __, namespace, ...request } = payload;
    const again = namespaceAgain(namespace ?? "");
    return again === "" ? request : { ...request, namespace: again };
  } catch (cause) {
    const message =
      `dead letter ${letter.id} is no JSON, or larger than a submission may be, ` +
      "and can never be accepted: drop it";
    throw new GavotteError("GV_BAD_SUBMISSION", message, { cause });
  }
}

function assertOpen({ id, state, outcome }: ListedLetter): void {
  if (state !== "open") {
    const what = outcome === null ? "" : ` (${outcome})`;
    const message = `dead letter ${id} is ${state} already${what}`;
    throw new GavotteError("GV_DEAD_LETTER_NOT_FOUND", message);
  }
}
