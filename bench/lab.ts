/**
 * What a row of the bench works with: the services, an engine of the shape it wants, and a place
 * for what it finds.
 *
 * Rows share an engine as long as they want the same one. After a row that failed, and for a row
 * that wants another shape, stores are emptied and a new engine starts, so that no row meets what
 * another left behind.
 */
import { Engine, type EngineOptions } from "./engine.ts";
import type { BenchOptions } from "./options.ts";
import { summarise } from "./profiles.ts";
import { rateOf, type FigureRow, type ProfileRow, type Row } from "./rows.ts";
import type { Services } from "./services.ts";
import { startUsage } from "./usage.ts";

const EMPTY_TABLES = {
  name: "bench_empty",
  text: `DO $$ DECLARE names text; BEGIN
    SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') INTO names
      FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations';
    PERFORM set_config('gavotte.retention', 'on', true);
    IF names IS NOT NULL THEN EXECUTE 'TRUNCATE ' || names || ' CASCADE'; END IF;
  END $$`,
};

export class Lab {
  readonly services: Services;
  readonly options: BenchOptions;
  readonly rows: Row[] = [];
  readonly #say: (line: string) => void;
  #engine: Engine | null = null;
  #shape = "";
  #profiles: string[] = [];
  #started = 0;

  constructor(services: Services, options: BenchOptions, say: (line: string) => void) {
    this.services = services;
    this.options = options;
    this.#say = say;
  }

  /** The engine that runs if it has this shape, else a new one on empty stores. */
  async engine(options: EngineOptions = {}): Promise<Engine> {
    const shape = JSON.stringify(options);
    if (this.#engine === null || this.#shape !== shape) {
      await this.renew();
      const profile = this.options.profile ? `engine${++this.#started}` : null;
      this.#engine = await Engine.start(this.services, { profile, ...options });
      this.#shape = shape;
      const prefix = options.profile ?? profile;
      const names = this.#engine.workers.map((_, i) => `${prefix}-worker${i + 1}`);
      this.#profiles = prefix === null ? [] : [`${prefix}-supervisor`, ...names];
    }
    return this.#engine;
  }

  /** Stops the engine and empties the stores. */
  async renew(): Promise<void> {
    await this.close();
    await this.services.redis.flushdb();
    await this.services.db.query(EMPTY_TABLES);
  }

  /** Stops the engine; what its profiles say is added. */
  async close(): Promise<void> {
    const engine = this.#engine;
    this.#engine = null;
    await engine?.stop();
    const profiles = engine === null ? [] : this.#profiles.map(summarise);
    this.add(...profiles.filter((row): row is ProfileRow => row !== null));
  }

  /** Keeps what was found and tells it. */
  add(...rows: Row[]): void {
    for (const row of rows) {
      this.rows.push(row);
      this.#say(lineOf(row));
    }
  }

  /** Adds figures with a note of how busy the rest of the machine was while they were taken. */
  async addFigures(engine: Engine, measure: () => Promise<FigureRow[]>): Promise<void> {
    const stop = await startUsage(this.services.redis, engine.pids);
    const figures = await measure();
    const { others, seconds } = await stop();
    const busy = `others ${Math.round((others / seconds) * 100)} % of a core`;
    this.add(
      ...figures.map((row) => ({ ...row, note: [row.note, busy].filter(Boolean).join("; ") })),
    );
  }
}

function lineOf(row: Row): string {
  switch (row.kind) {
    case "throughput":
      return `${row.workload} ${row.system} ${row.round}: ${rateOf(row)} steps/s`;
    case "figure":
      return `${row.name}: ${row.value} ${row.unit}`;
    case "profile":
      return `profile of ${row.process}: most in ${row.top[0]?.where ?? "nothing"}`;
    case "curve":
      return `${row.name}: ${row.points.length} looks`;
    case "failure":
      return `${row.name}: NOT MEASURED: ${row.error}`;
  }
}
