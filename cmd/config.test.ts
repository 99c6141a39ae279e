/** Precedence, conversion and refusal of configuration values. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { resolveConfig, shownValue, type ConfigSources } from "./config.ts";
import { OPTION_NAMES } from "./config-options.ts";

let cwd = "";
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "gv-config-"));
});
afterEach(() => {
  rmSync(cwd, { recursive: true });
});

const write = (name: string, text: string): void => writeFileSync(join(cwd, name), text);
const resolved = (more: Partial<ConfigSources> = {}): ReturnType<typeof resolveConfig> =>
  resolveConfig({ cwd, env: {}, ...more });
const problemOf = (more: Partial<ConfigSources>): Promise<string> =>
  resolved(more).then(
    () => "",
    (error: Error & { code?: string }) => `${error.code ?? ""} ${error.message}`,
  );

describe("where a value comes from", () => {
  it("is the default when nobody says otherwise", async () => {
    const { values, origins, file } = await resolved();
    expect(values.worker_concurrency).toBe(100);
    expect(origins.worker_concurrency).toBe("default");
    expect(file).toBeNull();
  });

  it("is the file, over it the environment, over that the flag", async () => {
    write("gavotte.config.json", '{"worker_concurrency": 1, "lease_ms": 1001, "data_dir": "a"}');
    const env = { GAVOTTE_WORKER_CONCURRENCY: "2", GAVOTTE_LEASE_MS: "1002" };
    const { values, origins } = await resolved({ env, flags: { worker_concurrency: "3" } });
    expect(values).toMatchObject({ worker_concurrency: 3, lease_ms: 1002, data_dir: "a" });
    expect(origins).toMatchObject({
      worker_concurrency: "flag --worker-concurrency",
      lease_ms: "environment GAVOTTE_LEASE_MS",
      data_dir: "gavotte.config.json",
    });
  });

  it.each([
    ["gavotte.config.yaml", "http_allow: [a.example]\n"],
    [
      "gavotte.config.ts",
      'const list: string[] = ["a.example"];\nexport default { http_allow: list };',
    ],
  ])("may be %s", async (name, text) => {
    write(name, text);
    expect((await resolved()).values.http_allow).toEqual(["a.example"]);
  });

  it("may be a file that a flag names", async () => {
    write("other.json", '{"log_level": "error"}');
    expect((await resolved({ file: "other.json" })).values.log_level).toBe("error");
  });

  it("is not an empty variable", async () => {
    const { origins } = await resolved({ env: { GAVOTTE_LOG_LEVEL: "" } });
    expect(origins.log_level).toBe("default");
  });
});

describe("values", () => {
  it("are converted from text: numbers, and lists separated by commas", async () => {
    const env = { GAVOTTE_PARTITIONS: "8", GAVOTTE_FUNCTIONS: "a.ts, b.ts" };
    const { values } = await resolved({ env });
    expect(values).toMatchObject({ partitions: 8, functions: ["a.ts", "b.ts"] });
  });

  it("are frozen", async () => {
    const { values } = await resolved({ flags: { functions: ["a.ts"] } });
    expect(Object.isFrozen(values)).toBe(true);
    expect(Object.isFrozen(values.functions)).toBe(true);
  });

  it("are shown without passwords", () => {
    const url = "postgres://user:p%40ss@db.example:5432/gavotte";
    expect(shownValue("database_url", url)).toBe("postgres://***@db.example:5432/gavotte");
    expect(shownValue("redis_url", "unix:///tmp/a.sock")).toBe("unix:///tmp/a.sock");
    expect(shownValue("api_keys", ["first-key-of-the-shop", "second"])).toEqual(["***", "***"]);
    expect(shownValue("api_key", "first-key-of-the-shop")).toBe("***");
  });

  it("of keys none that can be guessed, and what was given is not told", async () => {
    const env = { GAVOTTE_API_KEYS: "first-key-of-the-shop,secret" };
    const wrong = resolved({ env });
    await expect(wrong).rejects.toThrow("GAVOTTE_API_KEYS: one of them does not look right");
    await expect(wrong).rejects.not.toThrow("secret");
  });
});

describe("what is wrong stops the start", () => {
  it("with the option that was probably meant, and all problems at once", async () => {
    write("gavotte.config.json", '{"worker_concurency": 5, "lease_ms": "soon"}');
    const problem = await problemOf({});
    expect(problem).toContain("GV_BAD_CONFIG");
    expect(problem).toContain("did you mean worker_concurrency?");
    expect(problem).toContain("gavotte.config.json: must be a whole number from 1000");
  });

  it("in the environment too, but not for the variables that Kubernetes makes", async () => {
    expect(await problemOf({ env: { GAVOTTE_REDIS_URI: "redis://a" } })).toContain("redis_url?");
    const env = { GAVOTTE_PORT: "tcp://10.0.0.1:80", GAVOTTE_GATEWAY_SERVICE_HOST: "10.0.0.1" };
    expect(await problemOf({ env })).toBe("");
  });

  it.each([
    [{ partitions: "3" }, "power of two"],
    [{ worker_concurrency: "1.5" }, "whole number"],
    [{ worker_concurrency: 0 }, "from 1 to"],
    [{ log_level: "loud" }, "must be one of trace"],
    [{ redis_url: "http://a", database_url: "postgres://a/b" }, "redis://"],
    [{ gateway_listen: "8080" }, "address and port"],
    [{ redis_url: "redis://a" }, "database_url is not; set both"],
  ])("%o", async (flags, expected) => {
    expect(await problemOf({ flags })).toContain(expected);
  });

  it.each([
    ["[1]", "must hold an object"],
    ["{", "cannot be read"],
  ])("a file that holds %s", async (text, expected) => {
    write("gavotte.config.json", text);
    expect(await problemOf({})).toContain(expected);
  });

  it("a file that is not UTF-8, but not one with a byte order mark", async () => {
    const file = join(cwd, "bytes.json");
    writeFileSync(file, Buffer.from('\ufeff{"lease_ms": 2000}'));
    expect((await resolveConfig({ cwd, env: {}, file })).values.lease_ms).toBe(2000);
    writeFileSync(file, Buffer.from('{"data_dir": "\xe4"}', "latin1"));
    await expect(resolveConfig({ cwd, env: {}, file })).rejects.toThrow(/not UTF-8/);
  });

  it("two files, or one that is not there", async () => {
    write("gavotte.config.json", "{}");
    write("gavotte.config.yaml", "{}");
    expect(await problemOf({})).toContain("keep one of them");
    expect(await problemOf({ file: "no.json" })).toContain("no such configuration file");
  });
});

describe("options", () => {
  it("have names that are keys, variables and flags alike", () => {
    expect(OPTION_NAMES.filter((name) => !/^[a-z]+(_[a-z]+)*$/.test(name))).toEqual([]);
  });
});
