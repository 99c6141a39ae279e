/**
 * BullMQ flows: this process adds them, a worker process executes them. Told by messages:
 * {shape, runs} → {done: {seconds}}, {latency: samples} → {latencies: [ms]}, {stop}.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { FlowProducer, Queue, QueueEvents } from "bullmq";
import { connection, flowOf, QUEUE } from "./settings.mjs";

const FLOWS_PER_CALL = 50;
/** A job that is removed before it is waited for cannot be found by the wait. */
const KEEP_SOME = { removeOnComplete: 100 };
const queue = new Queue(QUEUE, { connection });
await queue.obliterate({ force: true });
const flows = new FlowProducer({ connection });
const worker = fork(fileURLToPath(new URL("worker.mjs", import.meta.url)), process.argv.slice(2));
let ended = 0;
let look = () => undefined;
await new Promise((done) => {
  worker.on("message", (message) => {
    ended = message.ended ?? ended;
    look();
    if (message.ready) done();
  });
});

async function throughput(shape, runs) {
  const target = ended + runs;
  const start = performance.now();
  const reached = new Promise((done) => {
    look = () => ended >= target && done();
  });
  for (let from = 0; from < runs; from += FLOWS_PER_CALL) {
    const count = Math.min(FLOWS_PER_CALL, runs - from);
    await flows.addBulk(Array.from({ length: count }, () => flowOf(shape)));
  }
  await reached;
  process.send({ done: { seconds: (performance.now() - start) / 1000 } });
}

async function latency(samples) {
  const events = new QueueEvents(QUEUE, { connection });
  await events.waitUntilReady();
  const latencies = [];
  for (let i = 0; i < samples + 50; i++) {
    const start = performance.now();
    const job = await queue.add("step", {}, KEEP_SOME);
    await job.waitUntilFinished(events);
    if (i >= 50) latencies.push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 5));
  }
  await events.close();
  process.send({ latencies });
}

async function stop() {
  worker.send({ stop: true });
  await new Promise((done) => worker.once("exit", done));
  process.exit(0);
}

process.on("message", (message) => {
  if (message.stop) void stop();
  else if (message.latency) void latency(message.latency);
  else void throughput(message.shape, message.runs);
});
process.on("disconnect", () => process.exit(0));
process.on("SIGINT", () => undefined);
process.send({ ready: { worker: worker.pid } });
