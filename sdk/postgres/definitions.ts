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
  createdAtMs: number;
}

type Row = Definition & { [column: string]: unknown };
const COLUMNS = `hash, name, version, ir, source, created_at_ms AS "createdAtMs"`;
const INSERT = {
  name: "definitions_insert",
  text: `INSERT INTO definitions (hash, name, version, ir, source, created_at_ms)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
    ON CONFLICT DO NOTHING`,
};
const BY_HASH = {
  name: "definitions_by_hash",
  text: `SELECT ${COLUMNS} FROM definitions WHERE hash = ANY($1::text[])`,
};
const BY_REF = {
  name: "definitions_by_ref",
  text: `SELECT ${COLUMNS} FROM definitions WHERE name = $1 AND ($2::text IS NULL OR version = $2)
    ORDER BY created_at_ms DESC, hash LIMIT 1`,
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
  // Sorted, so that two batches with the same new definitions lock them in the same order.
  const all = [...definitions].sort((a, b) => (a.hash < b.hash ? -1 : 1));
  if (all.length > 0) {
    await db.query(INSERT, [
      textArray(all.map((d) => d.hash)),
      textArray(all.map((d) => d.name)),
      textArray(all.map((d) => d.version)),
      textArray(all.map((d) => d.ir)),
      textArray(all.map((d) => d.source)),
      bigintArray(all.map((d) => d.createdAtMs)),
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

/** The newest definition of this name, and version unless null; null if there is none. */
export async function definitionByRef(
  db: Queryable,
  name: string,
  version: string | null,
): Promise<Definition | null> {
  return (await db.query<Row>(BY_REF, [name, version]))[0] ?? null;
}

/** The newest definitions, without their text. */
export async function listDefinitions(
  db: Queryable,
  limit: number,
): Promise<Omit<Definition, "ir" | "source">[]> {
  return db.query<Row>(LIST, [limit]);
}
