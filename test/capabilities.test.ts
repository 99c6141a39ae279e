/**
 * docs/evidence/capabilities.md names tests: files that exist, with what it quotes of them. A quoted
 * text belongs to the file before it, `…` in it stands for anything.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../", import.meta.url));
const PAGE = join(root, "docs/evidence/capabilities.md");
/** Groups of the capabilities, in the order of the table: definition, execution, workers, … */
const GROUPS = "DXWNFSLO";

interface Row {
  id: string;
  words: string;
  proof: string;
}

const rows: Row[] = readFileSync(PAGE, "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !/^\| (id|---) \|/.test(line))
  .map((line) => {
    const [, id = "", words = "", proof = "", ...more] = line.split(/(?<!\\)\|/);
    if (more.join("").trim() !== "") {
      throw new Error(`more than three columns: ${line}`);
    }
    return { id: id.trim(), words, proof };
  });

/** What it quotes of each file, in order: `path` "name", "name". */
function quotes(proof: string): { file: string; names: string[] }[] {
  const parts = proof.split(/`((?:[\w-]+\/)+[\w.-]+\.ts)`/).slice(1);
  return parts.flatMap((file, i) =>
    i % 2 === 0
      ? [{ file, names: [...(parts[i + 1] ?? "").matchAll(/"([^"]+)"/g)].map((m) => m[1] ?? "") }]
      : [],
  );
}

const isIn = (text: string, name: string): boolean =>
  name.split("…").every((part) => text.includes(part.trim()));

/** Capabilities by group and number, behind them, all alike, what has a name of its own. */
function place(id: string): [group: number, number: number, part: string] {
  const [, group, number, part = ""] = /^([A-Z])(\d+)([a-z]?)$/.exec(id) ?? [];
  return group === undefined
    ? [GROUPS.length, 0, ""]
    : [GROUPS.indexOf(group), Number(number), part];
}

function compare(a: ReturnType<typeof place>, b: ReturnType<typeof place>): number {
  return a[0] - b[0] || a[1] - b[1] || a[2].localeCompare(b[2]);
}

describe("the table of capabilities", () => {
  it("has each once: by group and number, then those with names of their own", () => {
    const ids = rows.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual([...ids].sort((a, b) => compare(place(a), place(b))));
  });

  it.each(rows.map((row) => [row.id, row] as const))("%s: what proves it exists", (_, row) => {
    const { proof, words } = row;
    const named = quotes(proof);
    expect(named.length).toBeGreaterThan(0);
    const missing = named.flatMap(({ file, names }) => {
      const text = existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8") : null;
      return text === null ? [file] : names.filter((name) => !isIn(text, name));
    });
    expect(missing).toEqual([]);
    const links = [...`${words} ${proof}`.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)];
    const linked = links.map(([, to = ""]) => join(dirname(PAGE), to));
    expect(linked.filter((to) => !existsSync(to))).toEqual([]);
  });
});
