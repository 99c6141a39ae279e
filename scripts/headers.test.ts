import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const folder = new URL("./", import.meta.url);
const names = readdirSync(folder).filter((file) => file.endsWith(".lua"));
const BANNED = /redis\.call\("(KEYS|SCAN|FLUSHALL|FLUSHDB|HGETALL|SMEMBERS)"/;

describe.each(names)("%s", (file) => {
  const text = readFileSync(new URL(file, folder), "utf8");
  const header = /^--\[\[([\s\S]*?)\]\]/.exec(text)?.[1] ?? "";

  it("opens with its name, why it is atomic, and every section", () => {
    expect(header.trim().startsWith(`${file.slice(0, -".lua".length)} -- `)).toBe(true);
    for (const section of ["Atomic because", "KEYS", "ARGV", "RETURNS", "REPEAT", "COST"]) {
      expect(header).toContain(section);
    }
  });

  it("documents as many fixed KEYS as it names", () => {
    const documented = [
      ...header.matchAll(/^ {2}(\d+)\+? +\S+ +(stream|hash|zset|list|set|string)/gm),
    ].length;
    const named = new Set([...text.matchAll(/KEYS\[(\d+)\]/g)].map((match) => match[1]));
    expect(documented).toBeGreaterThanOrEqual(named.size);
  });

  it("C4: calls no command that walks a whole key space or a whole hash", () => {
    expect(text).not.toMatch(BANNED);
  });
});
