/**
 * What the head of a script promises against its code: the places of KEYS and ARGV by number and
 * name, the codes it answers, the transitions it writes. A caller reads the head, not the script.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SCRIPTS, type ScriptName } from "../sdk/redis/scripts.gen.ts";

const folder = new URL("./", import.meta.url);
const names = readdirSync(folder).filter((file) => file.endsWith(".lua"));
const BANNED = /redis\.call\("(KEYS|SCAN|FLUSHALL|FLUSHDB|HGETALL|SMEMBERS)"/;

/** A transition's name as a whole; scripts put together some from two parts. */
const EVENT = /"((?:run|node|join|loop|element|map|child|approval|signal|counter)\.[a-z]+)/g;

type List = "KEYS" | "ARGV";
/** Names by place. */
type Places = Map<number, string>;

/** What a header names: the places that are always there, and whether more follow. */
function documented(header: string, list: List): { fixed: Places; hasMore: boolean } {
  const rows = section(header, list).matchAll(/^ {1,2}(\d+)(\+?) +(\w+)/gm);
  const found = [...rows].map(([, at, more, name]) => ({
    at: Number(at),
    more,
    name: String(name),
  }));
  // In order and without a gap: `5+` says where the rest begins, so it counts.
  expect(found.map(({ at }) => at)).toEqual(found.map((_, i) => i + 1));
  const fixed = found.filter(({ more }) => more === "");
  expect(found.length - fixed.length).toBeLessThanOrEqual(1);
  return {
    fixed: new Map(fixed.map(({ at, name }) => [at, name])),
    hasMore: found.length > fixed.length,
  };
}

const section = (header: string, title: string): string =>
  new RegExp(`^${title}\\b(.*\\n(?: .*\\n)*)`, "m").exec(header)?.[1] ?? "";

/** The places that the code asks for by number; `unpack` of the whole list asks for `count`. */
function asked(code: string, list: List, count: number): number[] {
  const single = [...code.matchAll(new RegExp(`${list}\\[(\\d+)\\]`, "g"))];
  const ranges = [...code.matchAll(new RegExp(`unpack\\(${list}(?:, (\\d+), (\\d+))?\\)`, "g"))];
  const places = ranges.flatMap(([, from = 1, to = count]) => range(Number(from), Number(to)));
  return [...new Set([...single.map(([, at]) => Number(at)), ...places])].sort((a, b) => a - b);
}

/** Whether the code asks for places that it works out. */
const asksForMore = (code: string, list: List): boolean =>
  new RegExp(`#${list}|${list}\\[(?!\\d+\\])`).test(code);

/** What the code calls its places, where it does: `a, b = KEYS[1], tonumber(ARGV[2])`, `unpack`. */
function named(code: string, list: List): [at: number, name: string][] {
  const value = `(?:tonumber\\()?${list}\\[(\\d+)\\](?:\\)| == "1")?`;
  const tables = [...code.matchAll(/\{[^}]*\}/g)].join();
  const fields = tables.matchAll(new RegExp(`(\\w+) = ${value}`, "g"));
  const found = [...fields].map(([, name, at]): [number, string] => [Number(at), String(name)]);
  for (const [, left = "", right = ""] of code.matchAll(/^local ([\w, ]+) =\s+(.+)$/gm)) {
    const locals = left.split(", ");
    const unpacked = new RegExp(`^unpack\\(${list}(?:, (\\d+), \\d+)?\\)$`).exec(right);
    const values = right.split(/, (?![^(]*\))/);
    locals.forEach((name, i) => {
      const at = new RegExp(`^${value}$`).exec(values[i] ?? "")?.[1];
      if (unpacked !== null) {
        found.push([Number(unpacked[1] ?? 1) + i, name]);
      } else if (at !== undefined) {
        found.push([Number(at), name]);
      }
    });
  }
  return found;
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** A script without the guard around it, which is the same for all (include/guard.lua). */
function own(code: string): string {
  const [, guarded] = /\nlocal function script\(\)([^]*)\nend\nlocal is_done/.exec(code) ?? [];
  return guarded ?? code;
}

describe.each(names)("%s", (file) => {
  const text = readFileSync(new URL(file, folder), "utf8");
  const header = /^--\[\[([\s\S]*?)\]\]/.exec(text)?.[1] ?? "";
  const name = file.slice(0, -".lua".length);
  /** With its includes. */
  const code = own(
    SCRIPTS[name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase()) as ScriptName],
  );

  it("opens with its name, why it is atomic, and every section", () => {
    expect(header.trim().startsWith(`${name} -- `)).toBe(true);
    for (const title of ["Atomic because", "KEYS", "ARGV", "RETURNS", "REPEAT", "COST"]) {
      expect(header).toContain(title);
    }
  });

  it.each(["KEYS", "ARGV"] as const)("asks for the %s that its header names", (list) => {
    const { fixed, hasMore } = documented(header, list);
    // A batch that is unpacked goes by the name of the list that it came in.
    const [before = ""] = code.split(`\nlocal ${list} =`);
    expect(asked(before, list, fixed.size)).toEqual([...fixed.keys()]);
    expect(hasMore || !asksForMore(before, list)).toBe(true);
    const calls = named(before, list).map(([at, name]) => `${at} ${name}`);
    expect(calls).toEqual(named(before, list).map(([at]) => `${at} ${fixed.get(at)}`));
  });

  it("tells of every code that it answers by number, and of every transition that it names", () => {
    const codes = [...text.matchAll(/return (?:\{ )?(-\d+)/g)].map(([, one]) => String(one));
    expect(section(header, "RETURNS").match(/-\d+/g) ?? []).toEqual(expect.arrayContaining(codes));
    const events = [...code.matchAll(EVENT)].map(([, event]) => String(event));
    void (code.includes("suspect(") && events.push("run.suspect"));
    const emitted: string[] = section(header, "EMITS").match(/[\w.*]+/g) ?? [];
    const isTold = (event: string): boolean =>
      emitted.includes(event) || (event.startsWith("node.") && emitted.includes("node.*"));
    expect(events.filter((event) => !isTold(event))).toEqual([]);
  });

  it("C4: calls no command that walks a whole key space or a whole hash", () => {
    expect(text).not.toMatch(BANNED);
  });
});
