/** `gavotte submit FILE`: hands a run to the supervisors; others execute it. */
import { canonicalJson, type Json } from "../../compiler/index.ts";
import type { SubmissionRequest } from "../../sdk/client.ts";
import { errorCode, GavotteError, meantRef, PRIORITIES, RUN_ID } from "../../sdk/internal.ts";
import { insertDefinitions } from "../../sdk/postgres/index.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { withClient } from "../with-client.ts";
import type { Flags } from "../define.ts";
import { readInput } from "../read-input.ts";
import { readNamespace } from "../read-namespace.ts";
import { readChoice } from "../read-option.ts";
import { readStart, startMembers } from "../read-start.ts";
import { readWorkflow, tellDiagnostics } from "../read-workflow.ts";
import { standstillTeller } from "../standstill.ts";
import { tellEnd } from "../tell-run.ts";
import type { Stack } from "../stack.ts";

/** Prints the run's id once it is stored; with `wait` what came of it. */
export async function submit(context: Context, file: string, flags: Flags): Promise<number> {
  const options = optionsOf(flags);
  const input = await readInput(context, flags.input);
  const prepare =
    flags.ref === true
      ? await refOf(file, input, flags)
      : await fileOf(context, file, input, flags);
  if (prepare === null) {
    return EXIT.failed;
  }
  return withClient(context, async (client, stack) => {
    const { signal } = stack;
    const request = { ...(await prepare(stack)), ...options, input };
    const runId = await client.submit(request, { signal }).catch(async (error: unknown) => {
      const { workflow_ref: ref } = request;
      const isUnknown = errorCode(error) === "GV_WORKFLOW_NOT_FOUND" && ref !== undefined;
      const meant = isUnknown ? await meantRef(stack.db, ref) : "";
      throw meant === "" ? error : withHint(error as GavotteError, meant);
    });
    if (flags.wait !== true) {
      context.output.line(runId);
      context.output.document({ run_id: runId, status: "accepted" });
      return EXIT.done;
    }
    context.output.note(`run ${runId}`);
    const teller = standstillTeller(context.output, await context.config(), client, runId);
    await teller.start();
    try {
      await client.ended(runId, { signal });
    } finally {
      await teller.stop(0);
    }
    return tellEnd(context, await client.status(runId));
  });
}

function withHint(error: GavotteError, hint: string): GavotteError {
  const { code, details, message } = error;
  return new GavotteError(code, message + hint, { details, cause: error });
}

type Prepare = (stack: Stack) => Promise<SubmissionRequest>;

async function refOf(ref: string, input: Json, flags: Flags): Promise<Prepare> {
  const begin = startMembers(await readStart(null, input, flags));
  return () => Promise.resolve({ workflow_ref: ref, ...begin });
}

/** A file is compiled here, so that its author gets lines and columns, and stored by its hash. */
async function fileOf(
  context: Context,
  path: string,
  input: Json,
  flags: Flags,
): Promise<Prepare | null> {
  const read = await readWorkflow(context, path, flags);
  const { result, file, text } = read;
  const { ir, hash, tags, diagnostics } = result;
  await tellDiagnostics(context, { text, result });
  if (ir === null || hash === null) {
    const error = { code: "GV_WORKFLOW_INVALID", message: `${file} has errors` };
    context.output.document({ error, diagnostics });
    return null;
  }
  const begin = startMembers(await readStart({ file: read, ir }, input, flags));
  return async (stack) => {
    const about = { name: ir.name, version: ir.workflow_version, tags, createdAtMs: Date.now() };
    const definition = { ...about, hash, ir: canonicalJson(ir as unknown as Json), source: text };
    await insertDefinitions(stack.db, [definition]);
    return { hash, ...begin };
  };
}

/** What the supervisor would refuse with a dead letter is wrong usage here. Throws GV_BAD_INPUT. */
function optionsOf(flags: Flags): SubmissionRequest {
  const { idempotencyKey, runId, priority, tenant, namespace } = flags as {
    [flag: string]: string;
  };
  if (runId !== undefined && !RUN_ID.test(runId)) {
    const message = `--run-id takes a UUID in lower case, best of version 7, not "${runId}"`;
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  return {
    ...(idempotencyKey === undefined ? {} : { idempotency_key: idempotencyKey }),
    ...(runId === undefined ? {} : { run_id: runId }),
    ...(priority === undefined ? {} : { priority: readChoice("--priority", priority, PRIORITIES) }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(namespace === undefined ? {} : { namespace: readNamespace(namespace) }),
  };
}
