/** `gavotte analyse FILE`: what a workflow can do, before it runs. */
import {
  analyseWorkflow,
  type ConditionFinding,
  type CriticalPath,
  type Duration,
  type Durations,
  type ExampleStep,
  type Finding,
  type GraphReport,
  type Proof,
} from "../../compiler/analysis/index.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { readCount } from "../read-option.ts";
import { parseJson } from "../read-json.ts";
import { readBytes, readWorkflow, tellDiagnostics } from "../read-workflow.ts";

export interface AnalyseCommandOptions {
  dialect?: string;
  durations?: string;
  paths?: string;
}

/** Paths that are listed for people, and groups. */
const SHOWN = 10;
const STEPS_SHOWN = 12;

/** Prints the analysis. Throws GV_BAD_INPUT for files and options that cannot be read. */
export async function analyse(
  context: Context,
  file: string,
  options: AnalyseCommandOptions,
): Promise<number> {
  const { output } = context;
  const pathsMax = options.paths === undefined ? undefined : readCount("--paths", options.paths);
  const durations = options.durations === undefined ? {} : await read(context, options.durations);
  const source = await readWorkflow(context, file, options);
  await tellDiagnostics(context, source);
  const { ir, hash, diagnostics } = source.result;
  if (ir === null) {
    output.document({ hash: null, analysis: null, diagnostics });
    return EXIT.failed;
  }
  const shown = pathsMax ?? (output.json ? undefined : SHOWN);
  const report = analyseWorkflow(ir, {
    durations,
    ...(shown === undefined ? {} : { pathsMax: shown }),
    ...(output.json ? {} : { groupsMax: SHOWN }),
  });
  for (const graph of report.graphs) describeGraph(graph).forEach((line) => output.line(line));
  if (report.graphs.length > 1) {
    output.line(`tokens at most in all, with the elements of maps: ${report.tokens_max}`);
  }
  output.document({ hash, analysis: report, diagnostics });
  const isProved = report.graphs.every((graph) => {
    return graph.proofs.every(({ verdict }) => verdict === "proved");
  });
  return isProved ? EXIT.done : EXIT.failed;
}

/** Durations by node: milliseconds, or `{ms, rounds, elements}`. */
async function read(context: Context, file: string): Promise<Durations> {
  const bytes = await readBytes(context.cwd, file);
  const bad = (what: string): GavotteError =>
    new GavotteError("GV_BAD_INPUT", `--durations ${file}: ${what}`);
  let value: unknown;
  try {
    value = parseJson(bytes);
  } catch (error) {
    throw bad(error instanceof Error ? error.message : String(error));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw bad('must be an object such as {"fetch": 120, "poll": {"ms": 50, "rounds": 3}}');
  }
  for (const [node, duration] of Object.entries(value)) {
    if (!isDuration(duration)) {
      throw bad(`${node}: must be milliseconds, or an object of ms, rounds and elements`);
    }
  }
  return value as Durations;
}

function isDuration(value: unknown): value is Duration {
  const isAmount = (number: unknown): boolean =>
    typeof number === "number" && Number.isFinite(number) && number >= 0;
  if (isAmount(value)) return true;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(
    ([key, amount]) => ["ms", "rounds", "elements"].includes(key) && isAmount(amount),
  );
}

function describeGraph(graph: GraphReport): string[] {
  const { maps, paths, parallel, largest_payload: payload } = graph;
  const list = (ids: readonly string[]): string => (ids.length === 0 ? "none" : ids.join(", "));
  const bytes = payload.bytes === null ? "not known" : `${payload.bytes} bytes (${payload.node})`;
  return [
    maps.length === 0 ? "workflow" : `each element of ${maps.join(" > ")}`,
    `  entries            ${list(graph.entries)}`,
    `  terminals          ${list(graph.terminals)}`,
    `  branch points      ${list(graph.branch_points)}`,
    `  convergence points ${list(graph.convergence_points)}`,
    `  tokens at most     ${graph.tokens_max}`,
    `  executions at most ${graph.executions_max}`,
    `  largest payload    ${bytes}`,
    ...describeCritical(graph.critical_path),
    `  paths              ${paths.count}`,
    ...paths.paths.map((path) => `    ${path.join(" > ")}`),
    ...(paths.is_complete ? [] : ["    …"]),
    `  parallel groups${parallel.is_complete ? "" : " (not all)"}`,
    ...parallel.groups.map((group) => `    ${group.join(", ")}`),
    ...(parallel.groups.length === 0 ? ["    none"] : []),
    "  proofs",
    ...graph.proofs.flatMap(describeProof),
    ...describeFindings(graph.findings, graph.is_exact),
    ...describeConditions(graph.conditions),
    "",
  ];
}

function describeCritical({ unit, length, nodes, unknown }: CriticalPath): string[] {
  const size = unit === "ms" ? `${length} ms` : `${length} nodes`;
  const gaps = unknown.length === 0 ? [] : [`    no time is known of ${unknown.join(", ")}`];
  return [`  critical path      ${size}: ${nodes.join(" > ")}`, ...gaps];
}

function describeProof({ claim, verdict, reasons, assumes = [], path }: Proof): string[] {
  return [
    `    ${verdict === "proved" ? "yes" : "NO "}  ${CLAIMS[claim]}: ${reasons.join("; ")}`,
    ...assumes.map((text) => `         if ${text}`),
    ...(path ? [`         on the way ${path.join(" > ")}`] : []),
  ];
}

const CLAIMS: { readonly [claim in Proof["claim"]]: string } = {
  no_deadlock: "no deadlock",
  tokens_conserved: "no token lost or doubled",
  joins_decided: "every join decided",
  loops_bounded: "loops bounded",
  runs_end: "each run ends",
};

function describeFindings(findings: readonly Finding[], isExact: boolean): string[] {
  const rest = isExact ? [] : [NOT_EXACT];
  if (findings.length === 0) return isExact ? [] : ["  findings", ...rest];
  const lines = findings.flatMap(({ kind, node, to, reason, example }) => [
    `    ${node}${to === undefined ? "" : ` > ${to}`}: ${FINDINGS[kind]}: ${reason}`,
    ...(example ? [`      e.g. ${describeExample(example)}`] : []),
  ]);
  return ["  findings", ...lines, ...rest];
}

const NOT_EXACT =
  "    only what never happens is certain here: a condition is more than comparisons with " +
  "constants, or there are too many combinations";

const FINDINGS: { readonly [kind in Finding["kind"]]: string } = {
  never_runs: "never runs",
  join_never_fires: "never fires",
  edge_never_taken: "never taken",
  only_after_failure: "runs only after a failure",
  never_succeeds: "never succeeds",
};

function describeExample(steps: readonly ExampleStep[]): string {
  const shown = steps.slice(-STEPS_SHOWN).map(({ node, happens, takes }) => {
    return `${node} ${happens}${takes.length === 0 ? "" : ` > ${takes.join(", ")}`}`;
  });
  return (steps.length > STEPS_SHOWN ? ["…", ...shown] : shown).join("; ");
}

function describeConditions(findings: readonly ConditionFinding[]): string[] {
  if (findings.length === 0) return [];
  return [
    "  conditions",
    ...findings.map(({ kind, node, text }) => `    ${node}: ${kind}: ${text}`),
  ];
}
