/** Files that share a process leave nothing in it for the next one. */
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { pureFiles } from "./pure.ts";

/** What starts a service or a process, and what changes something that all files of a process have. */
const FORBIDDEN = [
  /\b(testRedis|testDatabase|startEngine|openTestPartition|startCli|runCli|startThread)\(/,
  /\b(spawn|spawnWatched|fork|execFile|execFileSync|createServer)\(/,
  /\bvi\.(?!fn\b)\w+/,
  /\bprocess\.(on|once|chdir|umask)\(/,
  // What others have left in memory would be counted with it.
  /\b(grownOld|memoryUsage|cpuUsage|getHeapStatistics)\(/,
  /\bprocess\.env(\.\w+|\[[^\]]*\]) = |delete process\.env|\bglobalThis\.\w+ = /,
];
const FIXTURE = /from "(\.[^"]*(?:\.fixture|\/fixtures)\.ts)"/g;

/** A test with the fixtures it names. */
function textOf(file: string): string {
  const text = readFileSync(file, "utf8");
  const fixtures = [...text.matchAll(FIXTURE)].map(([, path]) =>
    readFileSync(normalize(join(dirname(file), path ?? "")), "utf8"),
  );
  return [text, ...fixtures].join("\n");
}

describe("test files that share processes", () => {
  it("start nothing, and change nothing that others have", () => {
    const files = pureFiles();
    expect(files.length).toBeGreaterThan(100);
    const forbidden = files.flatMap((file) => {
      const text = textOf(file);
      return FORBIDDEN.flatMap((one) => one.exec(text)?.[0] ?? []).map((it) => `${file}: ${it}`);
    });
    expect(forbidden).toEqual([]);
  });
});
