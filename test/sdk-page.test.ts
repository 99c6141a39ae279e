/**
 * docs/sdk.md does what it says: its programs compile against the package and run, its queue entry is
 * taken, and its tables have what the intake and the feed have.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient } from "../sdk/index.ts";
import { readSubmission } from "../supervisor/submission.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { testDatabase, waitFor, type TestDatabase } from "./support/index.ts";

const SLOW = 120_000;
const root = join(import.meta.dirname, "..");
const page = readFileSync(join(root, "docs/sdk.md"), "utf8");
const programs = [...page.matchAll(/```ts\n([^]*?)```/g)].map(([, text = ""]) => text);
const workflow = { name: "order", nodes: [{ id: "w", type: "wait", config: { signal: "paid" } }] };

let folder = "";
let postgres: TestDatabase;
let engine: Engine;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gv-sdk-"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  programs.forEach((text, i) => {
    const sdk = join(root, "sdk/index.ts");
    writeFileSync(join(folder, `${i}.ts`), text.replace('from "gavotte"', `from "${sdk}"`));
  });
  postgres = await testDatabase();
  engine = await startEngine({ database: postgres.connect() });
  await engine.worker();
});
afterAll(async () => {
  await engine.stop();
  await postgres.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Lines that the n-th program of the page prints. */
async function run(n: number, env: { [name: string]: string }): Promise<string[]> {
  const argv = ["--import", import.meta.resolve("tsx"), join(folder, `${n}.ts`)];
  const { stdout } = await promisify(execFile)(process.execPath, argv, {
    env: { ...process.env, ...env },
  });
  return stdout.trim().split("\n");
}

/** First names in the rows of the tables of a section. */
function rowsOf(heading: string): string[] {
  const section = page.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";
  const cells = [...section.matchAll(/^\| (`.*?) \|/gm)].map(([, cell = ""]) => cell);
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name));
}

describe("the programs of docs/sdk.md", () => {
  it(
    "compile against the package's types, as strictly as it goes",
    () => {
      const config = ts.readConfigFile(join(root, "tsconfig.json"), (path) =>
        ts.sys.readFile(path),
      );
      const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
      const files = programs.map((_, i) => join(folder, `${i}.ts`));
      const typeRoots = [join(root, "node_modules/@types")];
      const program = ts.createProgram(files, {
        ...options,
        rewriteRelativeImportExtensions: false,
        typeRoots,
      });
      const found = files.flatMap((file) => {
        const source = program.getSourceFile(file);
        return [
          ...program.getSemanticDiagnostics(source),
          ...program.getSyntacticDiagnostics(source),
        ];
      });
      expect(found.map(({ messageText: m }) => ts.flattenDiagnosticMessageText(m, " "))).toEqual(
        [],
      );
    },
    SLOW,
  );

  it(
    "submit, follow, signal, wait and cancel; and hear the feed",
    async (context) => {
      context.skip(postgres.singleSession, "two processes need two sessions");
      const { redisUrl } = engine;
      const env = { GAVOTTE_REDIS_URL: redisUrl, GAVOTTE_DATABASE_URL: postgres.url };
      const said = await run(0, env);
      expect(said).toContain("node.parked");
      expect(said.slice(-2)).toEqual(['COMPLETED {"total":42}', "CANCELLED"]);
      const ended = await engine.db.query<{ id: string }>({
        name: "ended",
        text: "SELECT id FROM runs WHERE status = 'CANCELLED'",
      });
      const heard = await run(1, {
        GATEWAY: engine.gateway.url().replace("http", "ws"),
        RUN: ended[0]?.id ?? "",
      });
      expect(heard).toEqual(["snapshot  CANCELLED", "end  CANCELLED"]);
    },
    SLOW,
  );
});

describe("the queue of docs/sdk.md", () => {
  const [, json = ""] = /XADD gv:submissions \* submission '(.*)'/.exec(page) ?? [];
  const replyTo = (JSON.parse(json) as { reply_to: string }).reply_to;

  it("takes the entry of the page, and answers as it says", async () => {
    const add = (text: string) => engine.redis.xadd("gv:submissions", "*", "submission", text);
    await engine.submit({ workflow });
    const good = await add(json);
    const bad = await add(JSON.stringify({ workflow_ref: "nobody", reply_to: replyTo }));
    const answers = await waitFor(async () => {
      const entries = await engine.redis.xrange(replyTo, "-", "+");
      return entries.length === 2 && entries.map(([, [, text = ""]]) => JSON.parse(text) as object);
    });
    expect(answers).toContainEqual({
      ...{ submission_id: good, run_id: expect.any(String) as string, status: "accepted" },
    });
    const errors = [expect.objectContaining({ code: "GV_WORKFLOW_NOT_FOUND" }) as object];
    const refused = { submission_id: bad, status: "rejected", errors };
    expect(answers).toContainEqual(expect.objectContaining(refused));
  });

  it("has all members that the intake knows", () => {
    const answer = readSubmission("1-0", ["submission", '{"what":1}']);
    const messages = "problems" in answer ? answer.problems.map(({ message }) => message) : [];
    const known = /known are (.*)/.exec(messages.join("\n"))?.[1]?.split(", ") ?? [];
    expect(rowsOf("The queue").toSorted()).toEqual(known.toSorted());
  });
});

it("the feed's messages have the members that docs/sdk.md says", async () => {
  const id = await engine.submit({ workflow });
  let onSnapshot = (): void => undefined;
  const begun = new Promise<void>((resolve) => (onSnapshot = resolve));
  const messages = engine.follow(id, {
    onMessage: ({ type }) => type === "snapshot" && onSnapshot(),
  });
  await begun;
  const client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
  await client.signal(id, "paid", 1);
  const heard = await messages;
  await client.close();
  const kinds = new Map(heard.map((message) => [message.type, message]));
  expect([...kinds.keys()].toSorted()).toEqual(["end", "snapshot", "status_update"]);
  for (const [type, message] of kinds) {
    const row = new RegExp(`^\\| \`${type}\` \\|.*$`, "m").exec(page)?.[0] ?? "";
    const told = [...row.matchAll(/`(\w+)/g)].map(([, name = ""]) => name);
    const keys = Object.keys(message).filter(
      (key) => !["type", "run_id", "position"].includes(key),
    );
    expect(told, type).toEqual(expect.arrayContaining(keys));
  }
});
