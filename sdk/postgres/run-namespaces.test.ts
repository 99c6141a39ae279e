import { expect, it } from "vitest";
import { testDatabase } from "../../test/support/index.ts";
import { beatNamespace, keepNamespace, listNamespaces } from "./index.ts";

it("a beat that hangs is given up, and does not keep its connection", async () => {
  const testing = await testDatabase();
  const [db, other] = [testing.connect({ connectionsMax: 1 }), testing.connect()];
  const namespace = "ns:run-1:";
  const place = { host: "h", machine: "m", pid: 1 };
  await keepNamespace(other, { namespace, runId: "r", queues: [], ...place });
  await other.transaction(async (tx) => {
    const text = "SELECT namespace FROM run_namespaces FOR UPDATE";
    await tx.query({ name: "test_lock", text });
    await expect(beatNamespace(db, namespace)).rejects.toThrow("timeout");
    expect(await listNamespaces(db)).toHaveLength(1);
  });
  await beatNamespace(db, namespace);
  await testing.close();
}, 20_000);
