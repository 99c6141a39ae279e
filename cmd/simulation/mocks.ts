/**
 * The mocks of a simulation: what steps answer that reach outside, how long they take, and what
 * people and other programs say to the run. Their shape is that of mocks-schema.ts; here they become
 * what the simulation asks for, and what no schema sees is found.
 */
import { compileTemplate, TemplateSyntaxError } from "../../condition/index.ts";
import type { Diagnostic, Json } from "../../compiler/index.ts";
import type { Decision, Signal } from "../../compiler/reference/index.ts";
import { SideFile, type SideProblem } from "../../compiler/report.ts";
import { durationProblem, type Duration } from "./durations.ts";
import { MOCKS_SCHEMA } from "./mocks-schema.ts";

/** What one step answers. */
export interface Mock {
  /** Of every attempt that does not fail, a template; default the step's own input. */
  output?: Json;
  /** Fails with this; of every attempt, or of the first `attempts`. */
  error?: { code: string; message?: string; retryable?: boolean; details?: JsonObject };
  /** Runs out of its time, likewise. */
  timeout?: boolean;
  attempts?: number;
  /** How likely an attempt fails; default 1. */
  probability?: number;
  duration?: Duration;
}

export interface WorkflowMock extends Mock {
  /** It is simulated. */
  file?: string;
  nodes: ReadonlyMap<string, Mock>;
}

/** A signal or decision may be for the child run of a node. */
export type ForChild<T> = Omit<T, "run"> & { child?: string };

export interface Mocks {
  /** By node id. */
  nodes: ReadonlyMap<string, Mock>;
  /** By function name; a node's own mock comes first. */
  functions: ReadonlyMap<string, Mock>;
  /** By what config.workflow says, or by name alone. */
  workflows: ReadonlyMap<string, WorkflowMock>;
  signals: readonly ForChild<Signal>[];
  decisions: readonly ForChild<Decision>[];
  /** Epoch ms at which runs begin. */
  nowMs?: number;
}

export const NO_MOCKS: Mocks = {
  ...{ nodes: new Map(), functions: new Map(), workflows: new Map(), signals: [], decisions: [] },
};

type JsonObject = { [key: string]: Json };

/** The parts of a workflow that mocks name. */
export interface Names {
  /** Ids of nodes, those in bodies of maps too. */
  nodes: readonly string[];
  /** Ids of the nodes that ask somebody. */
  people: readonly string[];
  /** Ids of the nodes that run a workflow. */
  children: readonly string[];
  /** Ids of the nodes of children that are simulated, by their names in the mocks. */
  inside: ReadonlyMap<string, readonly string[]>;
}

export interface ReadMocks {
  mocks: Mocks;
  diagnostics: Diagnostic[];
}

/** Reads a file. With any diagnostic the mocks are not to be used. */
export function readMocks(text: string, file: string, names: Names): ReadMocks {
  const side = new SideFile({ text, file }, MOCKS_SCHEMA);
  if (side.value === undefined) return { mocks: NO_MOCKS, diagnostics: side.diagnostics };
  checkMocks(side.value as JsonObject, "", names, (problem) => side.report(problem));
  return { mocks: mocksOf(side.value as JsonObject), diagnostics: side.diagnostics };
}

/** Finds what the schema lets through in mocks that stand at `base` of a file. */
export function checkMocks(
  value: JsonObject,
  base: string,
  names: Names,
  report: (problem: SideProblem) => void,
): void {
  for (const [id, mock] of entriesOf(value, "nodes")) {
    const pointer = `${base}/nodes/${escaped(id)}`;
    if (!names.nodes.includes(id)) report(unknown(id, names.nodes, pointer, true));
    checkMock(mock, pointer, report);
  }
  for (const [name, mock] of entriesOf(value, "functions")) {
    checkMock(mock, `${base}/functions/${escaped(name)}`, report);
  }
  for (const [name, mock] of entriesOf(value, "workflows")) {
    const pointer = `${base}/workflows/${escaped(name)}`;
    checkMock(mock, pointer, report);
    if (mock["file"] === undefined && mock["nodes"] !== undefined) {
      const message = "`nodes` are those of a file: name it in `file`";
      report({ pointer: `${pointer}/nodes`, message, atKey: true });
    }
    const known = names.inside.get(name);
    for (const [id, inner] of entriesOf(mock, "nodes")) {
      const at = `${pointer}/nodes/${escaped(id)}`;
      if (known !== undefined && !known.includes(id)) report(unknown(id, known, at, true));
      checkMock(inner, at, report);
    }
  }
  listOf(value, "signals").forEach((signal, i) => {
    checkChild(signal, `${base}/signals/${i}`, names, report);
  });
  listOf(value, "decisions").forEach((decision, i) => {
    const pointer = `${base}/decisions/${i}`;
    const node = String(decision["node"]);
    checkChild(decision, pointer, names, report);
    if (decision["child"] === undefined && !names.people.includes(node)) {
      report(unknown(node, names.people, `${pointer}/node`, false, "no human node"));
    }
    if (decision["at_ms"] !== undefined && decision["after_ms"] !== undefined) {
      report({ pointer: `${pointer}/at_ms`, atKey: true, message: "give `at_ms` or `after_ms`" });
    }
  });
}

function checkChild(
  entry: JsonObject,
  pointer: string,
  { children }: Names,
  report: (problem: SideProblem) => void,
): void {
  const { child } = entry;
  if (typeof child !== "string" || children.includes(child)) return;
  report(unknown(child, children, `${pointer}/child`, false, "no subworkflow node"));
}

function checkMock(
  mock: JsonObject,
  pointer: string,
  report: (problem: SideProblem) => void,
): void {
  const given = mock["duration"] ?? mock["duration_ms"];
  if (mock["duration"] !== undefined && mock["duration_ms"] !== undefined) {
    const message = "`duration` and `duration_ms` are the same: give one";
    report({ pointer: `${pointer}/duration`, message, atKey: true });
  }
  const key = mock["duration"] === undefined ? "duration_ms" : "duration";
  const problem = given === undefined ? undefined : durationProblem(given as Duration);
  if (problem !== undefined) report({ pointer: `${pointer}/${key}`, message: problem });
  const fails = mock["error"] !== undefined || mock["timeout"] === true;
  for (const rest of ["attempts", "probability"]) {
    if (mock[rest] === undefined || fails) continue;
    const message = `\`${rest}\` says when it fails: it goes with \`error\` or \`timeout\``;
    report({ pointer: `${pointer}/${rest}`, message, atKey: true });
  }
  if (mock["output"] === undefined) return;
  try {
    compileTemplate(mock["output"]);
  } catch (error) {
    if (!(error instanceof TemplateSyntaxError)) throw error;
    for (const { pointer: inside, message } of error.problems) {
      report({ pointer: `${pointer}/output${inside}`, message });
    }
  }
}

function unknown(
  name: string,
  known: readonly string[],
  pointer: string,
  atKey: boolean,
  what = "no node",
): SideProblem {
  const message = `there is ${what} \`${name}\``;
  return { pointer, message, atKey, meant: { name, known } };
}

/** Mocks of the right shape as the simulation takes them. */
export function mocksOf(value: JsonObject): Mocks {
  const { now } = value;
  const byName = (from: JsonObject, key: string): Map<string, Mock> =>
    new Map(entriesOf(from, key).map(([name, mock]) => [name, mockOf(mock)]));
  return {
    nodes: byName(value, "nodes"),
    functions: byName(value, "functions"),
    workflows: new Map(
      entriesOf(value, "workflows").map(([name, mock]) => [
        name,
        { ...mockOf(mock), nodes: byName(mock, "nodes") },
      ]),
    ),
    signals: listOf(value, "signals").map(({ name, value: payload = null, at_ms: at, child }) => ({
      ...{ name: String(name), value: payload, at: Number(at ?? 0) },
      ...(typeof child === "string" ? { child } : {}),
    })),
    decisions: listOf(value, "decisions").map(decisionOf),
    ...(typeof now === "string" ? { nowMs: Date.parse(now) } : {}),
  };
}

function mockOf(mock: JsonObject): Mock {
  const { duration_ms: other, duration = other, ...rest } = mock;
  return { ...rest, ...(duration === undefined ? {} : { duration: duration as Duration }) };
}

function decisionOf(entry: JsonObject): ForChild<Decision> {
  const { node, by = "somebody", approved = true, data, at_ms: at, after_ms: after, child } = entry;
  return {
    ...{ node: String(node), by: String(by), approved: approved === true },
    ...(data === undefined ? {} : { data }),
    ...(typeof at === "number" ? { at } : { after: Number(after ?? 0) }),
    ...(typeof child === "string" ? { child } : {}),
  };
}

function entriesOf(from: JsonObject, key: string): [string, JsonObject][] {
  return Object.entries((from[key] ?? {}) as { [name: string]: JsonObject });
}

function listOf(from: JsonObject, key: string): JsonObject[] {
  return (from[key] ?? []) as JsonObject[];
}

export function escaped(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
