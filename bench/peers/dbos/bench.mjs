/**
 * DBOS workflows: a worker process executes them; this process only passes the bench's messages on,
 * because with DBOS whoever starts a workflow in the background executes it too. Told by messages:
 * {shape, runs} → {done: {seconds}}, {latency: samples} → {latencies: [ms]}, {stop}.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

const path = fileURLToPath(new URL("worker.mjs", import.meta.url));
const worker = fork(path, process.argv.slice(2));

worker.on("message", (message) => {
  process.send(message.ready ? { ready: { worker: worker.pid } } : message);
});
worker.on("exit", (code) => process.exit(code ?? 1));
process.on("message", (message) => worker.send(message));
process.on("disconnect", () => worker.kill());
process.on("SIGINT", () => undefined);
