import { expect, it } from "vitest";
import { timestamp } from "./clock.ts";

it("tells a time that no date holds as the last date", () => {
  expect(timestamp(0)).toBe("1970-01-01T00:00:00.000Z");
  expect(timestamp(Number.MAX_SAFE_INTEGER)).toBe("+275760-09-13T00:00:00.000Z");
});
