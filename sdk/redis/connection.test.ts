/** The end of a connection whose server is away. */
import { expect, it } from "vitest";
import { freePort, waitFor } from "../../test/support/index.ts";
import { connectRedis } from "./connect.ts";

it("is heard by what waits to be sent while the server is away", async () => {
  const redis = connectRedis({ url: `redis://127.0.0.1:${await freePort()}` }, "test");
  const asked = redis.get("key");
  const ended = expect(asked).rejects.toThrow("Connection is closed");
  await waitFor(() => redis.status === "reconnecting");
  redis.disconnect();
  await ended;
  await expect(redis.get("key")).rejects.toThrow("Connection is closed");
});
