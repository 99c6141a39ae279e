/** A module that is started as a thread has to be found from the bundle, too. */
import { readFileSync } from "node:fs";
import { globSync } from "tinyglobby";
import { expect, it } from "vitest";

const root = new URL("../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");

it("every module that is started as a thread is beside the bundle of a worker", () => {
  const files = globSync("{sdk,worker,supervisor,gateway,cmd}/**/*.ts", {
    cwd: root.pathname,
    ignore: ["**/*.test.ts", "**/*.gen.ts"],
  });
  const started = files.flatMap((path) =>
    [...read(path).matchAll(/tart(?:Thread)?\("([\w-]+)", import\.meta\.url/g)].map(
      ([, name]) => `${name}=dist/${path.split("/")[0]}/${name}.js`,
    ),
  );
  expect(started.sort()).toEqual([
    "check-thread=dist/gateway/check-thread.js",
    "compile-thread=dist/supervisor/compile-thread.js",
    "lease-thread=dist/worker/lease-thread.js",
  ]);
  const build = read("scripts/build.sh");
  expect(started.filter((entry) => !build.includes(` ${entry} `))).toEqual([]);
});
