/**
 * The functions that a worker has: the built-ins, and those of users' modules.
 *
 * Modules are loaded through jiti, so TypeScript works on any supported Node, and `gavotte` inside a
 * module means the copy that is running: a module file works next to a global installation, without
 * one of its own.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import {
  defineFunction,
  FailRun,
  GavotteError,
  isFunctionDefinition,
  RetryLater,
} from "../sdk/internal.ts";
import type { FunctionDefinition, FunctionHandler } from "../sdk/internal.ts";
import { BUILTINS } from "./kinds/builtins.ts";

/** What stands in for functions that are missing. */
const STUB = "builtin.echo";

export class FunctionRegistry {
  readonly #handlers = new Map<string, FunctionHandler>(BUILTINS);
  /** The names that are served by a stub, sorted. */
  readonly stubs: readonly string[];

  /** `stubs` are answered by builtin.echo. */
  constructor(definitions: Iterable<FunctionDefinition> = [], stubs: Iterable<string> = []) {
    for (const { name, handler } of definitions) this.register(name, handler);
    this.stubs = [...new Set(stubs)].filter((name) => !this.has(name)).sort();
    const echo = BUILTINS.get(STUB);
    if (echo !== undefined) for (const name of this.stubs) this.#handlers.set(name, echo);
  }

  /** Throws GV_FUNCTIONS_INVALID if the name is taken: two modules would fight over its work. */
  register(name: string, handler: FunctionHandler): void {
    if (this.#handlers.has(name)) {
      throw new GavotteError(
        "GV_FUNCTIONS_INVALID",
        `the function "${name}" is defined twice; give one of the two another name`,
      );
    }
    this.#handlers.set(name, handler);
  }

  get(name: string): FunctionHandler | undefined {
    return this.#handlers.get(name);
  }

  has(name: string): boolean {
    return this.#handlers.has(name);
  }

  /** All names, sorted. */
  names(): string[] {
    return [...this.#handlers.keys()].sort();
  }

  /** A registry like this one in which those of `names` that are missing are stubs (`--stub`). */
  withStubs(names: Iterable<string>): FunctionRegistry {
    const own: FunctionDefinition[] = [];
    for (const [name, handler] of this.#handlers) {
      if (!BUILTINS.has(name)) own.push({ mark: "gavotte.function", name, handler });
    }
    return new FunctionRegistry(own, names);
  }
}

export interface LoadOptions {
  /** What `import … from "gavotte"` gives; default: what a module of functions needs. */
  sdk?: object;
}

/**
 * The functions that a .ts, .js or .mjs module exports, by name or by default: single ones, lists,
 * or objects of them; exports of other kinds are none of our business. `path` is relative to the
 * current directory. Throws GV_FUNCTIONS_INVALID.
 */
export async function loadFunctions(
  path: string,
  options: LoadOptions = {},
): Promise<FunctionDefinition[]> {
  const file = resolve(path);
  if (!existsSync(file)) throw invalid(path, "there is no such file; check the path", undefined);
  const gavotte = options.sdk ?? { defineFunction, FailRun, RetryLater };
  // Only by who has modules of their own, once.
  const { createJiti } = await import("jiti");
  const jiti = createJiti(import.meta.url, {
    virtualModules: { gavotte },
    moduleCache: false,
    interopDefault: false,
  });
  let module: unknown;
  try {
    module = await jiti.import(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw invalid(path, `it cannot be loaded: ${reason}`, error);
  }
  const found = [...new Set(definitionsIn(module, 0))];
  if (found.length > 0) return found;
  throw invalid(
    path,
    "it exports no functions; export the results of defineFunction(name, handler), e.g. " +
      'export const hello = defineFunction("hello", ({ input }) => input)',
    undefined,
  );
}

/** A module's exports, then at most lists and objects of functions, and no deeper. */
const EXPORT_DEPTH_MAX = 2;

function definitionsIn(value: unknown, depth: number): FunctionDefinition[] {
  if (isFunctionDefinition(value)) return [value];
  if (typeof value !== "object" || value === null || depth > EXPORT_DEPTH_MAX) return [];
  return Object.values(value).flatMap((member) => definitionsIn(member, depth + 1));
}

function invalid(path: string, problem: string, cause: unknown): GavotteError {
  return new GavotteError("GV_FUNCTIONS_INVALID", `functions module "${path}": ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
  });
}
