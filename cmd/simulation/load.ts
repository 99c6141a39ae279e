/**
 * What a simulation is made of, from files: the workflow, its mocks, and the workflows of children
 * that the mocks name. What is wrong with any of them is shown with its lines before it is refused.
 */
import { dirname, isAbsolute, join } from "node:path";
import type { Diagnostic, Ir } from "../../compiler/index.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { readText, readWorkflow, tellDiagnostics } from "../read-workflow.ts";
import { MockBook, NO_CHILDREN, skeleton, type ChildFiles } from "./mock-book.ts";
import { NO_MOCKS, readMocks, type Mocks, type Names } from "./mocks.ts";

export interface Loaded {
  ir: Ir;
  mocks: Mocks;
  files: ChildFiles;
}

/**
 * Reads a workflow and its mocks. Null if the workflow does not compile, which has been told and is
 * the document then. Throws GV_BAD_INPUT for mocks that are wrong, or missing.
 */
export async function loadSimulation(
  context: Context,
  file: string,
  flags: { mock?: unknown; dialect?: unknown },
): Promise<Loaded | null> {
  const read = await readWorkflow(context, file, flags);
  await tellDiagnostics(context, read);
  const { ir, diagnostics } = read.result;
  if (ir === null) {
    context.output.document({ simulation: null, diagnostics });
    return null;
  }
  const { mocks, files } =
    typeof flags.mock === "string"
      ? await readMockFile(context, flags.mock, ir)
      : { mocks: NO_MOCKS, files: NO_CHILDREN };
  assertMocked(ir, mocks, files);
  return { ir, mocks, files };
}

/** Child workflows by their names; paths count from the file at `from`. Throws GV_BAD_INPUT. */
export async function readChildren(
  context: Context,
  from: string,
  wanted: readonly { name: string; file: string }[],
): Promise<ChildFiles> {
  if (wanted.length === 0) return NO_CHILDREN;
  const files = new Map<string, Ir>();
  for (const { name, file } of wanted) {
    const path = isAbsolute(file) ? file : join(dirname(from), file);
    const read = await readWorkflow(context, path);
    await tellDiagnostics(context, read, "short");
    if (read.result.ir === null) {
      const message = `${from}: the workflow "${name}" (${path}) does not compile`;
      throw new GavotteError("GV_BAD_INPUT", message);
    }
    files.set(name, read.result.ir);
  }
  return files;
}

/** What mocks and tests of a workflow can name. */
export function namesIn(ir: Ir, files: ChildFiles = NO_CHILDREN): Names {
  const own = ir.nodes.filter(({ synthetic }) => synthetic !== true);
  const inside = own.flatMap(({ body }) => (body === undefined ? [] : [namesIn(body)]));
  const idsOf = (type: string): string[] =>
    own.filter((node) => node.type === type).map(({ id }) => id);
  return {
    nodes: [...own.map(({ id }) => id), ...inside.flatMap(({ nodes }) => nodes)],
    people: [...idsOf("human"), ...inside.flatMap(({ people }) => people)],
    children: [...idsOf("subworkflow"), ...inside.flatMap(({ children }) => children)],
    inside: new Map([...files].map(([name, child]) => [name, namesIn(child).nodes])),
  };
}

/** Names of the queues of a workflow and of the bodies of its maps. */
export function queuesIn(ir: Ir): string[] {
  const inside = ir.nodes.flatMap(({ body }) => (body === undefined ? [] : queuesIn(body)));
  return [...new Set([...ir.queues, ...inside])];
}

/** Throws GV_BAD_INPUT if a step reaches outside and nothing says what it answers. */
export function assertMocked(ir: Ir, mocks: Mocks, files: ChildFiles): void {
  const missing = new MockBook(ir, mocks, files).missing();
  if (missing.length === 0) return;
  const ids = missing.map(({ id }) => id).join(", ");
  const message = `these steps reach outside and have no mock: ${ids}; a file for --mock begins so:\n`;
  throw new GavotteError("GV_BAD_INPUT", message + skeleton(missing));
}

async function readMockFile(context: Context, file: string, ir: Ir): Promise<Omit<Loaded, "ir">> {
  const text = await readText(context.cwd, file);
  const first = readMocks(text, file, namesIn(ir));
  await assertClean(context, { text, file, diagnostics: first.diagnostics });
  const wanted = [...first.mocks.workflows].flatMap(([name, mock]) =>
    mock.file === undefined ? [] : [{ name, file: mock.file }],
  );
  const files = await readChildren(context, file, wanted);
  // Now that the children are known, so are the names of their nodes.
  const { mocks, diagnostics } = readMocks(text, file, namesIn(ir, files));
  await assertClean(context, { text, file, diagnostics });
  return { mocks, files };
}

/** Shows the problems of a file; throws GV_BAD_INPUT if there are any. */
export async function assertClean(
  context: Context,
  { text, file, diagnostics }: { text: string; file: string; diagnostics: Diagnostic[] },
): Promise<void> {
  if (diagnostics.length === 0) return;
  const result = { diagnostics, ir: null, hash: null } as never;
  await tellDiagnostics(context, { text, result });
  const count = diagnostics.length === 1 ? "an error" : `${diagnostics.length} errors`;
  const [first] = diagnostics;
  const where = `the first, in line ${first?.line ?? 1}: ${first?.message ?? ""}`;
  const message = `${file} has ${count}; ${where}`;
  throw new GavotteError("GV_BAD_INPUT", message, { details: { diagnostics } });
}
