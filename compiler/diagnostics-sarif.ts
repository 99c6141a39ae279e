/**
 * Diagnostics as SARIF 2.1.0 (OASIS), which code hosts and editors show beside the lines.
 *
 * Regions count columns in UTF-16 units, as the run declares. Line 1, column 1 stands for files
 * that cannot be read at all.
 */
import { DIAGNOSTICS } from "./codes/index.ts";
import type { CodeSpec } from "./codes/code.ts";
import type { Diagnostic, DiagnosticCode, Range } from "./diagnostics.ts";

/** What SARIF is told of one file. */
export interface SarifFile {
  /** As it was named; backslashes and blanks are put into the form of a URI. */
  file: string;
  diagnostics: readonly Diagnostic[];
}

interface Region {
  startLine: number;
  startColumn: number;
  endLine: number;
  endColumn: number;
}

interface Location {
  id?: number;
  message?: { text: string };
  physicalLocation: { artifactLocation: { uri: string }; region: Region };
}

interface SarifResult {
  ruleId: DiagnosticCode;
  ruleIndex: number;
  level: "error" | "warning";
  message: { text: string };
  locations: Location[];
  relatedLocations?: Location[];
  partialFingerprints: { [name: string]: string };
  fixes?: object[];
}

/** The SARIF log of some files, as a JSON value. Only the codes that occur are in its rules. */
export function toSarif(files: readonly SarifFile[], version: string): object {
  const codes = new Set(files.flatMap(({ diagnostics }) => diagnostics.map((d) => d.code)));
  const rules = [...codes].toSorted();
  const results = files.flatMap(({ file, diagnostics }) =>
    diagnostics.map((d) => toResult(d, uriOf(file), rules)),
  );
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "gavotte",
            semanticVersion: version,
            rules: rules.map((code) => toRule(code)),
          },
        },
        columnKind: "utf16CodeUnits",
        artifacts: files.map(({ file }) => ({ location: { uri: uriOf(file) } })),
        results,
      },
    ],
  };
}

function toRule(code: DiagnosticCode): object {
  const spec: CodeSpec = DIAGNOSTICS[code];
  return {
    id: code,
    name: spec.title.replace(/[^A-Za-z0-9]+(.)?/g, (_, c: string | undefined) =>
      (c ?? "").toUpperCase(),
    ),
    shortDescription: { text: spec.title },
    fullDescription: { text: `${spec.meaning} ${spec.why}` },
    help: {
      text: `${spec.remedy}. \`gavotte explain ${code}\` shows an example.`,
      markdown: `${spec.meaning}\n\n${spec.why}\n\n**What to do:** ${spec.remedy}.`,
    },
    defaultConfiguration: { level: spec.severity },
  };
}

function toResult(d: Diagnostic, uri: string, rules: readonly DiagnosticCode[]): SarifResult {
  const text = d.hint === undefined ? d.message : `${d.message} (${d.hint})`;
  const result: SarifResult = {
    ruleId: d.code,
    ruleIndex: rules.indexOf(d.code),
    level: d.severity,
    message: { text },
    locations: [locationOf(d, uri)],
    // The line moves when something is written above it; the pointer mostly does not.
    partialFingerprints: { "codeAndPointer/v1": `${d.code}:${d.pointer}` },
  };
  if (d.related && d.related.length > 0) {
    result.relatedLocations = d.related.map((place, i) => ({
      id: i + 1,
      message: { text: place.message },
      ...locationOf(place, uri),
    }));
  }
  if (d.fix) {
    const deleted = { deletedRegion: regionOf(d.fix) };
    // Without `insertedContent` it is a deletion; an empty one is not needed.
    const replacement =
      d.fix.text === "" ? deleted : { ...deleted, insertedContent: { text: d.fix.text } };
    result.fixes = [
      {
        description: { text: d.hint ?? `write ${d.fix.text}` },
        artifactChanges: [{ artifactLocation: { uri }, replacements: [replacement] }],
      },
    ];
  }
  return result;
}

function locationOf(range: Range, uri: string): Location {
  return { physicalLocation: { artifactLocation: { uri }, region: regionOf(range) } };
}

function regionOf(range: Range): Region {
  return {
    startLine: range.line,
    startColumn: range.column,
    endLine: range.end_line,
    endColumn: range.end_column,
  };
}

/** A relative reference, or a file URI for absolute paths; `<stdin>` becomes `stdin`. */
function uriOf(file: string): string {
  const path = file.replaceAll("\\", "/").replace(/^<(.*)>$/, "$1");
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return path.startsWith("/") ? `file://${encoded}` : encoded;
}
