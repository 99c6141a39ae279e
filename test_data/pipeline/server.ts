/**
 * Serves the films of the npm package vega-datasets, so that the pipeline has an API to fetch from.
 *
 * Listens on a free port of this machine only, and writes its address to standard output as soon as
 * it can be asked: run.sh waits for that line.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";

// The package exports only its code; the data lie beside it.
const code = createRequire(import.meta.url).resolve("vega-datasets");
const films = readFileSync(join(dirname(code), "..", "data", "movies.json"));

const server = createServer((request, response) => {
  if (request.method !== "GET" || request.url !== "/films") {
    response.writeHead(404, { "content-type": "application/json" });
    response.end('{"error": "there is only GET /films"}');
    return;
  }
  response.writeHead(200, { "content-type": "application/json", "content-length": films.length });
  response.end(films);
});

server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`http://127.0.0.1:${port}\n`);
});
