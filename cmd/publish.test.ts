/** Publishing workflows and looking at trees of runs, as processes. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunReport } from "../sdk/client-report.ts";
import { type CliResult, type Dev, runCli, startDev } from "./cli.fixture.ts";

const SLOW = 90_000;
let cwd = "";
let dev: Dev;
const gavotte = (...args: string[]): Promise<CliResult> => runCli(cwd, args);

function write(name: string, node: object, more: object = {}): string {
  const file = `${name}.json`;
  const metadata = { name, version: "1", tags: ["good"] };
  const document = { metadata, nodes: [{ id: "only", ...node }], edges: [], ...more };
  writeFileSync(join(cwd, file), JSON.stringify(document));
  return file;
}

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-publish-"));
  dev = await startDev(cwd);
}, SLOW);

afterAll(async () => {
  expect(await dev.stop()).toBe(0);
}, SLOW);

describe("publish", () => {
  it(
    "stores what others refer to; status and runs show the tree",
    async () => {
      const child = write("child", { type: "transform", config: { expression: "data.n + 1" } });
      const parent = write("parent", { type: "subworkflow", config: { workflow: "child@good" } });
      const early = await gavotte("submit", parent, "--input", '{"n": 1}');
      expect(early.code).toBe(1);
      expect(early.stderr).toContain('node "only" of workflow "parent"');

      const published = await gavotte("publish", child, "--json");
      expect(published.code).toBe(0);
      expect(JSON.parse(published.stdout)).toMatchObject({
        published: [{ name: "child", version: "1", tags: ["good"] }],
      });
      const submitted = await gavotte("submit", parent, "--wait", "--json", "--input", '{"n": 1}');
      const { run_id: runId, output } = JSON.parse(submitted.stdout) as RunReport;
      expect([submitted.code, output]).toEqual([0, 2]);

      const status = JSON.parse((await gavotte("status", runId, "--json")).stdout) as RunReport;
      expect(status.children).toMatchObject([
        { node: "only", workflow: "child", version: "1", status: "COMPLETED" },
      ]);
      const [own] = status.children ?? [];
      const listed = await gavotte("runs", "--parent", runId, "--json");
      expect(JSON.parse(listed.stdout)).toMatchObject({ runs: [{ run_id: own?.run_id }] });
      const told = await gavotte("status", own?.run_id ?? "");
      expect(told.stdout).toContain(`started by ${runId}, node only`);
    },
    SLOW,
  );

  it(
    "publishes a workflow once that several files hold, with the tags of the last",
    async () => {
      const node = { type: "parallel" };
      const first = write("twice", node);
      const copy = { metadata: { name: "twice", version: "1", tags: ["last"] } };
      const text = JSON.stringify({ ...copy, nodes: [{ id: "only", ...node }], edges: [] });
      writeFileSync(join(cwd, "copy.json"), text);
      const result = await gavotte("publish", first, "copy.json", "--json");
      expect([result.code, result.stderr]).toEqual([0, expect.stringContaining("copy.json")]);
      const { published } = JSON.parse(result.stdout) as { published: object[] };
      expect(published).toMatchObject([{ name: "twice", tags: ["last"] }]);
    },
    SLOW,
  );

  it(
    "says when a version means another workflow from now on, and not when it means the same",
    async () => {
      const first = await gavotte("publish", write("again", { type: "parallel" }), "--json");
      const { published } = JSON.parse(first.stdout) as { published: { hash: string }[] };
      const same = await gavotte("publish", write("again", { type: "parallel" }));
      expect([same.code, same.stderr]).toEqual([0, ""]);
      const other = await gavotte("publish", write("again", { type: "conditional" }));
      expect([other.code, other.stderr]).toEqual([
        0,
        expect.stringContaining(`warning: again@1 was another workflow (${published[0]?.hash}`),
      ]);
    },
    SLOW,
  );

  it(
    "publishes nothing when one file has errors",
    async () => {
      const good = write("good", { type: "parallel" });
      const bad = write("bad", { type: "nothing" });
      const result = await gavotte("publish", good, bad);
      expect(result.code).toBe(1);
      expect((await gavotte("submit", "good", "--ref")).stderr).toContain("GV_WORKFLOW_NOT_FOUND");
    },
    SLOW,
  );
});
