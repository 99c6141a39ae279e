/** What is paused: workflows, queues, and the deployment as a whole. */
import { EVERY_QUEUE } from "../keys.ts";
import { textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
import { DATABASE_TIME_MS } from "./time.ts";

export interface Pause {
  kind: "workflow" | "queue" | "all";
  /** "" of all. */
  name: string;
  /** Of a workflow; `*` is every version. */
  version: string;
  /** `resuming`: taken back, its runs are being resumed. */
  state: "paused" | "resuming";
  who: string;
  reason: string;
  changedAtMs: number;
}

export const EVERY_VERSION = "*";

type Row = Pause & { [column: string]: unknown };

const LIST = {
  name: "pauses_list",
  text: `SELECT kind, name, version, state, who, reason, changed_at_ms AS "changedAtMs"
    FROM pauses ORDER BY kind, name, version`,
};
const PUT = {
  name: "pauses_put",
  text: `INSERT INTO pauses (kind, name, version, who, reason, changed_at_ms)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (kind, name, version) DO UPDATE SET state = 'paused', who = EXCLUDED.who,
      reason = EXCLUDED.reason, changed_at_ms = EXCLUDED.changed_at_ms
    WHERE pauses.state <> 'paused'`,
};
const RESUME = {
  name: "pauses_resume",
  text: `UPDATE pauses SET state = 'resuming', who = $4, changed_at_ms = ${DATABASE_TIME_MS}
    WHERE kind = $1 AND name = $2 AND version = $3 AND state = 'paused' RETURNING name`,
};
const REMOVE = {
  name: "pauses_remove",
  text: `DELETE FROM pauses WHERE kind = $1 AND name = $2 AND version = $3
    AND state = $4 RETURNING name`,
};
/** By the clock that has noted it: those who take pauses back, and supervisors, have many. */
const FORGET = {
  name: "pauses_forget",
  text: `DELETE FROM pauses WHERE kind = $1 AND name = $2 AND version = $3
    AND state = 'resuming' AND changed_at_ms <= ${DATABASE_TIME_MS} - $4`,
};

const UNNAMED = {
  name: "pauses_unnamed",
  text: `SELECT id FROM runs r WHERE id = ANY($1::text[]) AND NOT EXISTS (SELECT 1 FROM pauses p
      WHERE p.kind = 'workflow' AND p.name = r.workflow AND p.version IN ('*', r.version))`,
};

/** All of them: there are few. */
export async function listPauses(db: Queryable): Promise<Pause[]> {
  return db.query<Row>(LIST, []);
}

/** Puts a pause in force; one that is stays as it is. */
export async function putPause(db: Queryable, pause: Omit<Pause, "state">): Promise<void> {
  const { kind, name, version, who, reason, changedAtMs } = pause;
  await db.query(PUT, [kind, name, version, who, reason, changedAtMs]);
}

/** Takes a workflow's pause back; false: it is not in force. */
export async function resumePause(
  db: Queryable,
  pause: Pick<Pause, "kind" | "name" | "version" | "who">,
): Promise<boolean> {
  const { kind, name, version, who } = pause;
  return (await db.query(RESUME, [kind, name, version, who])).length === 1;
}

/** Removes a pause in this state; false: there is none. */
export async function removePause(
  db: Queryable,
  pause: Pick<Pause, "kind" | "name" | "version" | "state">,
): Promise<boolean> {
  const { kind, name, version, state } = pause;
  return (await db.query(REMOVE, [kind, name, version, state])).length === 1;
}

/** Removes a pause that was taken back so long ago, by the database's clock. */
export async function forgetPause(
  db: Queryable,
  pause: Pick<Pause, "kind" | "name" | "version">,
  agoMs: number,
): Promise<void> {
  await db.query(FORGET, [pause.kind, pause.name, pause.version, agoMs]);
}

/** Those of these runs whose workflow is neither paused nor being resumed. */
export async function withoutPause(db: Queryable, runIds: readonly string[]): Promise<string[]> {
  const rows = await db.query<{ id: string }>(UNNAMED, [textArray([...runIds])]);
  return rows.map(({ id }) => id);
}

/** The pause that stops the whole deployment; null: it is not stopped. */
export function stopOf(pauses: readonly Pause[]): Pause | null {
  return pauses.find(({ kind }) => kind === "all") ?? null;
}

/** What workers are told of these: names of queues, and EVERY_QUEUE. */
export function pausedQueues(pauses: readonly Pause[]): string[] {
  const names = pauses.flatMap(({ kind, name }) => (kind === "queue" ? [name] : []));
  return stopOf(pauses) === null ? names : [...names, EVERY_QUEUE];
}

/** Whether a workflow is paused by one of these. */
export function isPaused(pauses: readonly Pause[], workflow: string, version: string): boolean {
  return pauses.some(
    (pause) =>
      pause.kind === "workflow" &&
      pause.state === "paused" &&
      pause.name === workflow &&
      (pause.version === EVERY_VERSION || pause.version === version),
  );
}
