/**
 * The configuration: one typed object from defaults, `gavotte.config.{json,yaml,ts}`, environment
 * and flags, the later over the earlier. Checked whole before anything starts, then frozen.
 *
 * A key that nobody knows stops the process: a misspelt option that is silently ignored costs more
 * than a start that fails.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { GavotteError } from "../sdk/errors.ts";
import { shownUrl } from "../sdk/shown-url.ts";
import {
  flagOf,
  OPTION_NAMES,
  OPTION_SPECS,
  variableOf,
  type ConfigValues,
  type OptionName,
  type OptionSpec,
  type OptionValue,
} from "./config-options.ts";
import { decodeText, parseJson } from "./read-json.ts";
import { nearestName } from "../condition/suggest.ts";

export interface Config {
  readonly values: ConfigValues;
  /** Where each value comes from: `default`, a file's name, a variable, a flag. */
  readonly origins: { readonly [N in OptionName]: string };
  /** The configuration file in force, null if there is none. */
  readonly file: string | null;
}

export interface ConfigSources {
  cwd: string;
  env: { readonly [name: string]: string | undefined };
  /** Values of flags by option; undefined: not given. */
  flags?: { readonly [name: string]: unknown };
  /** Path of the file to read instead of looking for one. */
  file?: string;
}

interface Given {
  name: string;
  value: unknown;
  origin: string;
}

const FILES = ["json", "yaml", "yml", "ts"].map((ending) => `gavotte.config.${ending}`);
/** Secrets (secrets.ts), and variables that tests and tools of this repository use: no options. */
const FOREIGN_VARIABLES = /^GAVOTTE_(CASES|SEED|TEST_.*|BENCH_.*|DEMO_.*|SECRET_.*)$/;
/** Kubernetes describes a service `gavotte-…` in variables of this form. */
const SERVICE_VARIABLES = /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)$/;

/** … and for a service `gavotte-metrics` with such values in the one of our option metrics_port. */
const SERVICE_ADDRESS = /^(tcp|udp|sctp):\/\//;

/** Resolves the configuration. Throws GV_BAD_CONFIG with all that is wrong. */
export async function resolveConfig(sources: ConfigSources): Promise<Config> {
  const problems: string[] = [];
  const file = findFile(sources);
  const given = [
    ...(file === null ? [] : await fromFile(file)),
    ...fromEnvironment(sources.env),
    ...fromFlags(sources.flags ?? {}),
  ];
  const values: { [name: string]: OptionValue } = {};
  const origins: { [name: string]: string } = {};
  for (const name of OPTION_NAMES) {
    values[name] = OPTION_SPECS[name].default;
    origins[name] = "default";
  }
  for (const { name, value, origin } of given) {
    const spec: OptionSpec | undefined = Object.hasOwn(OPTION_SPECS, name)
      ? OPTION_SPECS[name as OptionName]
      : undefined;
    const read = spec === undefined ? { problem: unknownOption(name) } : readValue(spec, value);
    if ("problem" in read) {
      problems.push(`${origin}: ${read.problem}`);
    } else {
      values[name] = read.value;
      origins[name] = origin;
    }
  }
  if ((values.redis_url === null) !== (values.database_url === null)) {
    const [missing, present] =
      values.redis_url === null ? ["redis_url", "database_url"] : ["database_url", "redis_url"];
    problems.push(
      `${present} is set and ${missing} is not; set both, or none for the embedded stack`,
    );
  }
  if (problems.length > 0) {
    throw new GavotteError(
      "GV_BAD_CONFIG",
      `the configuration is wrong:\n  ${problems.join("\n  ")}`,
      {
        details: { problems },
      },
    );
  }
  // Every option has got its default or a value of its type above.
  return Object.freeze({
    values: Object.freeze(values) as unknown as ConfigValues,
    origins: Object.freeze(origins) as unknown as Config["origins"],
    file,
  });
}

/** A value as it may be shown. */
export function shownValue(name: OptionName, value: OptionValue): OptionValue {
  const spec: OptionSpec = OPTION_SPECS[name];
  if (spec.secret !== undefined && Array.isArray(value)) {
    return value.map(() => "***");
  }
  if (spec.secret === undefined || typeof value !== "string") {
    return value;
  }
  return spec.secret === "all" ? "***" : shownUrl(value);
}

function findFile(sources: ConfigSources): string | null {
  const { cwd } = sources;
  const named = sources.file ?? sources.env.GAVOTTE_CONFIG;
  if (named !== undefined) {
    const path = resolve(cwd, named);
    if (!existsSync(path)) {
      throw badConfig(`${named}: there is no such configuration file; check the path`);
    }
    return path;
  }
  const found = FILES.filter((name) => existsSync(resolve(cwd, name)));
  if (found.length > 1) {
    throw badConfig(`there are ${found.join(" and ")}; keep one of them`);
  }
  return found[0] === undefined ? null : resolve(cwd, found[0]);
}

async function fromFile(path: string): Promise<Given[]> {
  const origin = basename(path);
  let content: unknown;
  try {
    content = await parseFile(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw badConfig(`${origin} cannot be read: ${reason}`, error);
  }
  if (content === null || content === undefined) {
    return [];
  }
  if (typeof content !== "object" || Array.isArray(content)) {
    throw badConfig(`${origin} must hold an object of options`);
  }
  return Object.entries(content).map(([name, value]) => ({
    name,
    value: value as unknown,
    origin,
  }));
}

async function parseFile(path: string): Promise<unknown> {
  switch (extname(path)) {
    case ".json":
      return parseJson(await readFile(path));
    case ".yaml":
    case ".yml": {
      const { parse } = await import("yaml");
      return parse(decodeText(await readFile(path)));
    }
    case ".ts":
    case ".js":
    case ".mjs": {
      const { createJiti } = await import("jiti");
      return createJiti(import.meta.url).import(pathToFileURL(path).href, { default: true });
    }
    default:
      throw new Error("its name must end in .json, .yaml, .ts or .js");
  }
}

function fromEnvironment(env: ConfigSources["env"]): Given[] {
  const known = new Map(OPTION_NAMES.map((name) => [variableOf(name), name]));
  return Object.entries(env).flatMap(([variable, value]) => {
    const name = known.get(variable);
    const isOurs = variable.startsWith("GAVOTTE_") && variable !== "GAVOTTE_CONFIG";
    // An empty variable is how a shell or a compose file says "not set".
    if (value === undefined || value === "" || (name === undefined && !isOurs)) {
      return [];
    }
    if (
      name === undefined &&
      (FOREIGN_VARIABLES.test(variable) || SERVICE_VARIABLES.test(variable))
    ) {
      return [];
    }
    if (SERVICE_VARIABLES.test(variable) && SERVICE_ADDRESS.test(value)) {
      return [];
    }
    const unknown = variable.slice("GAVOTTE_".length).toLowerCase();
    return [{ name: name ?? unknown, value, origin: `environment ${variable}` }];
  });
}

function fromFlags(flags: { readonly [name: string]: unknown }): Given[] {
  return OPTION_NAMES.filter((name) => flags[name] !== undefined).map((name) => ({
    name,
    value: flags[name],
    origin: `flag ${flagOf(name)}`,
  }));
}

function unknownOption(name: string): string {
  const near = nearestName(name, OPTION_NAMES);
  const hint =
    near === undefined ? `options are ${OPTION_NAMES.join(", ")}` : `did you mean ${near}?`;
  return `there is no option "${name}"; ${hint}`;
}

type Read = { value: OptionValue } | { problem: string };

/** A value of the option's type; text from environment and flags is converted. */
function readValue(spec: OptionSpec, value: unknown): Read {
  if (value === null && spec.default === null) {
    return { value: null };
  }
  switch (spec.type) {
    case "string":
      return readString(spec, value);
    case "integer":
      return readInteger(spec, value);
    case "list": {
      const items = typeof value === "string" ? value.split(",").map((item) => item.trim()) : value;
      if (!Array.isArray(items) || !items.every((item) => typeof item === "string")) {
        return { problem: "must be a list of strings (in a variable: separated by commas)" };
      }
      const given = items.filter((item) => item !== "");
      // What was given is not told again: it may be a secret.
      return given.every((item) => spec.pattern?.test(item) ?? true)
        ? { value: Object.freeze(given) }
        : { problem: `one of them does not look right: ${spec.about}` };
    }
  }
}

function readString(spec: OptionSpec & { type: "string" }, value: unknown): Read {
  if (typeof value !== "string" || value === "") {
    return { problem: `must be a string: ${spec.about}` };
  }
  if (spec.choices !== undefined && !spec.choices.includes(value)) {
    return { problem: `must be one of ${spec.choices.join(", ")}, not "${value}"` };
  }
  if (spec.pattern !== undefined && !spec.pattern.test(value)) {
    return { problem: `does not look right: ${spec.about}` };
  }
  return { value };
}

function readInteger(spec: OptionSpec & { type: "integer" }, value: unknown): Read {
  const number = typeof value === "string" && /^-?\d+$/.test(value.trim()) ? Number(value) : value;
  const { min, max } = spec;
  if (!Number.isSafeInteger(number) || (number as number) < min || (number as number) > max) {
    return {
      problem: `must be a whole number from ${min} to ${max}, not ${JSON.stringify(value)}`,
    };
  }
  if (spec.powerOfTwo === true && !Number.isInteger(Math.log2(number as number))) {
    return { problem: `must be a power of two, not ${String(number)}` };
  }
  return { value: number as number };
}

function badConfig(message: string, cause?: unknown): GavotteError {
  return new GavotteError("GV_BAD_CONFIG", message, cause === undefined ? {} : { cause });
}
