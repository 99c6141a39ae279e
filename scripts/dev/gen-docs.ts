/** Writes docs/diagnostics.md from the registry of codes, and the schemas of files. */
import { diagnosticsPage } from "../../compiler/explain.ts";
import { publishedSchema, withoutOurKeywords } from "../../compiler/published-schema.ts";
import { MOCKS_SCHEMA } from "../../cmd/simulation/mocks-schema.ts";
import { TEST_SCHEMA } from "../../cmd/simulation/test-schema.ts";

/** The generated files by their path from the root of the repository. */
export function generateDocs(): { [path: string]: string } {
  return {
    "docs/diagnostics.md": diagnosticsPage(),
    "schemas/workflow.schema.json": text(publishedSchema()),
    "schemas/mocks.schema.json": text(withoutOurKeywords(MOCKS_SCHEMA)),
    "schemas/test.schema.json": text(withoutOurKeywords(TEST_SCHEMA)),
  };
}

function text(schema: unknown): string {
  return `${JSON.stringify(schema, null, 2)}\n`;
}
