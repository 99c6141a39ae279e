import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { defineFunction } from "../sdk/internal.ts";
import { FunctionRegistry, loadFunctions } from "./registry.ts";

const folder = mkdtempSync(join(tmpdir(), "gavotte-registry-"));

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function moduleFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const invalid = (message: RegExp): unknown =>
  expect.objectContaining({
    code: "GV_FUNCTIONS_INVALID",
    message: expect.stringMatching(message),
  });

describe("loading a module of functions", () => {
  it("takes named, default, listed and grouped exports of TypeScript", async () => {
    const path = moduleFile(
      "all.ts",
      `import { defineFunction, type FunctionContext } from "gavotte";
       export const one = defineFunction("one", ({ input }: FunctionContext): unknown => input);
       export const list = [defineFunction("two", () => 2)];
       export const version = "1.0";
       export default { three: defineFunction("three", () => 3), again: one };`,
    );
    const found = await loadFunctions(path);
    expect(found.map(({ name }) => name).sort()).toEqual(["one", "three", "two"]);
  });

  it("takes JavaScript modules", async () => {
    const text = `import { defineFunction } from "gavotte"; export default defineFunction("a", () => 1);`;
    for (const name of ["a.mjs", "a.js"]) {
      expect(await loadFunctions(moduleFile(name, text))).toMatchObject([{ name: "a" }]);
    }
  });

  it("says what is wrong with a module, and what to do", async () => {
    await expect(loadFunctions(join(folder, "no.ts"))).rejects.toEqual(invalid(/no such file/));
    const broken = moduleFile("broken.ts", "export const = 1;");
    await expect(loadFunctions(broken)).rejects.toEqual(invalid(/broken\.ts.*cannot be loaded/));
    const empty = moduleFile("empty.ts", "export const f = () => 1;");
    await expect(loadFunctions(empty)).rejects.toEqual(invalid(/defineFunction/));
  });
});

describe("the registry", () => {
  const own = defineFunction("own", () => 1);

  it("always has the built-ins", () => {
    const registry = new FunctionRegistry([own]);
    expect(registry.names()).toEqual([
      "builtin.add",
      "builtin.counter",
      "builtin.echo",
      "builtin.fail",
      "builtin.sleep",
      "own",
    ]);
    expect(registry.get("own")).toBe(own.handler);
  });

  it("refuses a name that is taken", () => {
    expect(() => new FunctionRegistry([own, defineFunction("own", () => 2)])).toThrow(
      invalid(/"own" is defined twice/),
    );
  });

  it("stubs the functions that are missing, and says which", () => {
    const registry = new FunctionRegistry([own]).withStubs(["own", "mail", "charge", "mail"]);
    expect(registry.stubs).toEqual(["charge", "mail"]);
    expect(registry.get("mail")).toBe(registry.get("builtin.echo"));
    expect(registry.get("own")).toBe(own.handler);
  });
});

describe("defineFunction", () => {
  it("refuses names that cannot be queues, and those of the engine", () => {
    for (const name of ["", "a b", "builtin.mine", "ä"]) {
      expect(() => defineFunction(name, () => 1)).toThrow(TypeError);
    }
  });
});
