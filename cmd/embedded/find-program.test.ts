import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, afterEach, expect, it, vi } from "vitest";
import { findProgram } from "./find-program.ts";

const dir = mkdtempSync(join(tmpdir(), "gv-find-"));
const [first, second] = [join(dir, "first"), join(dir, "second")];
afterEach(() => vi.unstubAllEnvs());
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function program(folder: string, name: string, mode = 0o755): string {
  const path = join(folder, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, "");
  chmodSync(path, mode);
  return path;
}

it("finds Valkey where there is no Redis, and Redis first where there are both", () => {
  vi.stubEnv("PATH", [first, second].join(delimiter));
  const names = ["redis-server", "valkey-server"];
  expect(findProgram(names)).toBeUndefined();
  const valkey = program(first, "valkey-server");
  program(first, "redis-server", 0o644); // nobody can run it
  expect(findProgram(names)).toBe(valkey);
  const redis = program(second, "redis-server");
  expect(findProgram(names)).toBe(redis);
});
