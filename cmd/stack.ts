/**
 * Redis and Postgres of a command: those of the configuration, or the embedded ones.
 *
 * Who owns the embedded stack runs what the others rely on too, whatever its own command needs: the
 * schema's migrations before anybody else is let in, then a supervisor and a gateway, since another
 * process may attach at any moment. It stops them last, when nobody is attached any more.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Logger } from "pino";
import { createClient, type Client } from "../sdk/client.ts";
import { errorCode, GavotteError, startAll, stopAll, type Service } from "../sdk/internal.ts";
import { connectPostgres, migrate, type Database } from "../sdk/postgres/index.ts";
import type { Config } from "./config.ts";
import type { Context } from "./context.ts";
import type { EmbeddedStack } from "./embedded/index.ts";
import { EXIT, exitCodeOf } from "./exit.ts";
import { nobodyWatched, type Watched } from "./metrics/watched.ts";
import { gatewayOf, supervisorOf } from "./roles.ts";
import { packageVersion } from "./version.ts";

export interface Stack {
  readonly redisUrl: string;
  readonly db: Database;
  /** Null: the services are somebody else's. */
  readonly embedded: EmbeddedStack | null;
  /** What runs on it in this process, for metrics. */
  readonly watched: Watched;
  /** Aborted by an interrupt, or when the embedded stack is lost. */
  readonly signal: AbortSignal;
  /** How long a command waits for what others have to do, ms. */
  readonly patienceMs: number;
  /** A client of this stack; closed with it. */
  client(): Promise<Client>;
  /** Leaves: stops what runs here, the embedded stack when its last user is gone. */
  stop(): Promise<void>;
}

export interface StackOptions {
  config: Config;
  logger: Logger;
  /**
   * Services that the owner of the embedded stack runs for all. Default: a supervisor, and a
   * gateway on any free port.
   */
  roles?: (stack: Stack) => Promise<Service[]>;
  /** Fail instead of making an embedded stack where there never was one. */
  mustExist?: boolean;
}

const ATTACHED_POLL_MS = 100;
/** How long after the owner's death those attached have noticed it at the latest. */
const LOSS_NOTICED_MS = 1000;
/** A stack that is not up by then is said to be starting. */
const SLOW_START_MS = 3000;
/** What services may take beyond their deadline before the process goes on without them. */
const STOP_GRACE_MS = 5000;

/** Connects to what is configured, or starts or attaches to the embedded stack. */
export async function openStack(context: Context, options: StackOptions): Promise<Stack> {
  const { redis_url: redisUrl, database_url: url } = options.config.values;
  if (redisUrl !== null && url !== null) {
    const connectionsMax = options.config.values.database_connections_max;
    const db = connectPostgres({ url, connectionsMax, name: "cli" });
    return new OpenStack(context, options, { redisUrl, db, embedded: null });
  }
  const dir = resolve(context.cwd, options.config.values.data_dir);
  if (options.mustExist === true && !existsSync(dir)) {
    const message =
      `there are no services: redis_url and database_url are not set, and ${dir} holds no ` +
      'embedded stack yet; "gavotte run" or "gavotte dev" makes one';
    throw new GavotteError("GV_BAD_CONFIG", message);
  }
  return openEmbedded(context, options, dir);
}

/**
 * Stops services that use a stack. They wait for their Redis while it is away; when the embedded
 * one is lost it never comes back, and nothing else may keep a process for ever either.
 */
export async function stopServices(
  stack: Stack,
  services: readonly Service[],
  deadlineMs: number,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, deadlineMs + STOP_GRACE_MS);
  });
  const lost = stack.embedded === null ? [] : [stack.embedded.lost];
  await Promise.race([stopAll(services, deadlineMs), late, ...lost]).finally(() =>
    clearTimeout(timer),
  );
}

/**
 * The error to tell: when the owner of the embedded stack dies, a query may fail before its loss is
 * noticed, and that a service is away is then only the consequence.
 */
export async function causeOf(stack: Stack, error: unknown): Promise<unknown> {
  if (stack.embedded === null || exitCodeOf(error) !== EXIT.unreachable) {
    return error;
  }
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), LOSS_NOTICED_MS);
  });
  const isLost = await Promise.race([stack.embedded.lost.then(() => true as const), late]);
  clearTimeout(timer);
  return isLost ? stack.signal.reason : error;
}

/** `note` is told if this takes so long that whoever waits for it wonders. */
export async function notedIfSlow<T>(
  work: Promise<T>,
  note: () => void,
  slowMs = SLOW_START_MS,
): Promise<T> {
  const timer = setTimeout(note, slowMs);
  return work.finally(() => clearTimeout(timer));
}

async function openEmbedded(context: Context, options: StackOptions, dir: string): Promise<Stack> {
  const { startEmbedded } = await import("./embedded/index.ts");
  const starting = startEmbedded({
    dir,
    version: packageVersion(),
    log: (message) => context.output.note(message),
    prepare: ({ databaseUrl }) => migrateEmbedded(databaseUrl),
  });
  const text = `the embedded stack in ${dir} is starting; the first time takes longer`;
  const embedded = await notedIfSlow(starting, () => context.output.note(text)).catch(
    (error: unknown) => {
      throw stackError(error, dir);
    },
  );
  const db = connectPostgres({ url: embedded.databaseUrl, singleSession: true, name: "cli" });
  const stack = new OpenStack(context, options, { redisUrl: embedded.redisUrl, db, embedded });
  try {
    if (embedded.owner) {
      await stack.startRoles();
    }
    return stack;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

/** Whatever keeps the stack from starting is one thing to who asked for it. */
function stackError(error: unknown, dir: string): unknown {
  if (errorCode(error) !== null) {
    return error;
  }
  const reason = error instanceof Error ? error.message : String(error);
  const message = `the embedded stack in ${dir} cannot start: ${reason}`;
  return new GavotteError("GV_STACK_FAILED", message, { cause: error });
}

async function migrateEmbedded(url: string): Promise<void> {
  const db = connectPostgres({ url, singleSession: true, name: "migrate" });
  await migrate(db).finally(() => db.close());
}

class OpenStack implements Stack {
  readonly redisUrl: string;
  readonly db: Database;
  readonly embedded: EmbeddedStack | null;
  readonly watched = nobodyWatched();
  readonly signal: AbortSignal;
  readonly #context: Context;
  readonly #options: StackOptions;
  #services: Service[] = [];
  #client: Promise<Client> | null = null;
  #stopping: Promise<void> | null = null;

  constructor(
    context: Context,
    options: StackOptions,
    parts: Pick<Stack, "redisUrl" | "db" | "embedded">,
  ) {
    this.#context = context;
    this.#options = options;
    this.redisUrl = parts.redisUrl;
    this.db = parts.db;
    this.embedded = parts.embedded;
    const lost = new AbortController();
    void this.embedded?.lost.then(() => {
      const message = "the process that ran the embedded stack is gone; start again";
      lost.abort(new GavotteError("GV_STACK_FAILED", message));
    });
    this.signal = AbortSignal.any([context.signal, lost.signal]);
  }

  async startRoles(): Promise<void> {
    this.#services = await (this.#options.roles?.(this) ?? this.#usualRoles());
    await startAll(this.#services, this.#options.config.values.shutdown_ms);
  }

  async #usualRoles(): Promise<Service[]> {
    const { config, logger } = this.#options;
    const role = { config, logger, stack: this };
    return [await supervisorOf(role), gatewayOf(role, true)];
  }

  get patienceMs(): number {
    return this.#options.config.values.submit_timeout_ms;
  }

  client(): Promise<Client> {
    const submitTimeoutMs = this.patienceMs;
    const { redisUrl, db: database } = this;
    this.#client ??= createClient({ redisUrl, database, submitTimeoutMs });
    return this.#client;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const now = await this.#untilAlone();
    await stopServices(this, this.#services, this.#options.config.values.shutdown_ms);
    await this.#client?.then(
      (client) => client.close(),
      () => undefined,
    );
    await this.db.close();
    await this.embedded?.stop({ now });
  }

  /**
   * The owner's roles are everybody's: they stop after the last process that is attached, or with
   * an interrupt that comes during the wait. True: others are still there.
   */
  async #untilAlone(): Promise<boolean> {
    const attached = (): number => this.embedded?.attachedCount() ?? 0;
    const { output, signal } = this.#context;
    const interruptedBefore = signal.aborted;
    if (attached() > 0) {
      const how = interruptedBefore ? "interrupt again" : "interrupt";
      output.note(
        `${attached()} other process(es) use this stack; it stops after them (${how}: at once)`,
      );
    }
    while (attached() > 0 && signal.aborted === interruptedBefore) {
      await new Promise((done) => setTimeout(done, ATTACHED_POLL_MS));
    }
    return attached() > 0;
  }
}
