/**
 * Deciding conditions together: which of them can be true, false or in error at the same time.
 *
 * Each comparison with a constant cuts the values of its subject into regions - points, the open
 * intervals between them, and one for each other type of JSON - on which nothing changes. So one
 * value for each region is enough to try, and for several subjects every combination. This is exact
 * for formulas of comparisons with constants; opaque atoms are taken as free, which can only make
 * more combinations possible than there are (`isExact` tells).
 */
import { analyse } from "./analyse.ts";
import { asNode } from "./ast.ts";
import { runtime } from "./library.ts";
import { LruCache } from "./lru.ts";
import { atomsOf, formulaOf, nameOf } from "./predicate.ts";
import type { Atom, Comparison, Domain, Formula, Scalar, Subject } from "./predicate.ts";
import { representatives } from "./regions.ts";
import type { Json } from "./types.ts";

/** What a condition gives: true, false, or an error. */
export type Truth = "true" | "false" | "error";

/** A value that a subject has in an example; without `value` there is none. */
export interface Witness {
  name: string;
  value?: Json;
}

/** What the conditions give together, with an example of when. */
export interface Case {
  truths: Truth[];
  /** Values of the subjects that matter; opaque atoms are not among them. */
  witness: Witness[];
}

export interface Partition {
  /** Every combination that is possible, each once. */
  cases: Case[];
  /** No opaque atoms: each case happens for its witness. */
  isExact: boolean;
}

export interface PartitionOptions {
  /** What is known of the values at a path; undefined: any JSON, or nothing. */
  domain?: (path: readonly string[]) => Domain | undefined;
  /** Combinations that are tried at most; beyond it there is no answer. Default 20,000. */
  triesMax?: number;
}

const TRIES_MAX = 20_000;
const FORMULAS_KEPT = 2_000;

const formulas = new LruCache<string, { formula: Formula | null }>(FORMULAS_KEPT);

/** All cases of some conditions; undefined if one cannot be parsed or there are too many. */
export function partition(
  sources: readonly string[],
  options: PartitionOptions = {},
): Partition | undefined {
  const parsed = sources.map((source) => formulas.getOrMake(source, () => parse(source)).formula);
  if (parsed.includes(null)) return undefined;
  const list = parsed as Formula[];
  const atoms = list.flatMap(atomsOf);
  const axes = axesOf(atoms, options);
  const tries = axes.reduce((product, { values }) => product * values.length, 1);
  const triesMax = options.triesMax ?? TRIES_MAX;
  if (tries * Math.max(1, atoms.length) > 50 * triesMax || tries > triesMax) return undefined;
  const found = new Map<string, Case>();
  for (let at = 0; at < tries; at++) {
    const point = new Point(axes, at);
    if (point.isRepeated()) continue;
    const truths = list.map((formula) => evaluate(formula, point));
    const key = truths.join();
    if (!found.has(key)) found.set(key, { truths, witness: point.witness() });
  }
  return { cases: [...found.values()], isExact: axes.every((axis) => axis.subject !== null) };
}

/** The atoms of a condition; none if it cannot be parsed. */
export function atomsIn(source: string): Atom[] {
  const { formula } = formulas.getOrMake(source, () => parse(source));
  return formula ? atomsOf(formula) : [];
}

function parse(source: string): { formula: Formula | null } {
  const { program } = analyse(source, runtime);
  return { formula: program ? formulaOf(asNode(program.ast), source) : null };
}

/** One thing that varies: a subject over its regions, or an opaque atom. */
interface Axis {
  key: string;
  subject: Subject | null;
  /** Undefined: there is no such value. Of an opaque atom: true and false. */
  values: readonly (Json | undefined)[];
}

function axesOf(atoms: readonly Atom[], { domain }: PartitionOptions): Axis[] {
  const subjects = new Map<string, { subject: Subject; atoms: Atom[] }>();
  const opaque = new Set<string>();
  for (const atom of atoms) {
    if (atom.kind === "opaque") opaque.add(atom.text);
    if (atom.kind === "opaque" || atom.kind === "constant") continue;
    const { subject } = atom;
    const known = subjects.get(subject.name);
    if (known) known.atoms.push(atom);
    else subjects.set(subject.name, { subject, atoms: [atom] });
  }
  for (const { subject } of [...subjects.values()]) {
    const parent = parentOf(subject);
    const isAsked = subjects.get(subject.name)?.atoms.some((atom) => atom.kind === "has");
    // Asking for a field is an error where there is nothing that could have it.
    if (parent && isAsked && !subjects.has(parent.name)) {
      subjects.set(parent.name, { subject: parent, atoms: [] });
    }
  }
  const paths = [...subjects.values()].map(({ subject }) => subject);
  const ofSubjects = [...subjects].map(([key, { subject, atoms: own }]): Axis => {
    const isAround = paths.some((other) => isBelow(other, subject));
    const values = representatives(own, subject, domain?.(subject.path), isAround);
    return { key, subject, values };
  });
  const ofAtoms = [...opaque].map((key): Axis => ({ key, subject: null, values: [true, false] }));
  return [...ofSubjects, ...ofAtoms];
}

/** What has the field; undefined for what is always there. */
function parentOf({ path }: Subject): Subject | undefined {
  const above = path.slice(0, -1);
  if (above.length < (above[0] === "ctx" ? 3 : 2)) return undefined;
  return { name: nameOf(above), path: above, isSize: false };
}

/** Whether `other` is a part of `subject`, at any depth. */
function isBelow(other: Subject, subject: Subject): boolean {
  if (subject.isSize || other.path.length < subject.path.length + (other.isSize ? 0 : 1)) {
    return false;
  }
  return subject.path.every((name, i) => other.path[i] === name);
}

/** One value for each axis: the `at`-th combination. */
class Point {
  readonly #axes: readonly Axis[];
  readonly #places = new Map<string, { axis: Axis; place: number }>();

  constructor(axes: readonly Axis[], at: number) {
    this.#axes = axes;
    let rest = at;
    for (const axis of axes) {
      this.#places.set(axis.key, { axis, place: rest % axis.values.length });
      rest = Math.floor(rest / axis.values.length);
    }
  }

  valueOf(key: string): Json | undefined {
    const found = this.#places.get(key);
    return found?.axis.values[found.place];
  }

  /** What becomes of looking for a subject: it is reached, or something above it is in the way. */
  reach(subject: Subject): "here" | "gone" | "scalar" {
    for (const axis of this.#axes) {
      if (!axis.subject || axis.subject === subject || !isBelow(subject, axis.subject)) continue;
      const above = this.valueOf(axis.key);
      if (above === undefined) return "gone";
      if (typeof above !== "object" || above === null) return "scalar";
    }
    return "here";
  }

  /** What cannot be reached has no value of its own: one of its values stands for all. */
  isRepeated(): boolean {
    return this.#axes.some(({ key, subject }) => {
      if (!subject || this.reach(subject) === "here") return false;
      return (this.#places.get(key)?.place ?? 0) > 0;
    });
  }

  witness(): Witness[] {
    return this.#axes.flatMap(({ key, subject }): Witness[] => {
      if (!subject || this.reach(subject) !== "here") return [];
      const value = this.valueOf(key);
      // An object that stands for its parts says nothing that they do not.
      const isWhole = this.#axes.some((other) => other.subject && isBelow(other.subject, subject));
      if (isWhole && typeof value === "object" && value !== null) return [];
      return [{ name: key, ...(value === undefined ? {} : { value }) }];
    });
  }
}

/** CEL's logic: an error gives way to a side that decides. */
function evaluate(formula: Formula, point: Point): Truth {
  switch (formula.op) {
    case "and":
    case "or": {
      const decides = formula.op === "and" ? "false" : "true";
      const left = evaluate(formula.left, point);
      if (left === decides) return decides;
      const right = evaluate(formula.right, point);
      if (right === decides) return decides;
      return left === "error" || right === "error" ? "error" : left;
    }
    case "not": {
      const truth = evaluate(formula.of, point);
      if (truth === "error") return truth;
      return truth === "true" ? "false" : "true";
    }
    case "if": {
      const when = evaluate(formula.when, point);
      if (when === "error") return when;
      return evaluate(when === "true" ? formula.yes : formula.no, point);
    }
    case "atom":
      return evaluateAtom(formula.atom, point);
  }
}

function evaluateAtom(atom: Atom, point: Point): Truth {
  if (atom.kind === "constant") return asTruth(atom.value);
  if (atom.kind === "opaque") return asTruth(point.valueOf(atom.text) === true);
  const { subject } = atom;
  const reach = point.reach(subject);
  if (atom.kind === "has" && reach === "scalar") return "false";
  if (reach !== "here") return "error";
  const value = point.valueOf(subject.name);
  if (atom.kind === "has") return asTruth(value !== undefined);
  if (value === undefined) return "error";
  if (atom.kind === "truth") return typeof value === "boolean" ? asTruth(value) : "error";
  if (atom.kind === "in") return asTruth(atom.constants.some((constant) => constant === value));
  return compare(atom.operator, value, atom.constant);
}

/** A value of any type is equal or not; only values of one type are smaller or larger. */
function compare(operator: Comparison, value: Json, constant: Scalar): Truth {
  if (operator === "==") return asTruth(value === constant);
  if (operator === "!=") return asTruth(value !== constant);
  if (value === null || constant === null || typeof value !== typeof constant) return "error";
  if (operator === "<") return asTruth(value < constant);
  if (operator === "<=") return asTruth(value <= constant);
  return asTruth(operator === ">" ? value > constant : value >= constant);
}

function asTruth(value: boolean): Truth {
  return value ? "true" : "false";
}

/** `output.score = 80 and output.tier = "a"`; "" if nothing matters. */
export function describeWitness(witness: readonly Witness[]): string {
  return witness.map(({ name, value }) => `${name} ${describeValue(value)}`).join(" and ");
}

function describeValue(value: Json | undefined): string {
  return value === undefined ? "missing" : `= ${JSON.stringify(value)}`;
}
