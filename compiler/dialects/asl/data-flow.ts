/**
 * One document through a state: InputPath, Parameters, the work, ResultSelector, ResultPath,
 * OutputPath. Each step wraps the expression of the step before.
 */
import { own } from "../../document.ts";
import type { JsonObject } from "../../document.ts";
import type { Json } from "../../ir.ts";
import { joinPointer } from "../../source-map.ts";
import { literal, template } from "./cel.ts";
import { parseReferencePath, PathProblem } from "./paths.ts";
import type { ContextPlace, Root } from "./paths.ts";
import { readExpression, toCel, toTemplate } from "./payload.ts";
import type { Complain } from "./payload.ts";

/** A state's fields, read as expressions. */
export class DataFlow {
  readonly place: ContextPlace;
  readonly #state: JsonObject;
  readonly #pointer: string;
  readonly #complain: Complain;

  constructor(state: JsonObject, pointer: string, place: ContextPlace, complain: Complain) {
    this.#state = state;
    this.#pointer = pointer;
    this.place = place;
    this.#complain = complain;
  }

  /** The state's input behind its InputPath. */
  input(raw: string): string {
    return this.#path("InputPath", { cel: raw });
  }

  /** The template of what the work gets, with `key` the payload template; undefined: the input. */
  payload(raw: string, key: string): Json | undefined {
    const root = this.input(raw);
    const given = own(this.#state, key);
    if (given !== undefined) return this.#template(given, { cel: root }, key);
    return root === "data" ? undefined : template(root);
  }

  /** The same as an expression. */
  payloadCel(raw: string, key: string): string {
    const root = this.input(raw);
    const given = own(this.#state, key);
    return given === undefined ? root : this.#cel(given, { cel: root }, key);
  }

  /** Whether a field says that the state's own input is needed after the work. */
  keepsInput(field: Json | undefined = own(this.#state, "ResultPath")): boolean {
    return field !== undefined && field !== "$";
  }

  /** The state's output of its work's result. */
  output(raw: string, result: Root): string {
    const selector = own(this.#state, "ResultSelector");
    const selected: Root =
      selector === undefined ? result : { cel: this.#cel(selector, result, "ResultSelector") };
    const at = joinPointer(this.#pointer, "ResultPath");
    const whole = this.put(own(this.#state, "ResultPath"), at, raw, selected);
    return this.#path("OutputPath", whole);
  }

  /** `result` put into `raw` as a ResultPath says. */
  put(path: Json | undefined, pointer: string, raw: string, result: Root): Root {
    if (path === undefined || path === "$") return result;
    if (path === null) return { cel: raw };
    if (typeof path !== "string") {
      this.#complain(pointer, "ResultPath must be a reference path or null");
      return result;
    }
    try {
      const steps = parseReferencePath(path);
      return { cel: `setPath(${raw}, ${literal(steps)}, ${result.cel})` };
    } catch (error) {
      if (!(error instanceof PathProblem)) throw error;
      this.#complain(pointer, error.message);
      return result;
    }
  }

  /** OutputPath alone, for states without a result. */
  outputPath(cel: string): string {
    return this.#path("OutputPath", { cel });
  }

  /** A field that holds a path, over `root`. */
  field(key: string, root: string): string {
    return this.#path(key, { cel: root });
  }

  #path(key: string, root: Root): string {
    const path = own(this.#state, key);
    if (path === undefined || path === "$") return root.cel;
    if (path === null) return "{}";
    const pointer = joinPointer(this.#pointer, key);
    if (typeof path !== "string") {
      this.#complain(pointer, `${key} must be a path or null`);
      return root.cel;
    }
    return readExpression(path, { root, place: this.place }, pointer, this.#complain);
  }

  #template(value: Json, root: Root, key: string): Json {
    const at = joinPointer(this.#pointer, key);
    return toTemplate(value, { root, place: this.place }, at, this.#complain);
  }

  #cel(value: Json, root: Root, key: string): string {
    const at = joinPointer(this.#pointer, key);
    return toCel(value, { root, place: this.place }, at, this.#complain);
  }
}
