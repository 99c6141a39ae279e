/**
 * CPU profiles as text: where a process spends its own time, most first. The .cpuprofile beside it
 * is for a flame graph (a browser's developer tools open it).
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { sourceOf } from "./build.ts";
import type { ProfileRow } from "./rows.ts";
import { round } from "./usage.ts";

/** Not in git. */
const PROFILES = fileURLToPath(new URL("profiles/", import.meta.url));
const TOP = 20;

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}

/** The file of a profile. */
export function profileFile(name: string): string {
  return join(PROFILES, `${name}.cpuprofile`);
}

/** Profiles this process from now on, so without its start; what it gives writes `path`. */
export async function startProfile(path: string): Promise<() => Promise<void>> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  return async () => {
    const { profile } = await session.post("Profiler.stop");
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, JSON.stringify(profile));
    session.disconnect();
  };
}

/** Reads profiles/<name>.cpuprofile, writes <name>.txt beside it; null if there is none. */
export function summarise(name: string): ProfileRow | null {
  const path = profileFile(name);
  if (!existsSync(path)) {
    return null;
  }
  const top = selfTimes(JSON.parse(readFileSync(path, "utf8")) as CpuProfile).slice(0, TOP);
  writeFileSync(
    join(PROFILES, `${name}.txt`),
    profileText({ kind: "profile", process: name, top }),
  );
  return { kind: "profile", process: name, top };
}

/** The lines of a profile under its name. */
export function profileText({ process, top }: ProfileRow): string {
  const lines = top.map(({ percent, where }) => `${percent.toFixed(1).padStart(6)} %  ${where}`);
  return `${process}, self time, of the time that it was not idle\n${lines.join("\n")}\n`;
}

/** Self time per function, idle time left out. */
function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): ProfileRow["top"] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const times = new Map<string, number>();
  samples.forEach((id, i) => {
    const where = names.get(id) ?? "?";
    times.set(where, (times.get(where) ?? 0) + Math.max(0, timeDeltas[i] ?? 0));
  });
  ["(idle)", "(root)"].forEach((name) => times.delete(name));
  const all = [...times.values()].reduce((sum, time) => sum + time, 0);
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .map(([where, time]) => ({ percent: round((time / all) * 100, 1), where }));
}

function placeOf({ functionName, url, lineNumber }: CpuProfile["nodes"][number]["callFrame"]) {
  if (url === "") {
    return functionName;
  }
  const name = functionName || "(anonymous)";
  const source = sourceOf(url, lineNumber);
  if (source !== null) {
    return `${name} ${source}`;
  }
  // The tail of the path says enough, and is the same on every machine.
  return `${name} ${url.split("/").slice(-3).join("/")}:${lineNumber + 1}`;
}
