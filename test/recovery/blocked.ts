/** Workers in processes of their own whose handler blocks them, and how often it was executed. */
import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RoleOptions } from "../e2e/role.ts";
import type { Engine } from "../harness/engine.ts";

export const LEASE_MS = 600;
const BLOCK_MS = 4 * LEASE_MS;
const ROLE = new URL("../e2e/role.ts", import.meta.url);

export class BlockedWorkers {
  readonly #engine: Engine;
  readonly #dir = mkdtempSync(join(tmpdir(), "gv-blocked-"));
  readonly #children: ChildProcess[] = [];
  #serial = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Starts one that is given up after `blockedMsMax`; 0: it has no lease thread. Its name. */
  async start(blockedMsMax: number): Promise<string> {
    this.#serial += 1;
    const options: RoleOptions = {
      ...{ redisUrl: this.#engine.redisUrl, databaseUrl: "", singleSession: false },
      ...{ leaseMs: LEASE_MS, blockedMsMax, id: `blocked-${this.#serial}` },
    };
    const child = fork(ROLE, ["worker", JSON.stringify(options)], {
      execArgv: ["--import", "tsx"],
    });
    this.#children.push(child);
    await new Promise((resolve) => child.once("message", resolve));
    return options.id;
  }

  /** Runs one node that blocks; how often it was executed, and how its run ended. */
  async run(more: object = {}): Promise<{ executions: number; status: string }> {
    const file = join(this.#dir, `calls-${this.#serial}`);
    const node = {
      ...{ id: "heavy", type: "function" },
      config: { function_name: "block", params: { file, ms: BLOCK_MS } },
      ...more,
    };
    const workflow = { name: "heavy", nodes: [node], edges: [] };
    const { status } = await this.#engine.ended(await this.#engine.submit({ workflow, input: {} }));
    const lines = readFileSync(file, "utf8").trim().split("\n");
    return { executions: lines.length, status };
  }

  /** Kills all that are there. */
  async kill(): Promise<void> {
    await Promise.all(
      this.#children.splice(0).map((child) => {
        const gone = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        return gone;
      }),
    );
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
