/** schemas/openapi.json: the OpenAPI document as the gateway serves it, from its routes. */
import { pino } from "pino";
import { Access } from "../../gateway/access.ts";
import { createApp } from "../../gateway/app.ts";
import { Callbacks } from "../../gateway/callbacks.ts";
import { EngineClient } from "../../gateway/engine-client.ts";
import { GatewayCounts } from "../../gateway/counts.ts";
import { documentOf } from "../../gateway/openapi.ts";
import { EndWaits } from "../../gateway/rest/end-waits.ts";
import { FileChecks } from "../../gateway/file-checks.ts";
import { Runs } from "../../gateway/rest/runs.ts";
import { Submissions } from "../../gateway/rest/submissions.ts";
import type { Database } from "../../sdk/postgres/index.ts";

/** The generated file by its path. No service is asked: no route is called. */
export async function generateOpenapi(): Promise<{ [path: string]: string }> {
  const logger = pino({ level: "silent" });
  const database = {} as Database;
  const engine = new EngineClient({ redisUrl: "", database });
  const runs = new Runs(engine, new EndWaits(database, logger));
  const app = await createApp({
    access: new Access([], ""),
    callbacks: new Callbacks(engine),
    rest: { runs, submissions: new Submissions(engine), checks: new FileChecks(logger) },
    counts: new GatewayCounts(),
    readiness: () => Promise.resolve({ code: 200, body: {} }),
    logger,
  });
  const text = `${JSON.stringify(documentOf(app), null, 2)}\n`;
  await app.close();
  return { "schemas/openapi.json": text };
}
