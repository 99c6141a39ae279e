import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { waitFor } from "../../test/support/wait-for.ts";
import { spawnWatched } from "./child.ts";

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** The group of a watched program: its shell, the program, and the watcher. */
const groupIsGone = (leader: number | undefined): boolean => !isAlive(-Number(leader));

/** Where there is no /proc nobody knows, and it is taken for whole. */
function sizeOfGroup(leader: number | undefined): number {
  if (!existsSync("/proc/self/stat")) {
    return Number.POSITIVE_INFINITY;
  }
  const groups = readdirSync("/proc").map((pid) => {
    try {
      // Behind the name, which may hold anything in its parentheses: state, parent, group.
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
    } catch {
      return 0;
    }
  });
  return groups.filter((group) => group === leader).length;
}

describe("a watched program", () => {
  it("ends with its own exit code, and its watcher with it", async () => {
    const watched = spawnWatched("sh", ["-c", "echo said; exit 7"]);
    expect(await watched.ended).toBe("exit 7");
    expect(watched.output()).toBe("said");
    await waitFor(() => groupIsGone(watched.process.pid));
  });

  it("is asked to stop when the pipe to its parent closes", async () => {
    const program = "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    const watched = spawnWatched("sh", ["-c", program]);
    await waitFor(() => watched.output() === "up");
    watched.process.stdin?.end();
    expect(await watched.ended).toBe("exit 0");
    await waitFor(() => watched.output() === "up\nasked");
    await waitFor(() => groupIsGone(watched.process.pid));
  });

  it("is stopped also when its shell is killed", async () => {
    const watched = spawnWatched("sleep", ["60"]);
    // Its shell, the program, the watcher and the pipe's reader: who is killed sooner watches nobody yet.
    await waitFor(() => sizeOfGroup(watched.process.pid) >= 4);
    watched.process.kill("SIGKILL");
    await watched.ended;
    await waitFor(() => groupIsGone(watched.process.pid));
  });

  it("tells why it could not be run", async () => {
    const watched = spawnWatched("no-such-program", []);
    expect(await watched.ended).toBe("exit 127");
    expect(watched.output()).toContain("no-such-program");
  });
});
