/**
 * The rights of the role that the engine connects as, where it is not the schema's owner. What has
 * happened it can add to and read, and nothing else: the journal, the audit, the decisions, the ends
 * of attempts. Ended runs it deletes by calling `gv_delete_trees`, which runs by the owner's rights.
 */
import pg from "pg";
import { GavotteError } from "../errors.ts";
import { databaseError, type Database } from "./connect.ts";

const APPEND = "SELECT, INSERT";
const CHANGE = "SELECT, INSERT, UPDATE";
const ALL = "SELECT, INSERT, UPDATE, DELETE";

/** Every table and view of the schema; grants.test.ts compares. */
export const GRANTS: { readonly [relation: string]: string } = {
  schema_migrations: "SELECT",
  ...{ journal: APPEND, audit: APPEND, approval_decisions: APPEND, run_attempts: APPEND },
  ...{ deployment: CHANGE, definitions: CHANGE, runs: CHANGE, cursors: CHANGE, approvals: CHANGE },
  ...{ dead_letters: ALL, workers: ALL, pauses: ALL, blobs: ALL, run_blobs: ALL },
  ...{ admissions: ALL, run_namespaces: ALL },
  ...{ event_log: "SELECT", node_executions: "SELECT", run_statistics: "SELECT" },
  active_runs: "SELECT",
};

const DELETE_TREES = "gv_delete_trees(text[], bigint, bigint)";
const NO_SUCH_ROLE = "42704";

/**
 * Gives a role what the engine needs, and takes from it what it does not; harmless to repeat, and
 * necessary after an upgrade that adds tables. Throws GV_BAD_INPUT if there is no such role.
 */
export async function grantTo(db: Database, role: string): Promise<void> {
  const name = pg.escapeIdentifier(role);
  const relations = Object.keys(GRANTS).join(", ");
  const texts = [
    `REVOKE ALL ON ${relations} FROM ${name}`,
    ...Object.entries(GRANTS).map(
      ([relation, rights]) => `GRANT ${rights} ON ${relation} TO ${name}`,
    ),
    `GRANT EXECUTE ON FUNCTION ${DELETE_TREES} TO ${name}`,
  ];
  try {
    await db.transaction(async (tx) => {
      const [here] = await tx.query<{ schema: string }>({
        name: "grants_schema",
        text: "SELECT quote_ident(current_schema()) AS schema",
      });
      texts.unshift(`GRANT USAGE ON SCHEMA ${here?.schema ?? "public"} TO ${name}`);
      for (const [i, text] of texts.entries()) {
        await tx.query({ name: `grants_${i}_${role}`, text });
      }
    });
  } catch (error) {
    if ((error as { code?: unknown }).code === NO_SUCH_ROLE) {
      const message = `there is no role "${role}"; make it first: CREATE ROLE ${name} LOGIN`;
      throw new GavotteError("GV_BAD_INPUT", message, { cause: error });
    }
    throw databaseError(error, "grant");
  }
}
