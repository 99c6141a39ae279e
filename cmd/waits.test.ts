/** The commands that end waits, as processes, against an engine of their own. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CliResult, type Dev, runCli, startDev } from "./cli.fixture.ts";

const SLOW = 120_000;
const form = { properties: { note: { type: "string" } } };
const ASKED = { title: "Ship?", assignees: ["ann"], form };
const workflow = {
  name: "order",
  nodes: [
    { id: "paid", type: "wait", timeout_ms: 600_000, config: { signal: "paid" } },
    { id: "ship", type: "human", config: ASKED },
    { id: "sent", type: "wait", config: { signal: "sent" } },
  ],
  edges: [
    { from: "paid", to: "ship" },
    { from: "ship", to: "sent" },
  ],
  output: { paid: "${ctx.paid.output}", ship: "${ctx.ship.output}", sent: "${ctx.sent.output}" },
};

let cwd = "";
let dev: Dev;
const gavotte = (...args: string[]): Promise<CliResult> => runCli(cwd, args);

async function json(...args: string[]): Promise<{ [key: string]: unknown }> {
  const { stdout } = await gavotte(...args, "--json");
  return JSON.parse(stdout) as { [key: string]: unknown };
}

/** Asks until the answer satisfies. */
async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (let i = 0; i < 40; i++) {
    const answer = await ask();
    if (answer !== undefined) {
      return answer;
    }
  }
  throw new Error("it does not come");
}

type Nodes = { [id: string]: { wait?: { for: string; token?: string } } };

function waiting(runId: string, node: string): Promise<string> {
  return until(async () => {
    const nodes = (await json("status", runId))["nodes"] as Nodes;
    return nodes[node]?.wait?.token;
  });
}

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-waits-"));
  writeFileSync(join(cwd, "order.json"), JSON.stringify(workflow));
  dev = await startDev(cwd);
}, SLOW);

afterAll(async () => {
  expect(await dev.stop()).toBe(0);
}, SLOW);

describe("signal, approvals, approve, callback", () => {
  it(
    "bring a run from wait to wait to its end",
    async () => {
      const runId = (await json("submit", "order.json"))["run_id"] as string;
      await waiting(runId, "paid");
      const shown = await gavotte("status", runId, "--why");
      expect(shown.stdout).toContain("for signal paid until 20");
      expect(shown.stdout).toContain("why: paid: waiting for signal paid");
      const wrong = await gavotte("why", runId, "payd");
      expect(wrong).toMatchObject({ code: 2 });
      expect(wrong.stderr).toContain('workflow order has no node "payd"; did you mean paid?');
      expect((await gavotte("why", runId, "sent")).stdout).toBe("no token stands at sent\n");
      const unknown = await gavotte("signal", runId, "payed");
      expect(unknown).toMatchObject({ code: 1 });
      expect(unknown.stderr).toContain("GV_SIGNAL_UNKNOWN");
      const sent = await json("signal", runId, "paid", "--data", '{"eur":12}', "--id", "s1");
      expect(sent).toMatchObject({ outcome: "delivered", id: "s1" });

      const id = await until(async () => {
        const { approvals } = await json("approvals", "--assignee", "ann");
        return (approvals as { id: string }[])[0]?.id;
      });
      expect((await gavotte("approvals")).stdout).toMatch(/ DATA\n.* \{note\?: string\}\n/);
      expect((await gavotte("approve", id)).code).toBe(2);
      expect((await gavotte("approve", id, "--as", "eve")).stderr).toContain(
        "GV_APPROVAL_FORBIDDEN",
      );
      expect((await gavotte("approve", id, "--as", "ann")).stdout).toContain("approved");

      const token = await waiting(runId, "sent");
      expect((await gavotte("callback", token, "--data", '"by post"')).code).toBe(0);
      expect((await gavotte("callback", token)).code).toBe(1);
      const report = await until(async () => {
        const now = await json("status", runId);
        return now["status"] === "COMPLETED" ? now : undefined;
      });
      expect(report["output"]).toEqual({
        paid: { eur: 12 },
        ship: { approved: true, by: "ann", data: null },
        sent: "by post",
      });
    },
    SLOW,
  );
});
