/** The command line as a process, in a folder of its own and without the caller's configuration. */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
/**
 * What `npm test` has just built (scripts/test.sh), as a user gets it: it starts in a third of the
 * time. Else the sources, so that `npx vitest` never runs what was built before the last change.
 */
const built = process.env["GAVOTTE_TEST_PROGRAM"] ?? "";
const PROGRAM =
  built === ""
    ? ["--import", import.meta.resolve("tsx"), join(root, "cmd/main.ts")]
    : [join(root, built)];

/** The folder of the example workflows. */
export const EXAMPLES = join(root, "test_data");

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CliProcess {
  child: ChildProcess;
  ended: Promise<CliResult>;
  /** Resolves when stdout or stderr has contained `text`; rejects if the process ends before. */
  said(text: string): Promise<void>;
}

export interface CliOptions {
  /** Standard input. */
  input?: string;
  /** A file for standard output instead of a pipe. */
  stdout?: string;
  /** Variables besides those of this process that are not ours. */
  env?: { [name: string]: string };
}

/** Starts a command in `cwd`. */
export function startCli(
  cwd: string,
  args: readonly string[],
  options: CliOptions = {},
): CliProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("GAVOTTE_"));
  const env = { ...Object.fromEntries(inherited), ...options.env };
  const argv = [...PROGRAM, ...args];
  const stdout = options.stdout === undefined ? "pipe" : openSync(options.stdout, "w");
  const child = spawn(process.execPath, argv, { cwd, env, stdio: ["pipe", stdout, "pipe"] });
  if (typeof stdout === "number") closeSync(stdout);
  const result: CliResult = { code: null, stdout: "", stderr: "" };
  const listeners = new Set<() => void>();
  const hear = (stream: "stdout" | "stderr") => (text: Buffer) => {
    result[stream] += text.toString();
    listeners.forEach((listener) => listener());
  };
  child.stdout?.on("data", hear("stdout"));
  child.stderr?.on("data", hear("stderr"));
  child.stdin?.end(options.input ?? "");
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ ...result, code }));
  });
  const said = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (`${result.stdout}${result.stderr}`.includes(text)) {
          listeners.delete(look);
          resolve();
        }
      };
      listeners.add(look);
      look();
      const tooLate = ({ stderr }: CliResult): void =>
        reject(new Error(`it ended without saying "${text}": ${stderr}`));
      void ended.then(tooLate, reject);
    });
  return { child, ended, said };
}

/** Runs a command in `cwd` to its end. */
export function runCli(
  cwd: string,
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  return startCli(cwd, args, options).ended;
}

/** `gavotte dev` in a folder, for the commands of a test file. */
export interface Dev {
  /** Interrupts it, removes the folder, and gives its exit code. */
  stop(): Promise<number | null>;
}

/** Starts one; resolves when it is running. */
export async function startDev(cwd: string, ...options: string[]): Promise<Dev> {
  const dev = startCli(cwd, ["dev", "--gateway-listen", "127.0.0.1:0", ...options]);
  await dev.said("running; Ctrl-C stops");
  return {
    async stop() {
      dev.child.kill("SIGINT");
      const { code } = await dev.ended;
      rmSync(cwd, { recursive: true, force: true });
      return code;
    },
  };
}
