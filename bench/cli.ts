/**
 * What a person waits for: `validate` from a cold start, and the embedded stack until a first run
 * has ended. Measures the compiled program, as users have it, built anew if it is stale; if that fails
 * the sources, and says so.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { startEmbedded } from "../cmd/embedded/index.ts";
import type { BenchOptions } from "./options.ts";
import { figure, type FigureRow } from "./rows.ts";
import { median, round } from "./usage.ts";

const execute = promisify(execFile);
const BUILT = fileURLToPath(new URL("../dist/cmd/bin.js", import.meta.url));
const BUILD = fileURLToPath(new URL("../scripts/build.sh", import.meta.url));
const SOURCE = fileURLToPath(new URL("../cmd/main.ts", import.meta.url));

/** Arguments of node that run the command line, and what kind of it that is. */
async function program(): Promise<{ args: string[]; note: string }> {
  await execute("sh", [BUILD, "--if-stale"]).catch((error: unknown) => console.error(error));
  if (existsSync(BUILT)) {
    return { args: [BUILT], note: "compiled" };
  }
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  return { args: ["--import", loader, SOURCE], note: "from sources, through tsx" };
}

/** Wall times of commands; `dir` is a scratch folder. */
export async function measureCli(dir: string, options: BenchOptions): Promise<FigureRow[]> {
  const { args, note } = await program();
  const cwd = join(dir, "cli");
  mkdirSync(cwd, { recursive: true });
  const timed = async (...command: string[]): Promise<number> => {
    const start = performance.now();
    await execute(process.execPath, [...args, ...command], { cwd, env: plainEnvironment() });
    return performance.now() - start;
  };
  const times = options.quick ? 3 : 7;
  const small = fileOf(cwd, 100);
  const large = fileOf(cwd, 10_000);
  const one = join(cwd, "one.json");
  const echo = { id: "echo", type: "function", config: { function_name: "builtin.echo" } };
  writeFileSync(one, JSON.stringify({ name: "one", nodes: [echo], edges: [] }));
  const repeat = async (...command: string[]): Promise<number> => {
    const all: number[] = [];
    for (let i = 0; i < times; i++) {
      all.push(await timed(...command));
    }
    return round(median(all), 0);
  };
  const row = (name: string, value: number): FigureRow => figure(name, value, "ms", note);
  return [
    row("validate, 100 nodes, cold", await repeat("validate", small)),
    row("validate, 10,000 nodes, cold", await repeat("validate", large)),
    row("run on the embedded stack, first time", round(await timed("run", one), 0)),
    row("run on the embedded stack, later", await repeat("run", one)),
    row("embedded Redis and Postgres ready, later", await embeddedStart(cwd, times)),
  ];
}

/** Above this the nodes take no parameters: a document may have 1 MiB of text. */
const PARAMS_NODES_MAX = 1000;

/** A workflow file of `n` nodes: a chain in which every tenth node has nine leaves. */
function fileOf(dir: string, n: number): string {
  const path = join(dir, `nodes-${n}.json`);
  const params = (i: number): object => ({ params: { text: "${input.text}", place: i } });
  const nodes = Array.from({ length: n }, (_, i) => ({
    id: `n${i}`,
    type: "function",
    config: { function_name: "f", ...(n <= PARAMS_NODES_MAX ? params(i) : {}) },
  }));
  const edges = nodes.slice(1).map(({ id }, i) => ({ from: `n${i - (i % 10)}`, to: id }));
  writeFileSync(path, JSON.stringify({ name: `nodes-${n}`, nodes, edges }));
  return path;
}

async function embeddedStart(cwd: string, times: number): Promise<number> {
  const dir = join(cwd, ".gavotte");
  const all: number[] = [];
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    const stack = await startEmbedded({ dir, log: () => undefined });
    all.push(performance.now() - start);
    await stack.stop({ now: true });
  }
  return round(median(all), 0);
}

/** Services that are configured outside are not the embedded ones. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("GAVOTTE_"));
  return Object.fromEntries(kept);
}
