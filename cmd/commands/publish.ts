/** `gavotte publish FILE…`: stores workflows, so that runs and other workflows can name them. */
import { canonicalJson, type Diagnostic, type Json } from "../../compiler/index.ts";
import {
  definitionByRef,
  publishDefinitions,
  type Definition,
  type Queryable,
} from "../../sdk/postgres/index.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readWorkflow, tellDiagnostics } from "../read-workflow.ts";
import { withClient } from "../with-client.ts";

/** Publishes all files, or none if one has errors; each becomes the newest of its name. */
export async function publish(
  context: Context,
  files: readonly string[],
  flags: { dialect?: unknown } = {},
): Promise<number> {
  const definitions = new Map<string, Definition>();
  const diagnostics: Diagnostic[] = [];
  let invalid = false;
  for (const path of files) {
    const file = await readWorkflow(context, path, flags);
    await tellDiagnostics(context, file);
    const { ir, hash, tags } = file.result;
    diagnostics.push(...file.result.diagnostics);
    if (ir === null || hash === null) {
      invalid = true;
      continue;
    }
    const about = { name: ir.name, version: ir.workflow_version, tags, createdAtMs: Date.now() };
    const text = canonicalJson(ir as unknown as Json);
    if (definitions.delete(hash)) {
      context.output.note(`${path}: another file holds the same workflow; this one's tags count`);
    }
    definitions.set(hash, { ...about, hash, ir: text, source: file.text });
  }
  if (invalid) {
    const message = "nothing was published: a file has errors";
    context.output.document({ error: { code: "GV_WORKFLOW_INVALID", message }, diagnostics });
    return EXIT.failed;
  }
  return withClient(context, async (_client, stack) => {
    for (const definition of definitions.values()) {
      await tellReplaced(context, stack.db, definition);
    }
    await publishDefinitions(stack.db, [...definitions.values()]);
    const published = [...definitions.values()].map(({ name, version, tags = [], hash }) => {
      const marks = tags.length === 0 ? "" : ` (${tags.join(", ")})`;
      context.output.line(`${name}${version === "" ? "" : `@${version}`}${marks} ${hash}`);
      return { name, version, tags, hash };
    });
    context.output.document({ published });
    return EXIT.done;
  });
}

/** Runs that name a version get the newest of it, so another one is replaced: nobody else says so. */
async function tellReplaced(
  context: Context,
  db: Queryable,
  { name, version, hash }: Definition,
): Promise<void> {
  const before = version === "" ? null : await definitionByRef(db, name, version);
  if (before?.version !== version || before.hash === hash) return;
  context.output.note(
    `warning: ${name}@${version} was another workflow (${before.hash}); the name means this one ` +
      "from now on, runs under way keep theirs. For both to be there give it a version of its own",
  );
}
