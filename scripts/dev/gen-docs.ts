/** Writes docs/diagnostics.md from the registry of codes, and the schema of workflow files. */
import { diagnosticsPage } from "../../compiler/explain.ts";
import { publishedSchema } from "../../compiler/published-schema.ts";

/** The generated files by their path from the root of the repository. */
export function generateDocs(): { [path: string]: string } {
  return {
    "docs/diagnostics.md": diagnosticsPage(),
    "schemas/workflow.schema.json": `${JSON.stringify(publishedSchema(), null, 2)}\n`,
  };
}
