/** Writes docs/diagnostics.md from the registry of codes. */
import { diagnosticsPage } from "../../compiler/explain.ts";

/** The generated files by their path from the root of the repository. */
export function generateDocs(): { [path: string]: string } {
  return { "docs/diagnostics.md": diagnosticsPage() };
}
