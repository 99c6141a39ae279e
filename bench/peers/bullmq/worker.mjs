/** The worker's process: steps that do nothing; tells how many runs have ended. */
import { FlowProducer, Worker } from "bullmq";
import { branchesOf, connection, QUEUE, settings } from "./settings.mjs";

const flows = new FlowProducer({ connection });
const handle = async (job) => {
  if (job.name === "fan") {
    await flows.add(branchesOf(job.data.branches));
  }
  return settings.output;
};
const worker = new Worker(QUEUE, handle, { connection, concurrency: 256 });
let ended = 0;
let told = 0;
worker.on("completed", (job) => {
  ended += job.name === "last" ? 1 : 0;
});
worker.on("error", (error) => console.error(error));
setInterval(() => {
  if (told !== ended) {
    told = ended;
    process.send?.({ ended });
  }
}, 2);
await worker.waitUntilReady();
process.on("message", () => void worker.close().finally(() => process.exit(0)));
process.on("disconnect", () => process.exit(0));
process.on("SIGINT", () => undefined);
process.send?.({ ready: true });
