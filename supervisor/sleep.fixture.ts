/**
 * A run that waits, in a whole engine whose supervisor has stopped: its parts are in the hands of the
 * test, which lets them act one at a time.
 */
import type { Ir } from "../compiler/ir.ts";
import { createClient, type Client } from "../sdk/index.ts";
import { hibernateRuns, type HibernateAnswer, type ScriptRunner } from "../sdk/internal.ts";
import { readRun, type RunRow } from "../sdk/postgres/index.ts";
import { startEngine, type Engine } from "../test/harness/engine.ts";
import { waitFor } from "../test/support/index.ts";
import { Archiver } from "./archiver.ts";
import { Certifier } from "./certify.ts";
import { Children } from "./children.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import type { Explanation } from "./explain.ts";
import { rebuildRuns } from "./rebuild.ts";
import { Releaser } from "./release.ts";
import { contextOf } from "./stack.fixture.ts";
import { Starter } from "./starter.ts";
import { Waker } from "./waker.ts";
import { whyRun } from "./why/why.ts";

export class SleepStage {
  readonly engine: Engine;
  readonly client: Client;
  readonly context: SupervisorContext & { close(): void };
  readonly certifier: Certifier;
  readonly releaser: Releaser;
  readonly children: Children;
  readonly #others: Archiver[] = [];

  private constructor(engine: Engine, client: Client, context: SleepStage["context"]) {
    this.engine = engine;
    this.client = client;
    this.context = context;
    this.certifier = new Certifier(context, 0);
    this.releaser = new Releaser(context, 0);
    this.children = new Children(context, 0);
  }

  /** Has `submit` bring runs to where they wait, then takes the place of the engine's supervisor. */
  static async open(
    submit: (client: Client, engine: Engine) => Promise<unknown>,
  ): Promise<SleepStage> {
    const engine = await startEngine();
    await engine.worker();
    const client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
    await submit(client, engine);
    await engine.supervisor.stop(5000);
    const stack = { redisUrl: engine.redisUrl, db: engine.db, redis: engine.redis };
    const context = await contextOf(stack as Parameters<typeof contextOf>[0]);
    context.onRollback = (rollback) => rebuildRuns(rollback, context);
    const stage = new SleepStage(engine, client, context);
    await stage.certifier.start();
    await stage.archive();
    return stage;
  }

  get scripts(): ScriptRunner {
    return scriptsOf(this.context, 0);
  }

  /** Archives from here on. */
  async archive(): Promise<void> {
    const { context, certifier, releaser, children } = this;
    const own = { certifier, releaser, children, starter: new Starter(context) };
    const archiver = new Archiver({ context, partition: 0, ...own });
    this.#others.push(archiver);
    await archiver.start();
  }

  /** Nothing is archived from here on. */
  async holdArchive(): Promise<void> {
    await this.#others.at(-1)?.stop(1000);
  }

  async sleep(runId: string): Promise<HibernateAnswer | undefined> {
    const [answer] = await hibernateRuns(this.scripts, [runId], 1000);
    return answer;
  }

  async row(runId: string): Promise<RunRow> {
    return (await readRun(this.engine.db, runId)) as RunRow;
  }

  /** Frozen and committed; its keys are still there unless somebody has removed them. */
  async committed(runId: string): Promise<number> {
    return waitFor(async () => (await this.row(runId)).sleepSeq ?? undefined, {
      describe: "its sleep is not committed",
    });
  }

  waker(context: SupervisorContext = this.context): Waker {
    return new Waker(context, 0, this.certifier, this.children);
  }

  /** Looks until the run is awake. */
  async wake(runId: string, waker = this.waker()): Promise<RunRow> {
    return waitFor(
      async () => {
        await waker.look();
        const row = await this.row(runId);
        return row.asleepSinceMs === null ? row : undefined;
      },
      { describe: "nobody wakes it" },
    );
  }

  /** What `gavotte why` says of it. */
  async why(runId: string): Promise<Explanation | null> {
    const { context } = this;
    const irOf = async (hash: string): Promise<Ir | null> =>
      (await context.irs.load([hash])).get(hash)?.ir ?? null;
    const { redis, db, deployment } = context;
    const told = await whyRun({ redis, db, deployment, runId, irOf });
    // The stage has the services that a test starts, and no supervisor.
    const reasons = (told?.reasons ?? []).filter(({ kind }) => kind !== "no_supervisor");
    return told === null ? null : { ...told, reasons };
  }

  async close(): Promise<void> {
    const services = [...this.#others, this.certifier, this.releaser];
    await Promise.all(services.map((one) => one.stop(2000)));
    this.context.close();
    await this.client.close();
    await this.engine.stop();
  }
}
