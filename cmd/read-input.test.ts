/** Values that a command is given: as they were written, or refused. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXAMPLES, runCli } from "./cli.fixture.ts";
import type { Context } from "./context.ts";
import { readInput } from "./read-input.ts";
import { readPairs } from "./read-pairs.ts";

const latin1 = Buffer.from('{"name":"J\xe4ger"}', "latin1");
let cwd = "";
let stdin = Buffer.from("");

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "gv-input-"));
  writeFileSync(join(cwd, "latin1.json"), latin1);
  writeFileSync(join(cwd, "bom.json"), '\ufeff{"name":"J\u00e4ger"}');
  writeFileSync(join(cwd, "text.json"), "no quotes");
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const read = (given: string): Promise<unknown> =>
  readInput({ cwd, readStdin: () => Promise.resolve(stdin) } as unknown as Context, given);

describe("a value", () => {
  it("that is not UTF-8 is refused, from a file as from standard input", async () => {
    const refused = { code: "GV_BAD_INPUT", message: expect.stringContaining("not UTF-8") };
    await expect(read("@latin1.json")).rejects.toMatchObject(refused);
    stdin = latin1;
    await expect(read("-")).rejects.toMatchObject(refused);
  });

  it("may begin with a byte order mark", async () => {
    expect(await read("@bom.json")).toEqual({ name: "J\u00e4ger" });
    stdin = Buffer.from("\ufeff7");
    expect(await read("-")).toBe(7);
  });

  it("that is not JSON is told with the quotes that text needs, where it is on the command line", async () => {
    await expect(read("text")).rejects.toThrow(`text needs quotes: --input '"text"'`);
    await expect(read("@text.json")).rejects.toThrow(/^text.json: it is not JSON: [^;]*$/);
    await expect(read("bom.json")).rejects.toThrow(/; a file is read with @: --input @bom.json$/);
    await expect(read("x".repeat(9000))).rejects.toThrow("text needs quotes");
    await expect(read('{"order":"o2"')).rejects.toThrow(/^--input: it is not JSON: [^;]*$/);
  });

  it("with a number that is out of range is refused, with its place", async () => {
    const refused = { code: "GV_BAD_INPUT", message: expect.stringContaining("1.8e308 at /a:") };
    await expect(read('{"a":1e999}')).rejects.toMatchObject(refused);
    stdin = Buffer.from('{"a":-1e400}');
    await expect(read("-")).rejects.toMatchObject(refused);
    expect(() => readPairs("--set", ['n={"a":1e400}'])).toThrow("1.8e308 at /a:");
  });

  it("of an argument that is not UTF-8 is refused, by any command", async () => {
    const args = ["run", join(EXAMPLES, "diamond.json"), "--json", "--input", '{"a":"\ufffd"}'];
    const { code, stdout } = await runCli(cwd, args);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "GV_BAD_INPUT" } });
  });
});

describe("durations", () => {
  it("are read the same way", async () => {
    const file = join(EXAMPLES, "diamond.json");
    writeFileSync(join(cwd, "durations.json"), '\ufeff{"left": 7}');
    const good = await runCli(cwd, ["analyse", file, "--durations", "durations.json"]);
    expect([good.code, good.stderr]).toEqual([0, ""]);
    const bad = await runCli(cwd, ["analyse", file, "--durations", "latin1.json"]);
    expect([bad.code, bad.stderr]).toEqual([2, expect.stringContaining("not UTF-8")]);
  });
});
