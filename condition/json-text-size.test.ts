/** What it takes to read JSON with many numbers, and a text that looks like one out of range. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const run = promisify(execFile);
const HEAP_MB = 96;
const COUNT = 1_000_000;

/** A process whose heap is a few times the value reads it. */
const PROGRAM = `
  import { parseJson } from "./condition/json-text.ts";
  const list = Array(${COUNT}).fill("1").join(",");
  console.log(parseJson('{"text":"so, 1e999","list":[' + list + "]}").list.length);`;

it("a long list of numbers beside a text that says one out of range takes no memory but its own", async () => {
  const node = [`--max-old-space-size=${HEAP_MB}`, "--import", "tsx", "--input-type=module"];
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const { stdout } = await run(process.execPath, [...node, "-e", PROGRAM], { cwd });
  expect(stdout.trim()).toBe(String(COUNT));
});
