import { describe, expect, it } from "vitest";
import { Output } from "./output.ts";

describe("colour", () => {
  const write = (): void => undefined;
  const stdout = { write };

  it.each([
    ["on a terminal", true, {}, true],
    ["not into a file or pipe", false, {}, false],
    ["not with NO_COLOR, whatever its value", true, { NO_COLOR: "0" }, false],
    ["with an empty NO_COLOR, which counts as none", true, { NO_COLOR: "" }, true],
    ["not on a terminal that can do nothing", true, { TERM: "dumb" }, false],
  ])("is written %s", (_, isTTY, env, expected) => {
    expect(new Output({ stdout, stderr: { write, isTTY }, env }).isColored).toBe(expected);
  });
});

describe("text from elsewhere", () => {
  it("has no characters that a terminal obeys, and is the same value where it is JSON", () => {
    const told = { stdout: "", stderr: "" };
    const stream = (name: keyof typeof told) => ({
      write: (text: string): string => (told[name] += text),
    });
    const output = new Output({ stdout: stream("stdout"), stderr: stream("stderr") });
    const hostile = "red \x1b[31m\x9b1m \x00 bell \x07\x7f";
    output.note(`first\n\t${hostile}`);
    output.error(new Error(hostile));
    output.table([[hostile], ["a"]]);
    output.line(JSON.stringify([hostile]));
    const escaped = "red \\u001b[31m\\u009b1m \\u0000 bell \\u0007\\u007f";
    expect(told.stderr).toBe(`first\n\t${escaped}\nerror: ${escaped}\n`);
    const [cell, , json = ""] = told.stdout.split("\n");
    expect([cell, JSON.parse(json)]).toEqual([escaped, [hostile]]);
  });
});
