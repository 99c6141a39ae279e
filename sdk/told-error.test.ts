import { expect, it } from "vitest";
import { toldError } from "./told-error.ts";

it("is its kind, its message and its stack with those of its causes", () => {
  const told = toldError(new TypeError("outside", { cause: new RangeError("inside") }));
  expect(told).toMatchObject({ type: "TypeError", message: "outside" });
  expect(told.stack).toMatch(
    /^TypeError: outside\n {4}at [^]*\ncaused by: RangeError: inside\n {4}at /,
  );
});

it("has nothing of what a library hangs on it: a request, its headers", () => {
  const config = { headers: { authorization: "Bearer s3cret" } };
  const error = Object.assign(new Error("no"), { config, response: { body: "s3cret" } });
  expect(JSON.stringify(toldError(error))).not.toContain("s3cret");
});

it("ends, whatever it is", () => {
  const endless = new Error("round");
  endless.cause = endless;
  expect(toldError(endless).stack.split("caused by: ")).toHaveLength(6);
  const long = toldError(new Error("x".repeat(1e6)));
  expect([long.message.length, long.stack.length]).toEqual([2000, 16 * 1024]);
  const hostile = new Error("no");
  const thrower = {
    get: (): never => {
      throw new TypeError("read before");
    },
  };
  // The stack first: it is made of the message when somebody first looks.
  ["stack", "message", "cause"].forEach((field) => Object.defineProperty(hostile, field, thrower));
  expect(toldError(hostile)).toEqual({ type: "Error", message: "", stack: "Error: " });
  expect(toldError("text")).toEqual({ type: "string", message: "text", stack: "" });
  expect(toldError(Object.create(null)).message).toBe("something that is no text");
});
