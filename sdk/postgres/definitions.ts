/** Compiled workflows, by the hash of their IR. */
import { bigintArray, textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";

export interface Definition {
  hash: string;
  name: string;
  version: string;
  /** IR as canonical JSON text. */
  ir: string;
  /** The workflow as its author wrote it, null if unknown. */
  source: string | null;
  /** Words that references may name it by, besides its version. */
  tags?: readonly string[];
  createdAtMs: number;
}

/** A reference as it stands in a file: `name`, or `name@x`. */
export interface WorkflowRef {
  name: string;
  /** A version, a tag, or `latest`; null: the newest. */
  version: string | null;
}

/** Reads `name` or `name@x`. */
export function parseWorkflowRef(text: string): WorkflowRef {
  const at = text.lastIndexOf("@");
  return at > 0
    ? { name: text.slice(0, at), version: text.slice(at + 1) }
    : { name: text, version: null };
}

/** A definition without its texts, which may be large. */
export type DefinitionName = Omit<Definition, "ir" | "source">;

type Row = Definition & { [column: string]: unknown };
type NameRow = DefinitionName & { [column: string]: unknown };
const COLUMNS = `hash, name, version, ir, source, tags, created_at_ms AS "createdAtMs"`;
const INTO = `INSERT INTO definitions (hash, name, version, ir, source, created_at_ms, tags)
    SELECT hash, name, version, ir, source, at, ARRAY(SELECT json_array_elements_text(tags::json))
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
      $7::text[]) AS u(hash, name, version, ir, source, at, tags)`;
const INSERT = { name: "definitions_insert", text: `${INTO} ON CONFLICT DO NOTHING` };
const PUBLISH = {
  name: "definitions_publish",
  text: `${INTO} ON CONFLICT (hash) DO UPDATE
    SET created_at_ms = EXCLUDED.created_at_ms, tags = EXCLUDED.tags, source = EXCLUDED.source`,
};
const BY_HASH = {
  name: "definitions_by_hash",
  text: `SELECT ${COLUMNS} FROM definitions WHERE hash = ANY($1::text[])`,
};
const BY_REF = {
  name: "definitions_by_ref",
  text: `SELECT hash, name, version, tags, created_at_ms AS "createdAtMs" FROM definitions
    WHERE name = $1
      AND ($2::text IS NULL OR version = $2 OR $2 = ANY(tags) OR $2 = 'latest')
    ORDER BY COALESCE(version = $2, false) DESC, COALESCE($2 = ANY(tags), false) DESC,
      created_at_ms DESC, hash LIMIT 1`,
};
/** With the bodies of maps, which name queues of their own. */
const QUEUES = {
  name: "definitions_queues",
  text: `WITH RECURSIVE graphs(hash, graph) AS (
      SELECT hash, ir::json FROM definitions WHERE hash = ANY($1::text[])
      UNION ALL SELECT hash, node -> 'body' FROM graphs, json_array_elements(graph -> 'nodes') AS node
      WHERE node -> 'body' IS NOT NULL)
    SELECT hash, array_agg(DISTINCT queue) AS queues
    FROM graphs, json_array_elements_text(graph -> 'queues') AS queue GROUP BY hash`,
};
const LIST = {
  name: "definitions_list",
  text: `SELECT hash, name, version, created_at_ms AS "createdAtMs" FROM definitions
    ORDER BY created_at_ms DESC, hash LIMIT $1`,
};

/** Stores definitions; those already there stay as they are. */
export async function insertDefinitions(
  db: Queryable,
  definitions: readonly Definition[],
): Promise<void> {
  await store(db, INSERT, definitions);
}

/**
 * Stores definitions as the newest of their names, also those that were there before. Of several
 * with one hash the last is stored: a statement changes no row twice.
 */
export async function publishDefinitions(
  db: Queryable,
  definitions: readonly Definition[],
): Promise<void> {
  const byHash = new Map(definitions.map((definition) => [definition.hash, definition]));
  await store(db, PUBLISH, [...byHash.values()]);
}

async function store(
  db: Queryable,
  statement: { name: string; text: string },
  definitions: readonly Definition[],
): Promise<void> {
  // Sorted, so that two batches with the same new definitions lock them in the same order.
  const all = [...definitions].sort((a, b) => (a.hash < b.hash ? -1 : 1));
  if (all.length > 0) {
    await db.query(statement, [
      textArray(all.map((d) => d.hash)),
      textArray(all.map((d) => d.name)),
      textArray(all.map((d) => d.version)),
      textArray(all.map((d) => d.ir)),
      textArray(all.map((d) => d.source)),
      bigintArray(all.map((d) => d.createdAtMs)),
      textArray(all.map((d) => JSON.stringify(d.tags ?? []))),
    ]);
  }
}

/** The definitions with these hashes, in no order; unknown ones are missing. */
export async function definitionsByHash(
  db: Queryable,
  hashes: readonly string[],
): Promise<Definition[]> {
  return hashes.length === 0 ? [] : db.query<Row>(BY_HASH, [textArray(hashes)]);
}

/**
 * The definition that a reference means: with a version that one, else the newest that carries it as
 * a tag; `latest` or null: the newest of the name. Null if there is none. Of several definitions of
 * one version it is the newest. Without its texts: who asks has mostly kept them by their hash.
 */
export async function definitionByRef(
  db: Queryable,
  name: string,
  version: string | null,
): Promise<DefinitionName | null> {
  return (await db.query<NameRow>(BY_REF, [name, version]))[0] ?? null;
}

/** Names of the queues of these definitions; those that are unknown, or have none, are missing. */
export async function queuesByHash(
  db: Queryable,
  hashes: readonly string[],
): Promise<Map<string, string[]>> {
  const rows =
    hashes.length === 0
      ? []
      : await db.query<{ hash: string; queues: string[] }>(QUEUES, [textArray(hashes)]);
  return new Map(rows.map(({ hash, queues }) => [hash, queues]));
}

/** The newest definitions, without their text. */
export async function listDefinitions(db: Queryable, limit: number): Promise<DefinitionName[]> {
  return db.query<NameRow>(LIST, [limit]);
}
