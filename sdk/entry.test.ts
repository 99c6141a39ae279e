import { describe, expect, it } from "vitest";
import { parseEntry, parseRecord } from "./entry.ts";

const pack = (...parts: string[]): string[] => ["t", parts.join("\x1f")];

describe("parseEntry", () => {
  it("reads a ready token whose payload holds the separator", () => {
    const fields = pack("run", "1", "4", "9:2", "3", "hash", "", "LD", '="a\x1fb"');
    expect(parseEntry("q", "5-0", fields)).toEqual({
      queueKey: "q",
      entryId: "5-0",
      runId: "run",
      unit: "run",
      epoch: "1",
      node: 4,
      scope: "9:2",
      attempt: 3,
      irHash: "hash",
      kind: "run",
      arrivals: "LD",
      payload: '"a\x1fb"',
      skipValue: null,
      answer: null,
    });
  });

  it("reads the value of a skip, which is no payload", () => {
    const token = parseEntry("q", "5-0", pack("run", "1", "4", "", "1", "h", "k", "", "X"));
    expect(token).toMatchObject({ kind: "skip", skipValue: "X", payload: null });
  });

  it("what is not a token is null", () => {
    expect(parseEntry("q", "5-0", [])).toBeNull();
    expect(parseEntry("q", "5-0", ["x", "y"])).toBeNull();
    expect(parseEntry("q", "5-0", pack("run", "1"))).toBeNull();
    expect(parseEntry("q", "5-0", pack("run", "1", "x", "", "1", "h", "", "", ""))).toBeNull();
    expect(parseEntry("q", "5-0", pack("run", "1", "1", "", "1", "h", "?", "", ""))).toBeNull();
  });
});

describe("parseRecord", () => {
  it("takes state, attempt, scope and the rest apart, bars in the rest included", () => {
    const record = { state: "c", attempt: 12, scope: "3:1/4:2", rest: '"a|b"' };
    expect(parseRecord('c12|3:1/4:2|"a|b"')).toEqual(record);
    expect(parseRecord(null)).toBeNull();
  });
});
