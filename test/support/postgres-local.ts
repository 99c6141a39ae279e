/**
 * A Postgres of our own from the programs installed on this machine, for as long as the tests run.
 *
 * Postgres refuses to run as root, so there it runs as the user `postgres`, or as `nobody`.
 */
import { execFile, execFileSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { spawnWatched, within } from "../../cmd/embedded/child.ts";
import { findProgram } from "../../cmd/embedded/find-program.ts";
import { isListening, pause } from "../../cmd/embedded/sockets.ts";

const run = promisify(execFile);
const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 10_000;
const NOBODY = 65534;

export interface LocalPostgres {
  url: string;
  /** Folder of its socket. */
  sockets: string;
  stop(): Promise<void>;
  /** `kill -9`, all of it; what was committed is there when it is started again in its folder. */
  kill(): Promise<void>;
  /** All of it stands still until `thaw`; connections stay. */
  freeze(): void;
  thaw(): void;
}

export interface LocalPostgresOptions {
  /** What is committed outlives the death of the server's processes; not that of the machine. */
  durable?: boolean;
}

/**
 * Starts one in `dir`, with the data of an earlier start if there is any. Returns undefined when the
 * programs are not there or do not work.
 */
export async function startLocalPostgres(
  dir: string,
  { durable = false }: LocalPostgresOptions = {},
): Promise<LocalPostgres | undefined> {
  const initdb = findProgram(["initdb"], debianFolders());
  if (initdb === undefined) {
    return undefined;
  }
  const user: Partial<User> = process.getuid?.() === 0 ? otherUser() : {};
  const [data, sockets] = [join(dir, "data"), join(dir, "s")];
  for (const folder of [dir, data, sockets]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (user.uid !== undefined && user.gid !== undefined) {
      chownSync(folder, user.uid, user.gid);
    }
  }
  const options = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"];
  const isNew = !existsSync(join(data, "PG_VERSION"));
  const made = isNew
    ? run(initdb, [...options, "--locale=C"], { ...user, cwd: dir })
    : Promise.resolve();
  if (!(await made.then(() => true).catch(() => false))) {
    return undefined;
  }
  // Durability is not what these tests are about; without it they are several times faster.
  const fast = [
    "fsync=off",
    ...(durable ? [] : ["synchronous_commit=off", "full_page_writes=off"]),
  ];
  const settings = [...fast, "listen_addresses=", "max_connections=200"];
  const args = ["-D", data, "-k", sockets, ...settings.flatMap((setting) => ["-c", setting])];
  const program = join(dirname(initdb), "postgres");
  const child = spawnWatched(program, args, { ...user, signal: "INT" });
  const url = localPostgresUrl(sockets);
  const stop = async (): Promise<void> => {
    child.process.stdin?.end();
    await within(child.ended, STOP_LIMIT_MS, "Postgres does not stop");
  };
  const head = (): number => Number.parseInt(readFileSync(join(data, "postmaster.pid"), "utf8"));
  const kill = async (): Promise<void> => {
    process.kill(head(), "SIGKILL");
    await within(child.ended, STOP_LIMIT_MS, "Postgres is not dead");
  };
  const limit = `Postgres does not answer: ${child.output()}`;
  await within(answering(postgresSocket(sockets), url), START_LIMIT_MS, limit);
  return {
    ...{ url, sockets, stop, kill },
    freeze: () => signalAll(head(), "SIGSTOP"),
    thaw: () => signalAll(head(), "SIGCONT"),
  };
}

/** The URL of a server whose socket is in this folder. */
export function localPostgresUrl(sockets: string): string {
  return `postgres://postgres@/postgres?host=${encodeURIComponent(sockets)}`;
}

export function postgresSocket(sockets: string): string {
  return join(sockets, ".s.PGSQL.5432");
}

/** To the head first: while it stands still it starts no more sessions. */
function signalAll(head: number, signal: "SIGSTOP" | "SIGCONT"): void {
  process.kill(head, signal);
  const sessions = execFileSync("pgrep", ["-P", String(head)], { encoding: "utf8" });
  for (const pid of sessions.split("\n").filter(Boolean)) {
    try {
      process.kill(Number(pid), signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}

async function answering(socket: string, url: string): Promise<void> {
  while (!(await isListening(socket))) {
    await pause(20);
  }
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => undefined);
    if (
      await client.connect().then(
        () => true,
        () => false,
      )
    ) {
      return client.end();
    }
    await pause(20);
  }
}

/** Debian keeps the server's programs out of the PATH; the newest comes first. */
function debianFolders(): string[] {
  const root = "/usr/lib/postgresql";
  try {
    const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join(root, version, "bin"));
  } catch {
    return [];
  }
}

interface User {
  uid: number;
  gid: number;
}

function otherUser(): User {
  const id = (flag: string): number =>
    Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8", stdio: "pipe" }));
  try {
    return { uid: id("-u"), gid: id("-g") };
  } catch {
    return { uid: NOBODY, gid: NOBODY };
  }
}
