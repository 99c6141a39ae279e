/** Who has paused a run, and why: of the run its journal tells, of its workflow the list of pauses. */
import { PAUSE_CAUSES } from "../../sdk/internal.ts";
import {
  EVERY_VERSION,
  listPauses,
  type ArchivedTransition,
  type Database,
  type RunRow,
} from "../../sdk/postgres/index.ts";
import type { Reason } from "../explain.ts";

const PAUSES: ReadonlySet<string> = new Set(["run.paused", "run.resumed"]);

/** The same reasons; one that says that it is paused also says by whom. */
export async function tellPauses(
  db: Database,
  row: RunRow,
  journal: readonly ArchivedTransition[],
  reasons: readonly Reason[],
): Promise<Reason[]> {
  if (!reasons.some(({ kind }) => kind === "paused")) {
    return [...reasons];
  }
  const own = notesOf(journal);
  const pause = (await listPauses(db)).find(
    ({ kind, name, version }) =>
      kind === "workflow" &&
      name === row.workflow &&
      (version === EVERY_VERSION || version === row.version),
  );
  return reasons.map((reason): Reason => {
    if (reason.kind !== "paused") {
      return reason;
    }
    const notes = [...reason.causes].map((cause) =>
      cause !== PAUSE_CAUSES.workflow
        ? (own.get(cause) ?? "")
        : pause === undefined
          ? ""
          : `${row.workflow} was paused${noteText(pause.who, pause.reason)}`,
    );
    return { ...reason, text: [reason.text, ...notes.filter((note) => note !== "")].join("; ") };
  });
}

/** The same pages; what `tellPauses` asks for of them is added to `pauses`. */
export async function* notingPauses(
  pages: AsyncIterable<ArchivedTransition[]>,
  pauses: ArchivedTransition[],
): AsyncGenerator<ArchivedTransition[]> {
  for await (const page of pages) {
    pauses.push(...page.filter(({ transition: { e } }) => PAUSES.has(e)));
    yield page;
  }
}

/** By cause: who has paused the run last. */
function notesOf(journal: readonly ArchivedTransition[]): Map<string, string> {
  const notes = new Map<string, string>();
  let before = "";
  for (const { transition: t } of journal) {
    if (PAUSES.has(t.e)) {
      const causes = t.ps ?? "";
      const note = noteText(t.by, t.why);
      for (const cause of causes) {
        if (!before.includes(cause)) {
          notes.set(cause, note === "" ? "" : `it was paused${note}`);
        }
      }
      before = causes;
    }
  }
  return notes;
}

/** " by ann (look)" */
export function noteText(who = "", why = ""): string {
  return `${who === "" ? "" : ` by ${who}`}${why === "" ? "" : ` (${why})`}`;
}
