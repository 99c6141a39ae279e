/** Writes what of the documents is made of registries - codes, metrics -, and the schemas of files. */
import { readFileSync } from "node:fs";
import { diagnosticsPage } from "../../compiler/explain.ts";
import { publishedSchema, withoutOurKeywords } from "../../compiler/published-schema.ts";
import { withMetricsTables } from "../../cmd/metrics/table.ts";
import { MOCKS_SCHEMA } from "../../cmd/simulation/mocks-schema.ts";
import { TEST_SCHEMA } from "../../cmd/simulation/test-schema.ts";

const METRICS_PAGE = new URL("../../docs/metrics.md", import.meta.url);

/** The generated files by their path from the root of the repository. */
export function generateDocs(): { [path: string]: string } {
  return {
    "docs/diagnostics.md": diagnosticsPage(),
    "docs/metrics.md": withMetricsTables(readFileSync(METRICS_PAGE, "utf8")),
    "schemas/workflow.schema.json": text(publishedSchema()),
    "schemas/mocks.schema.json": text(withoutOurKeywords(MOCKS_SCHEMA)),
    "schemas/test.schema.json": text(withoutOurKeywords(TEST_SCHEMA)),
  };
}

function text(schema: unknown): string {
  return `${JSON.stringify(schema, null, 2)}\n`;
}
