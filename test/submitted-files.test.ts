/** Workflows that come as the text of a file: what is told of them has the file's lines. */
import { afterAll, beforeAll, expect, it } from "vitest";
import pino from "pino";
import { compile } from "../compiler/index.ts";
import { definitionsByHash } from "../sdk/postgres/index.ts";
import { GavotteError } from "../sdk/internal.ts";
import { createClient, type Client } from "../sdk/index.ts";
import { CompileGuard, isQuickFile } from "../supervisor/compile-guard.ts";
import { startEngine, type Engine } from "./harness/engine.ts";

let engine: Engine;
let client: Client;

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker();
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const FILE = `
name: written
nodes:
  - id: double   # what it is for
    type: transform
    config: { expression: input.n * 2 }
`;
/** Two mistakes: on the lines 5 and 6. */
const WRONG = FILE.replace("transform", "transfrom").replace("config", "confgi");

it("runs, and is stored as it was written", async () => {
  const { hash } = compile({ text: FILE });
  const runId = await client.submit({ workflow: FILE, input: { n: 21 } });
  expect(await engine.ended(runId)).toMatchObject({ status: "COMPLETED", output: "42" });
  const [stored] = await definitionsByHash(engine.db, [hash ?? ""]);
  expect(stored?.source).toBe(FILE);
});

it("is told what is wrong with it by line and column, wherever it is compiled", async () => {
  const guard = new CompileGuard(pino({ level: "silent" }));
  try {
    const here = compile({ text: WRONG }).diagnostics.filter(
      ({ severity }) => severity === "error",
    );
    const apart = await guard.compileFile(WRONG);
    expect(apart).toMatchObject({
      diagnostics: here.map(({ code, line, column }) => ({ code, line, column })),
    });
    expect(here.map(({ line }) => line)).toEqual([5, 6]);
  } finally {
    await guard.stop();
  }
});

it("has its lines in the refusal; a document has none", async () => {
  const refused = async (workflow: string | { name: string; nodes: [] }): Promise<GavotteError> => {
    const error = await client.submit({ workflow }).catch((failed: unknown) => failed);
    expect(error).toBeInstanceOf(GavotteError);
    return error as GavotteError;
  };
  const ofFile = await refused(WRONG);
  expect(ofFile.message).toContain("(line 5, column 11: workflow/nodes/0/type)");
  expect(ofFile.details).toMatchObject({ errors: [{ line: 5, column: 11 }, { line: 6 }] });
  const ofDocument = await refused({ name: "empty", nodes: [] });
  expect(JSON.stringify(ofDocument.details)).not.toContain('"line"');
});

it("keeps the reading of a YAML file to what the command line takes", async () => {
  const twice = `${FILE}name: again\n`;
  const told = await client.submit({ workflow: twice }).catch((error: unknown) => error);
  const [code] = compile({ text: twice }).diagnostics.map((one) => one.code);
  expect((told as Error).message).toContain(`${code ?? "?"}: `);
});

it("is not compiled in the supervisor's own loop if it may take long", () => {
  expect(isQuickFile(FILE)).toBe(true);
  expect(isQuickFile(FILE.padEnd(9000))).toBe(false);
  expect(isQuickFile(FILE.replace("input.n", "&all input.n"))).toBe(false);
  expect(isQuickFile(`${FILE}input_schema: { pattern: "a{1,900}" }`)).toBe(false);
});
