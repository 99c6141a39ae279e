/**
 * The models of the protocol (docs/model/): the quick set is explored where spin and gcc are there.
 * It takes about 20 seconds; the whole of it is `npm run model`.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const folder = fileURLToPath(new URL("../docs/model/", import.meta.url));
const hasTools = ["-V", "--version"].every(
  (flag, i) => spawnSync(["spin", "gcc"][i] as string, [flag]).status === 0,
);
const cases = readFileSync(join(folder, "cases"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => line.split(" "));

describe("models of the protocol", () => {
  it.skipIf(!hasTools)("keep their rules and catch their faults", { timeout: 180_000 }, () => {
    const env = { ...process.env, QUICK: "1" };
    const ran = spawnSync("sh", [join(folder, "all.sh")], { env, encoding: "utf8" });
    const lines = ran.stdout.split("\n").filter((line) => line.includes(" | "));
    expect(lines.filter((line) => !line.endsWith("| ok"))).toEqual([]);
    expect(lines).toHaveLength(cases.filter(([, quick]) => quick === "q").length);
    expect(ran.status).toBe(0);
  });

  it("each have a case that holds, one that is caught and one that is reached", () => {
    const models = readdirSync(folder).filter((name) => name.endsWith(".pml"));
    const wanted = ["holds", "caught", "reached"];
    const missing = models.flatMap((name) =>
      wanted
        .filter(
          (word) => !cases.some(([expects, , of]) => expects === word && `${of}.pml` === name),
        )
        .map((word) => `${name} ${word}`),
    );
    expect(missing).toEqual([]);
  });

  it("are asked for every fault that is written into them", () => {
    const written = readdirSync(folder)
      .filter((name) => name.endsWith(".pml"))
      .flatMap((name) =>
        [...readFileSync(join(folder, name), "utf8").matchAll(/\b(?:BUG|REACH)_?[A-Z0-9]*\b/g)].map(
          ([fault]) => `${name.slice(0, -4)} ${fault}`,
        ),
      );
    const asked = cases.flatMap(([, , model, ...switches]) =>
      switches.map((text) => `${model} ${text.slice(2).split("=")[0]}`),
    );
    expect([...new Set(written)].filter((fault) => !asked.includes(fault))).toEqual([]);
  });
});
