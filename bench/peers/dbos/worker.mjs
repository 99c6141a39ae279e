/** The worker's process: workflows whose steps do nothing, each step a checkpoint in Postgres. */
import { DBOS } from "@dbos-inc/dbos-sdk";

const settings = JSON.parse(process.argv[2]);
/** Workflows under way at one time, and connections to Postgres. */
const CONCURRENCY = 256;
const CONNECTIONS = 20;

const step = () => DBOS.runStep(async () => settings.output, { name: "step" });
const workflows = {
  single: DBOS.registerWorkflow(step, { name: "single" }),
  chain10: DBOS.registerWorkflow(
    async () => {
      let last;
      for (let i = 0; i < 10; i++) last = await step();
      return last;
    },
    { name: "chain10" },
  ),
  diamond: DBOS.registerWorkflow(
    async () => {
      await step();
      await Promise.all([step(), step()]);
      return step();
    },
    { name: "diamond" },
  ),
};

async function one(workflow) {
  const handle = await DBOS.startWorkflow(workflow)();
  await handle.getResult();
}

async function throughput({ shape, runs }) {
  const workflow = workflows[shape.name];
  const start = performance.now();
  let left = runs;
  const lane = async () => {
    while (left-- > 0) await one(workflow);
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, runs) }, lane));
  process.send({ done: { seconds: (performance.now() - start) / 1000 } });
}

async function latency(samples) {
  const latencies = [];
  for (let i = 0; i < samples + 20; i++) {
    const start = performance.now();
    await one(workflows.single);
    if (i >= 20) latencies.push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 5));
  }
  process.send({ latencies });
}

async function stop() {
  await DBOS.shutdown();
  process.exit(0);
}

process.on("message", (message) => {
  if (message.stop) void stop();
  else if (message.latency) void latency(message.latency);
  else void throughput(message);
});
process.on("disconnect", () => process.exit(0));
process.on("SIGINT", () => undefined);
DBOS.setConfig({
  name: "bench",
  systemDatabaseUrl: settings.databaseUrl,
  systemDatabasePoolSize: CONNECTIONS,
  logLevel: "error",
});
await DBOS.launch();
process.send({ ready: true });
