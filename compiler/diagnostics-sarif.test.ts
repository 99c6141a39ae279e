import { createRequire } from "node:module";
import { default as Ajv04 } from "ajv-draft-04";
import { describe, expect, it } from "vitest";
import { compile } from "./index.ts";
import { compileInvalid, INVALID_FILES } from "./invalid.fixture.ts";
import { toSarif } from "./report.ts";

const require = createRequire(import.meta.url);
const schema = require("@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json") as object;
const validate = new Ajv04.default({
  ...{ strict: false, validateFormats: false },
  // One of its patterns is none under the rules of Unicode patterns.
  unicodeRegExp: false,
}).compile(schema);

type Log = {
  runs: {
    tool: { driver: { rules: { id: string; defaultConfiguration: { level: string } }[] } };
    artifacts: { location: { uri: string } }[];
    results: { ruleId: string; ruleIndex: number; level: string }[];
  }[];
};

function log(text: string, file: string): Log["runs"][number] {
  const { diagnostics } = compile({ text, file });
  const run = (toSarif([{ file, diagnostics }], "1.2.3") as Log).runs[0];
  if (!run) throw new Error("no run");
  return run;
}

describe("SARIF", () => {
  it("of all invalid files fits the schema of the standard", () => {
    const files = INVALID_FILES.map((file) => ({
      file,
      diagnostics: compileInvalid(file).diagnostics,
    }));
    const valid = validate(toSarif(files, "1.2.3"));
    expect(validate.errors ?? []).toEqual([]);
    expect(valid).toBe(true);
  });

  it("of no problems fits it too", () => {
    expect(validate(toSarif([{ file: "w.json", diagnostics: [] }], "1.2.3"))).toBe(true);
  });

  const text = "name: w\nnodes:\n  - { id: a, type: functoin }\n  - { id: a, type: noop }\n";

  it("has a rule for each code that occurs, and results that point to theirs", () => {
    const { tool, results } = log(text, "w.yaml");
    const { rules } = tool.driver;
    expect(rules.map((rule) => rule.id)).toEqual(["GV1014", "GV4001"]);
    for (const { ruleId, ruleIndex, level } of results) {
      expect(rules[ruleIndex]).toMatchObject({ id: ruleId, defaultConfiguration: { level } });
    }
  });

  it("has regions whose end is behind the last character, related places and fixes", () => {
    const { results } = log(text, "w.yaml");
    expect(results[0]).toMatchObject({
      locations: [
        {
          physicalLocation: {
            region: { startLine: 3, startColumn: 20, endLine: 3, endColumn: 28 },
          },
        },
      ],
      fixes: [
        {
          artifactChanges: [{ replacements: [{ insertedContent: { text: "function" } }] }],
        },
      ],
    });
    expect(results[1]).toMatchObject({
      relatedLocations: [{ id: 1, physicalLocation: { region: { startLine: 3 } } }],
    });
  });

  it.each([
    ["my flows/w.json", "my%20flows/w.json"],
    ["flows\\w.json", "flows/w.json"],
    ["/srv/w.json", "file:///srv/w.json"],
    ["<stdin>", "stdin"],
  ])("names the file %s by the URI %s", (file, uri) => {
    expect(log("{}", file).artifacts).toEqual([{ location: { uri } }]);
  });
});
