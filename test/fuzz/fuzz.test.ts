import { expect, it } from "vitest";
import { seeded } from "../harness/random.ts";
import { EXPRESSIONS, FILES } from "./corpus.ts";
import { mutate } from "./mutate.ts";
import { compileAny, expressAny } from "./target.ts";

/** Enough to notice a rule that is broken in general; `npm run fuzz` looks further. */
const CASES = 400;

it("no file that is nearly right crashes the compiler, or is reported outside of itself", () => {
  const random = seeded(1);
  for (let i = 0; i < CASES; i++) {
    const text = mutate(random, FILES);
    const file = i % 2 === 0 ? "w.json" : "w.yaml";
    expect(() => compileAny(text, file), `case ${i}: ${JSON.stringify(text)}`).not.toThrow();
  }
});

it("no expression that is nearly right does either", () => {
  const random = seeded(2);
  for (let i = 0; i < CASES; i++) {
    const text = mutate(random, EXPRESSIONS);
    expect(() => expressAny(text), `case ${i}: ${JSON.stringify(text)}`).not.toThrow();
  }
});
