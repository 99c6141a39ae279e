import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { globSync } from "tinyglobby";
import { pureFiles } from "./pure.ts";
import { LONGEST } from "./sequencer.ts";

/**
 * Test files that ask for services and change nothing else outside of themselves. They share processes
 * as the pure ones do (test/support/pure.ts), one after the other: each has databases of its own, and
 * closes what it opened. A process's start and the loading of all modules cost each a third of a
 * second of a core.
 *
 * Which they are, their text says: a file that starts a process, sets a clock or spies on a module
 * (CHANGES) has a process of its own. So has each of those that begin first (test/support/sequencer.ts).
 */
const PATTERNS: readonly string[] = [
  "{gateway,sdk,supervisor,worker}/**/*.test.ts",
  "test/{audit,children,e2e,hibernate,operations,store}/*.test.ts",
  "test/*.test.ts",
];

/** What starts a process, and what changes or measures something that all files of a process have. */
export const CHANGES: readonly RegExp[] = [
  /\b(startCli|runCli|startThread)\(/,
  // A Redis of its own is no more than a service, too.
  /\b(spawn(?!\("redis-server")|spawnWatched|fork|execFile|execFileSync|createServer)\(/,
  // A spy on what the file itself has made (its partition, its connection) ends with it.
  /\bvi\.(?!(?:fn|waitFor)\b|spyOn\((?:p\.|redis,))\w+/,
  /\bprocess\.(on|once|chdir|umask)\(/,
  // What others have left in memory would be counted with it.
  /\b(grownOld|memoryUsage|cpuUsage|getHeapStatistics)\(/,
  /\bprocess\.env(\.\w+|\[[^\]]*\]) = |delete process\.env|\bglobalThis\.\w+ = /,
];
const FIXTURE = /from "(\.[^"]*(?:\.fixture|\/fixtures)\.ts)"/g;

/** A test with the fixtures it names. */
export function textOf(file: string): string {
  const text = readFileSync(file, "utf8");
  const fixtures = [...text.matchAll(FIXTURE)].map(([, path]) =>
    readFileSync(normalize(join(dirname(file), path ?? "")), "utf8"),
  );
  return [text, ...fixtures].join("\n");
}

/** Those files, below a folder. */
export function servedFiles(cwd = process.cwd()): string[] {
  const ignore = [...pureFiles(cwd), ...LONGEST];
  return globSync([...PATTERNS], { cwd, ignore }).filter((file) => {
    const text = textOf(join(cwd, file));
    return CHANGES.every((one) => !one.test(text));
  });
}
