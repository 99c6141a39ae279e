/**
 * The Redis the tests run against, and a logical database of it for each test file.
 *
 * In order: the server of GAVOTTE_REDIS_URL; a container, where a Docker engine has the image; a
 * server of our own on a private socket.
 */
import { join } from "node:path";
import { startRedis } from "../../cmd/embedded/redis-child.ts";
import { connectRedis } from "../../sdk/redis/connect.ts";
import { startContainer } from "./containers.ts";

const OWN_DATABASES = 4096;
const REDIS_IMAGE = "redis:7-alpine";

interface Server {
  url: string;
  stop(): Promise<void>;
}

export class RedisService {
  readonly #dir: string;
  #server: Promise<Server> | undefined;
  #databases = 0;
  readonly #taken = new Set<number>();

  /** Nothing is started before the first `take`. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** The URL of an empty logical database nobody else has. */
  async take(): Promise<string> {
    this.#server ??= this.#start();
    const { url } = await this.#server;
    // Database 0 of a server that is not ours is left alone.
    let number = 1;
    while (this.#taken.has(number)) {
      number += 1;
    }
    if (number >= this.#databases) {
      throw new Error(`all ${this.#databases} databases of the test Redis are taken; close some`);
    }
    this.#taken.add(number);
    const mine = withDatabase(url, number);
    const redis = connectRedis({ url: mine }, "test:take");
    await redis.flushdb();
    redis.disconnect();
    return mine;
  }

  /** Gives a database back. */
  release(url: string): void {
    const parsed = new URL(url);
    this.#taken.delete(Number(parsed.searchParams.get("db") ?? parsed.pathname.slice(1)));
  }

  async stop(): Promise<void> {
    await this.#server?.then((server) => server.stop()).catch(() => undefined);
  }

  async #start(): Promise<Server> {
    const given = process.env["GAVOTTE_REDIS_URL"];
    const server = given
      ? { url: given, stop: async () => undefined }
      : ((await this.#container()) ?? (await this.#own()));
    const redis = connectRedis({ url: server.url }, "test:start");
    if (!given) {
      // One file's FLUSHALL would empty the databases of all others in the middle of their steps.
      await redis.acl("SETUSER", "default", "-flushall", "-swapdb", "-script|flush");
    }
    // Some hosted servers refuse CONFIG; sixteen is what they have.
    const answer = await redis.config("GET", "databases").catch(() => []);
    this.#databases = Number((answer as string[])[1] ?? 16);
    redis.disconnect();
    return server;
  }

  async #container(): Promise<Server | undefined> {
    const command = ["redis-server", "--databases", String(OWN_DATABASES), "--save", ""];
    const started = await startContainer({ image: REDIS_IMAGE, port: 6379, command });
    return started && { url: `redis://${started.host}:${started.port}`, stop: started.stop };
  }

  async #own(): Promise<Server> {
    const place = { dataDir: join(this.#dir, "redis"), socket: join(this.#dir, "redis.sock") };
    return startRedis({ ...place, databases: OWN_DATABASES, persistent: false });
  }
}

function withDatabase(url: string, number: number): string {
  const parsed = new URL(url);
  if (parsed.protocol === "unix:") {
    parsed.searchParams.set("db", String(number));
  } else {
    parsed.pathname = `/${number}`;
  }
  return parsed.href;
}
