/** Workflows made known under their names, as `gavotte publish` does, for tests without a command line. */
import { canonicalJson, compile, type Json } from "../../compiler/index.ts";
import { publishDefinitions, type Database } from "../../sdk/postgres/index.ts";

/** Each is newer than the one before: a name means its newest. */
let atMs = 1000;

/** Publishes a workflow as the newest of its name; returns its hash. Throws if it has errors. */
export async function publish(db: Database, document: object): Promise<string> {
  const { ir, hash, tags, diagnostics } = compile({ document: document as Json });
  if (ir === null || hash === null) {
    throw new Error(`${JSON.stringify(document)} has errors: ${JSON.stringify(diagnostics)}`);
  }
  const about = { name: ir.name, version: ir.workflow_version, tags, createdAtMs: atMs++ };
  const text = canonicalJson(ir as unknown as Json);
  await publishDefinitions(db, [{ ...about, hash, ir: text, source: null }]);
  return hash;
}
