/**
 * Every rule by a file that breaks it: test_data/invalid/<rule>, and what the compiler says of it,
 * as `code line:column pointer`, all of it and nothing else.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compile, DIAGNOSTICS } from "./index.ts";
import type { CompileResult } from "./index.ts";

const folder = new URL("../test_data/invalid/", import.meta.url);

const RULES: Readonly<Record<string, readonly string[]>> = {
  "alias-bomb.yaml": ["GV1009 3:28 /output/d/7/1/0/6"],
  "back-edge-condition.json": ["GV2018 9:43 /edges/1/condition"],
  "bad-compensation.yaml": [
    "GV3008 3:130 /nodes/0/compensate/params/y",
    "GV1011 3:147 /nodes/0/compensate/param",
  ],
  "bad-condition.json": ["GV3001 8:56 /edges/0/condition"],
  "bad-input-schema.json": ["GV1015 3:28 /input_schema/type"],
  "bad-rate-limit.yaml": [
    "GV1013 3:105 /nodes/0/rate_limit/per_second",
    "GV3009 5:26 /settings/concurrency/key",
    "GV1013 5:65 /settings/concurrency/on_conflict",
    "GV1013 6:15 /settings/rate_limit",
  ],
  "bad-retry-rules.yaml": [
    "GV1013 3:90 /nodes/0/retry/on",
    "GV3009 3:120 /nodes/0/retry/condition",
  ],
  "bad-retry.json": ["GV1013 4:97 /nodes/0/retry/max_attempts"],
  "bad-template.json": ["GV3001 5:99 /nodes/1/config/text"],
  "binary.json": ["GV1001 1:1 "],
  "compensate-pure.yaml": [
    "GV4005 3:26 /nodes/0/compensate",
    "GV4005 3:44 /nodes/0/queue_timeout_ms",
    "GV4005 3:65 /nodes/0/rate_limit",
    "GV4005 3:122 /nodes/0/retry/on",
    "GV4005 4:25 /nodes/1/rate_limit",
  ],
  "config-duration.yaml": ["GV4003 6:17 /nodes/0/config/duration"],
  "config-missing.json": ["GV4003 4:47 /nodes/0/config"],
  "config-unknown-key.json": ["GV4004 4:74 /nodes/0/config/metod"],
  "contradicting-join.json": ["GV1016 5:86 /nodes/1/wait_for_all"],
  "cycle.json": ["GV2006 11:5 /edges/2"],
  "cyclic-alias.yaml": ["GV1009 6:10 /output/again"],
  "dangling-edge.json": ["GV2001 9:14 /edges/1/from"],
  "duplicate-edge.json": ["GV2003 9:5 /edges/1"],
  "duplicate-id.json": ["GV1014 5:12 /nodes/1/id"],
  "duplicate-key.json": ["GV1004 4:3 /name"],
  "duplicate-key.yaml": ["GV1004 5:5 /nodes/0/id"],
  "dynamic-ctx.json": ["GV3002 5:78 /nodes/1/config/x"],
  "empty.yaml": ["GV1002 1:1 "],
  "human-bad-form.yaml": [
    "GV4003 3:44 /nodes/0/config/title",
    "GV4003 3:62 /nodes/0/config/form/type",
    "GV4003 3:77 /nodes/0/config/required",
    "GV4003 3:91 /nodes/0/config/assignees",
    "GV4004 3:97 /nodes/0/config/extra",
  ],
  "isolated.json": ["GV2007 6:5 /nodes/2"],
  "item-outside.yaml": ["GV3009 3:61 /nodes/0/config/expression/x"],
  "iteration-outside.json": ["GV3007 8:44 /edges/0/condition"],
  "javascript-condition.yaml": ["GV3003 8:16 /edges/0/condition"],
  "javascript-template.json": ["GV3003 4:78 /nodes/0/config/n"],
  "javascript.json": ["GV3003 4:64 /nodes/0/config/expression"],
  "join-count.json": ["GV2020 6:89 /nodes/2/join/count"],
  "loop-entered-elsewhere.json": ["GV2012 13:5 /edges/3"],
  "loop-head-not-before.json": ["GV2011 4:110 /nodes/0/config/loop_back_to"],
  "loop-left-elsewhere.json": ["GV2013 12:5 /edges/2"],
  "loop-limit-zero.json": ["GV2010 4:91 /nodes/0/config/max_iterations"],
  "loop-unknown-head.json": ["GV2011 5:110 /nodes/1/config/loop_back_to"],
  "loop-without-condition.json": ["GV2016 4:43 /nodes/0/config"],
  "loop-without-limit.json": ["GV2010 4:43 /nodes/0/config"],
  "loops-overlap.json": ["GV2014 7:44 /nodes/3/config"],
  "loops-too-deep.json": ["GV2017 5:45 /nodes/1/config"],
  "map-body-cycle.yaml": [
    "GV2004 8:11 /nodes/0/config/do/nodes",
    "GV2006 12:13 /nodes/0/config/do/edges/1",
  ],
  "map-body-outside.yaml": ["GV3010 4:65 /nodes/1/config/expression/x"],
  "map-body-unknown-key.yaml": [
    "GV4003 6:27 /nodes/0/config/tolerated_failures",
    "GV1011 9:34 /nodes/0/config/do/nodes/0/time_out",
    "GV1011 10:9 /nodes/0/config/do/outputs",
  ],
  "map-duplicate-id.yaml": ["GV1014 9:19 /nodes/1/config/do/nodes/0/id"],
  "map-edge-inside.yaml": ["GV2001 7:13 /edges/1/from"],
  "map-no-errors.yaml": ["GV3011 4:65 /nodes/1/config/expression/x"],
  "map-not-upstream.yaml": ["GV3005 7:68 /nodes/2/config/do/config/expression/x"],
  "map-retry.yaml": ["GV4006 5:5 /nodes/0/retry"],
  "map-without-body.yaml": ["GV4003 3:36 /nodes/0/config"],
  "maps-too-deep.yaml": [`GV2025 3:471 /nodes/0${"/config/do".repeat(17)}`],
  "missing-type.json": ["GV1012 4:5 /nodes/0"],
  "name-not-here.json": ["GV3009 4:80 /nodes/0/config/key"],
  "never-taken.json": ["GV2022 11:43 /edges/1/condition", "GV2022 12:5 /edges/2"],
  "no-entry.json": ["GV2004 3:12 /nodes", "GV2006 9:5 /edges/1"],
  "no-name.yaml": ["GV1017 1:1 "],
  "no-nodes.json": ["GV1013 3:12 /nodes"],
  "not-a-number.yaml": ["GV1010 5:36 /nodes/0/config/x"],
  "not-an-object.json": ["GV1005 1:1 "],
  "not-exhaustive.json": ["GV2023 4:5 /nodes/0"],
  "not-upstream.json": ["GV3005 4:78 /nodes/0/config/x"],
  "own-output.json": ["GV3005 4:78 /nodes/0/config/x"],
  "secrets-outside.json": ["GV3008 4:80 /nodes/0/config/key"],
  "self-edge.json": ["GV2002 9:5 /edges/1"],
  "sometimes-any.json": ["GV3006 7:93 /nodes/3/config/x"],
  "sometimes.json": ["GV3006 7:78 /nodes/3/config/x"],
  "subworkflow-template.yaml": ["GV4003 3:53 /nodes/0/config/workflow"],
  "tab-indent.yaml": ["GV1003 3:1 "],
  "too-deep.json": ["GV1007 3:76 "],
  "trailing-comma.json": ["GV1003 4:34 "],
  "truncated.json": ["GV1003 5:1 "],
  "two-defaults.json": ["GV2021 12:5 /edges/2"],
  "two-loops-one-node.json": ["GV2015 4:95 /nodes/0/loop"],
  "unclosed-template.json": ["GV3001 4:85 /nodes/0/config/text"],
  "unknown-metadata.json": ["GV1018 2:30 /metadata/author"],
  "unknown-property.json": ["GV1011 4:71 /nodes/0/time_out"],
  "unknown-reference.json": ["GV3004 5:82 /nodes/1/config/x"],
  "unknown-type.json": ["GV4001 4:25 /nodes/0/type"],
  "unknown-variable.json": ["GV3002 8:44 /edges/0/condition"],
  "unreachable.json": ["GV2005 6:5 /nodes/2", "GV2005 7:5 /nodes/3", "GV2006 12:5 /edges/2"],
  "unsupported-type.json": ["GV4002 4:25 /nodes/0/type"],
  "wait-without-signal.yaml": [
    "GV4003 3:34 /nodes/0/config",
    "GV4003 3:52 /nodes/0/config/schema/type",
  ],
  "wide-any-join.yaml": ["GV2024 4:32 /nodes/1/join"],
};

function compileFile(file: string): CompileResult {
  return compile({ text: readFileSync(new URL(file, folder), "utf8"), file });
}

function summary(result: CompileResult): string[] {
  return result.diagnostics.map((d) => `${d.code} ${d.line}:${d.column} ${d.pointer}`);
}

describe("files that break a rule", () => {
  it.each(Object.entries(RULES))("%s is reported where it is wrong", (file, expected) => {
    const result = compileFile(file);
    expect(summary(result)).toEqual(expected);
    const hasError = result.diagnostics.some((d) => d.severity === "error");
    expect(result.ir === null).toBe(hasError);
  });

  it("each file in the folder has its line here", () => {
    expect(readdirSync(folder).sort()).toEqual(Object.keys(RULES).sort());
  });

  it("each code is shown by a file, apart from limits and what needs no file", () => {
    const shown = new Set(
      Object.values(RULES)
        .flat()
        .map((line) => line.slice(0, 6)),
    );
    const hidden = Object.keys(DIAGNOSTICS).filter((code) => !shown.has(code));
    expect(hidden).toEqual(["GV1006", "GV1008"]);
  });

  it("limits of size are options", () => {
    const text = JSON.stringify({ name: "w", nodes: [{ id: "a", type: "noop" }], edges: [] });
    const bySize = compile({ text }, { limits: { bytes: 20 } });
    expect(summary(bySize)).toEqual(["GV1006 1:1 "]);
    const byNodes = compile({ text }, { limits: { nodes: 0 } });
    expect(summary(byNodes)).toEqual(["GV1008 1:13 /nodes"]);
  });

  it("all problems of a file are reported together, in the order of the file", () => {
    const text = `name: w
nodes:
  - { id: a, type: functoin }
  - { id: b, type: noop, time_out: 3 }
edges:
  - { from: a, to: x }
  - { from: a, to: b, condition: "1 +" }
`;
    expect(summary(compile({ text }))).toEqual([
      "GV4001 3:20 /nodes/0/type",
      "GV1011 4:26 /nodes/1/time_out",
      "GV2001 6:20 /edges/0/to",
      "GV3001 7:38 /edges/1/condition",
    ]);
  });
});
