/**
 * What a gateway has told and Redis has lost is void. Who has heard of it and comes back when the run
 * has long gone on must be told the run anew, though the journal has other records by then: positions
 * of what was lost are never those of anything else.
 */
import { expect, it } from "vitest";
import { followFeed, type FeedMessage } from "../../sdk/feed-client.ts";
import { createClient } from "../../sdk/index.ts";
import { readJournal } from "../../sdk/postgres/index.ts";
import { hasPostgres } from "../chaos/has-postgres.ts";
import { misheard } from "../chaos/listeners.ts";
import { compiled } from "../chaos/workloads.ts";
import { freePort, waitFor } from "../support/index.ts";
import { Scene } from "./scene.ts";

const LIMIT = { timeoutMs: 60_000 };
const STEPS = 4;
const indices = Array.from({ length: STEPS }, (_, i) => i);

const workflow = {
  metadata: { name: "stepwise" },
  nodes: indices.flatMap((i) => [
    { id: `wait${i}`, type: "wait", config: { signal: `go${i}` } },
    { id: `step${i}`, type: "function", config: { function_name: "builtin.echo" } },
  ]),
  edges: indices.flatMap((i) => [
    ...(i === 0 ? [] : [{ from: `step${i - 1}`, to: `wait${i}` }]),
    { from: `wait${i}`, to: `step${i}` },
  ]),
};

it.runIf(await hasPostgres())(
  "who heard what Redis has lost is told the run anew",
  async () => {
    const scene = await Scene.start(1);
    const { stack } = scene;
    stack.more = { ...stack.more, port: await freePort() };
    await stack.spawn("gateway");
    const client = await createClient({ redisUrl: stack.box.url, database: stack.db });
    try {
      const [runId = ""] = await scene.submit(workflow, 1);
      const heard: FeedMessage[] = [];
      const over = followFeed({
        ...{ url: stack.gatewayUrl, runId, signal: new AbortController().signal },
        onMessage: (message) => void heard.push(message),
        onRetry: () => undefined,
      });
      const isWaiting = (id: string) => (message: FeedMessage) =>
        (message.type === "snapshot" && message.nodes[id]?.status === "waiting") ||
        (message.type === "status_update" && message.node === id && message.status === "waiting");
      const hasHeardThatWaits = (id: string): Promise<unknown> =>
        waitFor(() => heard.some(isWaiting(id)), { ...LIMIT, describe: `${id} is not told` });
      await hasHeardThatWaits("wait0");
      await client.signal(runId, "go0");
      await hasHeardThatWaits("wait1");
      await scene.archived();
      // Two steps are told, and nobody archives them.
      stack.signal("supervisor", 0, "SIGSTOP");
      await client.signal(runId, "go1");
      await hasHeardThatWaits("wait2");
      await client.signal(runId, "go2");
      await hasHeardThatWaits("wait3");
      await stack.kill("gateway", 0);
      await stack.redis.flushall();
      stack.signal("supervisor", 0, "SIGCONT");
      for (const i of indices.slice(1)) {
        await client.signal(runId, `go${i}`);
      }
      await scene.outputs([runId]);
      await stack.spawn("gateway");
      await over;
      const { ir } = compiled(workflow);
      expect(misheard(ir, runId, await readJournal(stack.db, runId), heard)).toBeNull();
    } finally {
      await client.close();
      await stack.stop();
    }
  },
  180_000,
);
