/**
 * `gavotte run FILE`: one run, executed here, from file to output.
 *
 * The run gets a namespace of its own that only the worker of this process serves: two of these
 * commands never execute each other's functions, whatever stack they share. It is written down in
 * Postgres, so that a supervisor ends the run and removes its queues if this process is killed. While
 * anything that came of the run is open, the process goes on serving it.
 */
import { hostname } from "node:os";
import { uuidv7 } from "uuidv7";
import { nearestName } from "../../condition/suggest.ts";
import { canonicalJson, type Ir, type Json } from "../../compiler/index.ts";
import type { Start } from "../../compiler/reference/index.ts";
import type { Client } from "../../sdk/client.ts";
import { reportOf, resolveOutputs, type RunReport } from "../../sdk/client-report.ts";
import {
  errorCode,
  GavotteError,
  isTerminal,
  machineName,
  newNamespace,
  removeNamespace,
  RunView,
  type Service,
} from "../../sdk/internal.ts";
import { insertDefinitions, type RunNamespace } from "../../sdk/postgres/index.ts";
import type { FunctionRegistry, Worker } from "../../worker/index.ts";
import { functionsIn, queuesIn, workflowsBelow } from "../called-workflows.ts";
import type { Config } from "../config.ts";
import type { Context } from "../context.ts";
import type { Flags } from "../define.ts";
import { EXIT } from "../exit.ts";
import { LiveView } from "../live-view.ts";
import { createLogger } from "../logger.ts";
import { createNamespaceBeat } from "../namespace-beat.ts";
import { readInput } from "../read-input.ts";
import { readStart, startMembers } from "../read-start.ts";
import { readWorkflow, tellDiagnostics, type WorkflowFile } from "../read-workflow.ts";
import { DEPLOYMENT_WAIT_MS, registryOf, workerId, workerOf } from "../roles.ts";
import { serveRest } from "../serve-rest.ts";
import { causeOf, openStack, stopServices, type Stack } from "../stack.ts";
import { tellEnd } from "../tell-run.ts";

interface Prepared {
  file: WorkflowFile;
  ir: Ir;
  hash: string;
  input: Json;
  start: Start | null;
  registry: FunctionRegistry;
}

/** How long a cancelled run may take to be told of. */
const CANCEL_WAIT_MS = 5000;
const CANCEL_POLL_MS = 50;

/** Runs a workflow. 0 completed, 1 failed or the workflow has errors. */
export async function run(context: Context, file: string, flags: Flags): Promise<number> {
  const config = await context.config();
  const prepared = await prepare(context, config, file, flags);
  if (prepared === null) {
    return EXIT.failed;
  }
  const logger = createLogger(config, "error");
  const stack = await openStack(context, { config, logger });
  let worker: Worker | null = null;
  let kept: RunNamespace | null = null;
  let beat: Service | null = null;
  try {
    const { namespace, suffix } = newNamespace();
    // Once there is a deployment there are tables.
    await (await stack.client()).deployment(DEPLOYMENT_WAIT_MS);
    const irs = [prepared.ir, ...(await workflowsBelow(stack.db, prepared.ir))];
    const registry = complete(context, flags, prepared.registry, irs);
    const id = workerId(suffix);
    const role = { config, logger, stack, registry, id, namespace };
    worker = await workerOf({ ...role, queues: irs.flatMap(queuesIn) });
    await worker.start();
    const { queues } = worker;
    const place = { host: hostname(), machine: await machineName(), pid: process.pid };
    kept = { namespace, runId: uuidv7(), queues, ...place };
    beat = createNamespaceBeat(stack.db, kept, logger);
    await beat.start();
    const report = await execute(context, stack, prepared, kept);
    const code = tellEnd(context, report);
    await serveRest(context, stack.db, kept);
    return code;
  } catch (error) {
    throw await causeOf(stack, error);
  } finally {
    const deadlineMs = context.signal.aborted ? 0 : config.values.shutdown_ms;
    await stopServices(
      stack,
      [beat, worker].filter((one) => one !== null),
      deadlineMs,
    );
    await (kept === null ? undefined : tidyUp(stack, kept));
    await stack.stop();
  }
}

/** Everything that can be wrong before something is started. Null: the file has errors. */
async function prepare(
  context: Context,
  config: Config,
  path: string,
  flags: Flags,
): Promise<Prepared | null> {
  const file = await readWorkflow(context, path, flags);
  const { ir, hash, diagnostics } = file.result;
  await tellDiagnostics(context, file);
  if (ir === null || hash === null) {
    const code = "GV_WORKFLOW_INVALID";
    const message = `${file.file} has errors`;
    context.output.document({ error: { code, message }, diagnostics });
    return null;
  }
  const input = await readInput(context, flags.input);
  const start = await readStart({ file, ir }, input, flags);
  const registry = await registryOf(config.values.functions);
  return { file, ir, hash, input, start, registry: complete(context, flags, registry, [ir]) };
}

/** The registry with all that these workflows call. Throws GV_FUNCTIONS_INVALID. */
function complete(
  { output }: Context,
  flags: Flags,
  registry: FunctionRegistry,
  irs: readonly Ir[],
): FunctionRegistry {
  const lacks = (name: string): boolean => !registry.has(name);
  const missing = [...new Set(irs.flatMap(functionsIn))].filter(lacks);
  if (missing.length === 0) {
    return registry;
  }
  const names = missing.join(", ");
  if (flags.stub !== true) {
    const callers = irs.filter((ir) => functionsIn(ir).some(lacks)).map(({ name }) => name);
    const remedy = "give the module that defines them (--functions file.ts), or --stub";
    const meant = missing.flatMap((name) => nearestName(name, registry.names()) ?? []);
    const guess = meant.length === 0 ? "" : ` (did you mean ${meant.join(", ")}?)`;
    const message = `nothing here defines ${names}${guess}, called by ${callers.join(", ")}; ${remedy}`;
    throw new GavotteError("GV_FUNCTIONS_INVALID", message);
  }
  output.note(`stubbed, they return their input: ${names}`);
  return registry.withStubs(missing);
}

async function execute(
  context: Context,
  stack: Stack,
  prepared: Prepared,
  kept: RunNamespace,
): Promise<RunReport> {
  const { namespace, runId } = kept;
  const { ir, hash, input, start, file } = prepared;
  const client = await stack.client();
  const text = canonicalJson(ir as unknown as Json);
  const { tags } = file.result;
  const about = { name: ir.name, version: ir.workflow_version, tags, createdAtMs: Date.now() };
  await insertDefinitions(stack.db, [{ ...about, hash, ir: text, source: file.text }]);
  const { signal } = stack;
  signal.throwIfAborted();
  try {
    const request = { hash, input, namespace, run_id: runId, ...startMembers(start) };
    await client.submit(request, { signal });
    return await follow(context, stack, client, runId, ir);
  } catch (error) {
    if (context.signal.aborted) {
      await cancel(client, runId);
      await serveRest(context, stack.db, kept);
    }
    throw error;
  }
}

/** Removes the run's queues if nothing of it is open; what fails here, a supervisor does later. */
async function tidyUp(stack: Stack, kept: RunNamespace): Promise<void> {
  try {
    const client = await stack.client();
    const { partitions } = await client.deployment();
    await removeNamespace({ redis: client.redis, db: stack.db }, partitions, kept);
  } catch {
    // Postgres or Redis are away: the namespace stays written down, and is silent.
  }
}

async function follow(
  context: Context,
  stack: Stack,
  client: Client,
  runId: string,
  ir: Ir,
): Promise<RunReport> {
  const folded = new RunView(ir);
  const depths: { [id: string]: number } = {};
  ir.analysis.levels.forEach((level, depth) => {
    level.forEach((n) => (depths[ir.nodes[n]?.id ?? ""] = depth));
  });
  const hidden = new Set(ir.nodes.filter((node) => node.synthetic).map((node) => node.id));
  const live = new LiveView(context.output, `${ir.name} ${runId}`, depths);
  const show = (id: string): void => {
    const view = folded.nodes[id];
    if (view !== undefined && !hidden.has(id)) {
      live.node(id, view);
    }
  };
  // All of them from the beginning, in their order.
  Object.keys(folded.nodes).forEach(show);
  try {
    for await (const { row, transitions } of client.follow(runId, { signal: stack.signal })) {
      const changed = new Set<string>();
      for (const { transition, t } of transitions) {
        for (const id of folded.apply(transition, t)) {
          changed.add(id);
        }
      }
      Object.keys(folded.nodes)
        .filter((id) => changed.has(id))
        .forEach(show);
      live.status(row.status);
      if (isTerminal(row.status)) {
        await (context.output.json ? resolveOutputs(stack.db, folded) : undefined);
        return reportOf(row, folded);
      }
    }
  } finally {
    live.end();
  }
  throw new GavotteError("GV_RUN_NOT_FOUND", `run ${runId} vanished while it was followed`);
}

/**
 * After an interrupt: the run ends too, because nobody else serves its namespace. It may be on its
 * way still, and become known in a moment.
 */
async function cancel(client: Client, runId: string): Promise<void> {
  const until = performance.now() + CANCEL_WAIT_MS;
  for (;;) {
    try {
      await client.cancel(runId, "interrupted");
      await client.ended(runId, { timeoutMs: CANCEL_WAIT_MS });
      return;
    } catch (error) {
      if (errorCode(error) !== "GV_RUN_NOT_FOUND" || performance.now() > until) {
        return; // It ended by itself meanwhile, or the services are gone: nothing is left to cancel.
      }
    }
    await new Promise((done) => setTimeout(done, CANCEL_POLL_MS));
  }
}
