/** A diagnostic code explained, for terminals and for docs/diagnostics.md. */
import { DIAGNOSTICS } from "./codes/index.ts";
import type { CodeSpec, Example } from "./codes/code.ts";
import type { DiagnosticCode } from "./codes/index.ts";

/** Lines of an example that are shown; some need hundreds of nodes to be wrong. */
const EXAMPLE_LINES_MAX = 16;

/** The codes with their severities and titles, in order. */
export function listCodes(): { code: DiagnosticCode; severity: string; title: string }[] {
  return Object.entries<CodeSpec>(DIAGNOSTICS)
    .map(([code, { severity, title }]) => ({ code: code as DiagnosticCode, severity, title }))
    .sort((a, b) => (a.code < b.code ? -1 : 1));
}

/** Whether a text is a code; in any case of letters. */
export function findCode(text: string): DiagnosticCode | undefined {
  return listCodes().find(({ code }) => code === text.toUpperCase())?.code;
}

/** A code as a section of Markdown, its heading of the given level. */
export function explainCode(code: DiagnosticCode, level = 1): string {
  const spec: CodeSpec = DIAGNOSTICS[code];
  return [
    `${"#".repeat(level)} ${code}: ${spec.title}`,
    `${spec.severity === "error" ? "Error" : "Warning"}. ${spec.meaning}`,
    `**Why it matters.** ${spec.why}`,
    `**What to do.** ${capitalise(spec.remedy)}.`,
    example("Wrong", spec.wrong),
    example("Right", spec.right),
  ].join("\n\n");
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function example(title: string, given: Example): string {
  const { text, limits } = typeof given === "string" ? { text: given, limits: null } : given;
  const under =
    limits === null
      ? ""
      : ` (under the limit ${Object.entries(limits)
          .map(([name, value]) => `\`${name}: ${value}\``)
          .join(", ")})`;
  // A control character shown as itself would be no text either.
  const lines = text.trim().replaceAll("\u0000", "\\0").split("\n");
  const left = lines.length - EXAMPLE_LINES_MAX;
  const shown =
    left <= 0 ? lines : [...lines.slice(0, EXAMPLE_LINES_MAX), `# … ${left} more lines`];
  const language = text.startsWith("{") ? "json" : "yaml";
  return `${title}${under}:\n\n\`\`\`${language}\n${shown.join("\n")}\n\`\`\``;
}

/** All codes, as the page that is committed. */
export function diagnosticsPage(): string {
  const rows = listCodes().map(
    ({ code, severity, title }) =>
      `| [${code}](#${anchor(code, title)}) | ${severity} | ${title} |`,
  );
  const sections = listCodes().map(({ code }) => explainCode(code, 2));
  return [
    "# Diagnostics",
    "<!-- Generated from compiler/codes/ (npm run gen). Do not edit. -->",
    "What the compiler says of a workflow file. Codes never change their meaning. An error refuses " +
      "the file, a warning does not, unless `validate --strict` asks for it. `gavotte explain CODE` " +
      "shows the same in a terminal; [cli.md](cli.md) describes the forms of output.",
    "GV1xxx concern the document, GV2xxx the graph, GV3xxx expressions, GV4xxx node types, GV5xxx " +
      "other dialects, GV6xxx what is allowed but probably not meant.",
    ["| code | severity | |", "| --- | --- | --- |", ...rows].join("\n"),
    ...sections,
  ]
    .join("\n\n")
    .concat("\n");
}

/** As GitHub makes them from headings. */
function anchor(code: string, title: string): string {
  return `${code}: ${title}`
    .toLowerCase()
    .replace(/[^a-z0-9 _-]/g, "")
    .replaceAll(" ", "-");
}
