/**
 * docs/workflow-format.md against what the compiler takes: a key that is added to the schema has to be
 * added to the page, with what holds without it.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compile, DIAGNOSTICS, DOCUMENT_SCHEMA } from "../compiler/index.ts";
import { LOOP_PROPERTIES } from "../compiler/kinds/loop-properties.ts";
import { TYPE_NAMES } from "../compiler/kinds/types.ts";
import { ALL_VARIABLES } from "../compiler/expressions.ts";
import { RETRY_DEFAULTS } from "../compiler/read-policy.ts";

const page = readFileSync(new URL("../docs/workflow-format.md", import.meta.url), "utf8");

function sectionOf(heading: string): string {
  return page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? "";
}

/** The cells of the table under a heading, row by row, its head left out. */
function rowsUnder(heading: string): string[][] {
  const lines = [...sectionOf(heading).matchAll(/^\| (.*) ?\|$/gm)];
  return lines.slice(2).map(([, cells = ""]) => cells.split(" | ").map((cell) => cell.trim()));
}

const namesIn = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, n = ""]) => n);

function keysUnder(heading: string): string[] {
  return rowsUnder(heading).flatMap(([first = ""]) => namesIn(first));
}

const file = DOCUMENT_SCHEMA.properties;
const node = file.nodes.items.properties;
const join = node.join.anyOf[1].properties;

describe("docs/workflow-format.md", () => {
  it.each([
    ["The whole file", file],
    ["Nodes", node],
    ["Edges", file.edges.items.properties],
    ["Joins", join],
    ["Retries", node.retry.properties],
    ["Loops", LOOP_PROPERTIES],
    ["Branches without edges", node.branch.properties],
    ["Settings", file.settings.properties],
  ])("has the keys of its section %s, and no others", (heading, properties) => {
    expect(keysUnder(heading).toSorted()).toEqual(Object.keys(properties).toSorted());
  });

  it("names the values of a key that has few, and the keys inside others", () => {
    const { enum: events } = file.edges.items.properties.on;
    expect(namesIn(sectionOf("Edges"))).toEqual(expect.arrayContaining([...events]));
    expect(namesIn(sectionOf("Joins"))).toEqual(expect.arrayContaining([...join.mode.enum]));
    const settings = file.settings.properties;
    const inside = [settings.priority, settings.order, settings.failure].flatMap((s) => s.enum);
    const keyed = { ...settings.concurrency.properties, ...settings.rate_limit.properties };
    const told = namesIn(sectionOf("Settings"));
    expect(told).toEqual(expect.arrayContaining([...inside, ...Object.keys(keyed)]));
    const { properties: rule } = node.branch.properties.rules.items;
    const rules = namesIn(sectionOf("Branches without edges"));
    const named = Object.keys(rule).filter((key) => key !== "description");
    expect(rules).toEqual(expect.arrayContaining(named));
  });

  it("says what a retry has that says nothing else", () => {
    const told = rowsUnder("Retries").map(([key = "", , without = ""]) => [
      namesIn(key)[0],
      Number(without),
    ]);
    expect(Object.fromEntries(told)).toMatchObject(RETRY_DEFAULTS);
  });

  it("names every other name of a type", () => {
    const names = namesIn(sectionOf("Nodes"));
    const aliases = TYPE_NAMES.slice(TYPE_NAMES.indexOf("task"));
    expect(names).toEqual(expect.arrayContaining(aliases));
  });

  it("names every name that expressions may use", () => {
    const told = keysUnder("What expressions see").map((name) => name.split(".")[0]);
    expect(new Set(told)).toEqual(new Set(ALL_VARIABLES));
  });

  it("shows files that compile, without a warning", () => {
    const files = [...page.matchAll(/```yaml\n([^]*?)```/g)].map(([, text = ""]) => text);
    expect(files).toHaveLength(2);
    for (const text of files) expect(compile({ text }).diagnostics).toEqual([]);
  });

  it("leads to the code that warns of an edge that is no default", () => {
    expect(DIAGNOSTICS.GV2027.title).toBe("edge always taken beside one with a condition");
  });
});
