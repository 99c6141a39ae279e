/** REST and its keys from the command line: what is configured is what the gateway asks for. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCli, startDev, type Dev } from "./cli.fixture.ts";

const SLOW = 120_000;
const KEYS = ["key-of-somebody-else", "key-of-the-command-line"];
const workflow = {
  name: "echo",
  nodes: [{ id: "a", type: "function", config: { function_name: "builtin.echo" } }],
};
let folder = "";
let dev: Dev;
let url = "";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gv-rest-cli-"));
  dev = await startDev(folder, "--api-keys", ...KEYS);
  const stack = readFileSync(join(folder, ".gavotte/stack.json"), "utf8");
  url = (JSON.parse(stack) as { gateway: string }).gateway;
}, SLOW);
afterAll(async () => {
  expect(await dev.stop()).toBe(0);
}, SLOW);

async function rest(path: string, init: RequestInit = {}): Promise<[number, { run_id: string }]> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${KEYS[1]}` };
  const response = await fetch(`${url}/api/v1${path}`, { headers, ...init });
  return [response.status, (await response.json()) as { run_id: string }];
}

it(
  "a gateway of the command line serves REST and the feed to whoever has one of its keys",
  async () => {
    const body = JSON.stringify({ workflow, input: { n: 1 } });
    const [status, { run_id: id }] = await rest("/runs", { method: "POST", body });
    expect(status).toBe(201);
    const [ended, result] = await rest(`/runs/${id}/result?wait=30s`);
    expect([ended, result]).toMatchObject([200, { status: "COMPLETED", output: { n: 1 } }]);
    expect((await rest("/runs", { headers: {} }))[0]).toBe(401);
    const env = { GAVOTTE_API_KEY: KEYS[1] ?? "" };
    const [heard, refused] = await Promise.all([
      runCli(folder, ["watch", id, "--json"], { env }),
      runCli(folder, ["watch", id, "--json"]),
    ]);
    expect(JSON.parse(heard.stdout)).toMatchObject({ run_id: id, status: "COMPLETED" });
    expect([refused.code, JSON.parse(refused.stdout)]).toMatchObject([
      1,
      { error: { code: "GV_KEY_REFUSED" } },
    ]);
  },
  SLOW,
);

it("no key is shown with the configuration", async () => {
  const env = { GAVOTTE_API_KEYS: KEYS.join(","), GAVOTTE_API_KEY: KEYS[1] ?? "" };
  const { stdout, stderr } = await runCli(folder, ["config"], { env });
  expect(stdout).toContain("api_keys");
  expect(stdout + stderr).not.toMatch(/key-of/);
});
