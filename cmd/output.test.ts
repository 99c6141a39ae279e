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
