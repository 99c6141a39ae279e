/**
 * Real Redis and Postgres for the tests, started at the first test file that asks.
 *
 * Test files run in processes of their own, so they ask over HTTP on 127.0.0.1; a run of tests that
 * need no service starts none. Everything ends with the tests, however they end: the services watch
 * this process, and its folder is removed as it exits.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { ClusterService } from "./cluster-service.ts";
import { PostgresService } from "./postgres-service.ts";
import { RedisService } from "./redis-service.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where test files ask for services. */
    servicesUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = mkdtempSync(join(tmpdir(), "gv-"));
  // Postgres may have to run as another user, who must be able to pass through.
  chmodSync(dir, 0o711);
  const remove = (): void => rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  process.once("exit", remove);
  const redis = new RedisService(dir);
  const clusters = new ClusterService(dir);
  const postgres = new PostgresService(dir);
  const routes: Record<string, (url: string) => Promise<unknown>> = {
    "/redis/take": async () => ({ url: await redis.take() }),
    "/redis/release": async (url) => redis.release(url),
    "/cluster/take": async () => ({ url: await clusters.take() }),
    "/cluster/release": async (url) => clusters.release(url),
    "/postgres/take": () => postgres.take(),
    "/postgres/release": (url) => postgres.release(url),
  };
  const server = createServer((request, response) => {
    void answer(request).then(
      (value) => response.end(JSON.stringify(value ?? null)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  const answer = async (request: IncomingMessage): Promise<unknown> => {
    const route = routes[request.url ?? ""];
    if (route === undefined) {
      throw new Error(`no such service: ${request.url}`);
    }
    return route(Buffer.concat(await request.toArray()).toString("utf8"));
  };
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  project.provide("servicesUrl", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return async () => {
    server.close();
    server.closeAllConnections();
    await Promise.all([redis.stop(), clusters.stop(), postgres.stop()]);
    remove();
  };
}
