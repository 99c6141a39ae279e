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
