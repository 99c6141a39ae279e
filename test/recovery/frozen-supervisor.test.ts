/**
 * A supervisor that is frozen closes no connection, so nobody is told. Another takes its partition over
 * all the same; and when it goes on, with all that it held to be its own, it does no harm.
 */
import { expect, it } from "vitest";
import { createClient } from "../../sdk/index.ts";
import { hasPostgres } from "../chaos/has-postgres.ts";
import { Scene } from "./scene.ts";

const workflow = {
  metadata: { name: "on_a_word" },
  nodes: [
    { id: "word", type: "wait", config: { signal: "go" } },
    { id: "echo", type: "function", config: { function_name: "builtin.echo" } },
  ],
  edges: [{ from: "word", to: "echo" }],
};

it.runIf(await hasPostgres())(
  "a frozen supervisor's partition is taken over, and it does no harm when it goes on",
  async () => {
    const scene = await Scene.start(1, { rolesTimes: { tryMs: 100, lostMs: 1000 } });
    const { stack } = scene;
    await stack.spawn("supervisor");
    const client = await createClient({ redisUrl: stack.box.url, database: stack.db });
    try {
      const ids = await scene.submit(workflow, 6);
      const release = (some: readonly string[]): Promise<unknown> =>
        Promise.all(some.map((id) => client.signal(id, "go")));
      await scene.archived();
      stack.signal("supervisor", 0, "SIGSTOP");
      await release(ids.slice(0, 2));
      await scene.outputs(ids.slice(0, 2));
      stack.signal("supervisor", 0, "SIGCONT");
      await release(ids.slice(2, 4));
      await scene.outputs(ids.slice(2, 4));
      // The one that was frozen takes part again: it is the only one now.
      await stack.kill("supervisor", 1);
      await release(ids.slice(4));
      await scene.outputs(ids);
      expect(await scene.doubled(ids)).toEqual([]);
      expect(stack.fallen).toEqual([]);
    } finally {
      await client.close();
      await stack.stop();
    }
  },
  180_000,
);
