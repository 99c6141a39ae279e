import { describe, expect, it } from "vitest";
import { compileCondition, compileExpression } from "./index.ts";
import type { Json } from "./types.ts";

const value = (source: string, data: Json = null): Json =>
  compileExpression(source).evaluate({ data });

describe("moments and durations", () => {
  it.each([
    [
      "timestamp('2026-01-01T00:00:00.001Z') - timestamp('1970-01-01T00:00:00Z')",
      "PT1767225600.001S",
    ],
    ["timestamp('9999-12-31T23:59:59Z') - timestamp('0001-01-01T00:00:00Z')", "PT315537897599S"],
    ["timestamp(0) - timestamp(data)", "-PT0.25S"],
    ["duration('1h') + timestamp(0)", "1970-01-01T01:00:00.000Z"],
    ["timestamp(0) - duration('1500ms')", "1969-12-31T23:59:58.500Z"],
    ["duration('-1.5s') + duration('0.7s')", "-PT0.8S"],
    ["duration('1s') - duration('1.000000001s')", "-PT0.000000001S"],
    ["string(timestamp('2026-01-01T00:00:00.120Z'))", "2026-01-01T00:00:00.12Z"],
    [
      "string(timestamp('2009-02-13T23:31:30Z')) + string(duration('90m'))",
      "2009-02-13T23:31:30Z5400s",
    ],
    ["string(duration('-1500ms'))", "-1.5s"],
    ["string(duration('1.05s'))", "1.05s"],
    ["timestamp(timestamp(0)) == timestamp(0) && duration(duration('1s')) == duration('1s')", true],
    ["string(1) + string(1.5) + string(true) + string('x')", "11.5truex"],
  ])("%s", (source, expected) => {
    expect(value(source, "1970-01-01T00:00:00.250Z")).toBe(expected);
  });

  it("have types that go on: a sum of a duration and a moment is a moment", () => {
    const due = compileCondition(
      "duration('1h') + timestamp(data.at) < timestamp('2026-01-01T00:00:00Z')",
    );
    expect(due.test({ data: { at: "2025-12-31T22:00:00Z" } })).toBe(true);
    const sum = compileCondition("timestamp(data.at) - timestamp(data.at) == duration('0s')");
    expect(sum.test({ data: { at: "2025-12-31T22:00:00Z" } })).toBe(true);
  });

  it.each([
    "2025-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:00:00.000",
    "Thu, 01 Jan 2026 00:00:00 GMT",
  ])("are not made of %s", (text) => {
    expect(() => value("timestamp(data)", text)).toThrow("RFC 3339");
    expect(value("isTimestamp(data)", text)).toBe(false);
  });

  it.each(["2024-02-29T00:00:00Z", "2000-02-29T23:59:59.5+02:00", "0004-02-29T00:00:00Z"])(
    "are made of %s",
    (text) => {
      expect(value("timestamp(data)", text)).toBe(new Date(text).toISOString());
      expect(value("isTimestamp(data)", text)).toBe(true);
    },
  );

  it.each([
    ["getHours('+02:00')", 1],
    ["getHours('02:00')", 1],
    ["getDate('-02:30')", 13],
    ["getDayOfYear('Pacific/Kiritimati')", 44],
    ["getMinutes('Asia/Kathmandu')", 16],
    ["getDayOfYear()", 43],
    ["getHours('Europe/Berlin')", 0],
    ["getDate('Europe/Berlin')", 14],
    ["getFullYear()", 2009],
    ["getMonth()", 1],
    ["getDate()", 13],
    ["getDayOfMonth()", 12],
    ["getDayOfWeek()", 5],
    ["getSeconds('Europe/Berlin')", 30],
    ["getMilliseconds('Europe/Berlin')", 5],
  ])("have parts, in any zone: %s", (part, expected) => {
    expect(value(`timestamp('2009-02-13T23:31:30.005Z').${part}`)).toBe(expected);
  });

  it("have the same parts whatever the zone of the process is, also where its clocks jump", () => {
    const before = process.env["TZ"];
    process.env["TZ"] = "America/New_York";
    try {
      // 02:30 does not exist there on that day.
      expect(value("timestamp('2026-03-08T02:30:00Z').getHours('UTC')")).toBe(2);
      expect(value("timestamp('2026-03-08T02:30:00Z').getDate('UTC')")).toBe(8);
      expect(value("timestamp('2026-07-01T00:00:00Z').getDayOfYear()")).toBe(181);
    } finally {
      if (before === undefined) delete process.env["TZ"];
      else process.env["TZ"] = before;
    }
  });

  it.each([
    ["timestamp('9999-12-31T23:59:59Z') + duration('1s')", "the years 1 to 9999"],
    ["timestamp('0001-01-01T00:00:00Z') - duration('1ns')", "the years 1 to 9999"],
    ["duration('300000000000s') + duration('300000000000s')", "10,000 years"],
    ["duration('-300000000000s') - duration('300000000000s')", "10,000 years"],
    ["timestamp(0).getHours('Mars/Olympus')", "no such time zone"],
  ])("%s has no value", (source, message) => {
    expect(() => value(source)).toThrow(message);
  });
});
