import { expect, it } from "vitest";
import { ClientGate } from "./client-ends.ts";

it("what a replica refuses is an error of Redis with a code, and may be tried again", async () => {
  const refused = new Error("READONLY You can't write against a read only replica.");
  await expect(new ClientGate().pass(() => Promise.reject(refused))).rejects.toMatchObject({
    ...{ code: "GV_REDIS_UNAVAILABLE", cause: refused },
    message: expect.stringContaining("is a replica and takes no writes") as string,
  });
});
