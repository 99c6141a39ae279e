import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { checkSupervisors, gatewayCheck } from "./doctor-services.ts";
import type { Stack } from "./stack.ts";

/** A stack whose database counts so many supervisors, one answer after the other. */
function counting(...counts: number[]): { stack: Stack; asked: () => number } {
  let asked = 0;
  const query = (): Promise<object[]> => {
    asked += 1;
    return Promise.resolve([{ count: counts[asked - 1] ?? 0, isShared: false }]);
  };
  return { stack: { db: { query } } as never, asked: () => asked };
}

it("a supervisor that has just started is waited for, but no second moment after the checks before", async () => {
  const soon = counting(0, 0, 1);
  expect(await checkSupervisors(soon.stack, null, Infinity)).toMatchObject([{ state: "ok" }]);
  const none = counting();
  const over = performance.now();
  expect(await checkSupervisors(none.stack, null, over)).toMatchObject([{ state: "bad" }]);
  expect(none.asked()).toBe(1);
});

it("a gateway is ready, not ready, or none answers", async () => {
  let status = 200;
  const server = createServer((request, answer) => {
    answer.writeHead(request.url === "/readyz" ? status : 404).end("{}");
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const url = `ws://127.0.0.1:${port}`;
  expect(await gatewayCheck(url)).toEqual({ name: "gateway", state: "ok", text: url });
  status = 503;
  const unready = await gatewayCheck(url);
  expect(unready).toMatchObject({ state: "warning" });
  expect(unready.text).toContain("not ready: it answers with status 503");
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  const gone = await gatewayCheck(url);
  expect(gone).toMatchObject({ state: "warning" });
  expect(gone.text).toMatch(/^none answers at ws:\/\/127.* .*start "gavotte gateway"/);
});
