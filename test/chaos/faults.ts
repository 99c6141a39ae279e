/** What is done to the stack. Each leaves it as it found it: with as many processes as before. */
import { setTimeout as pause } from "node:timers/promises";
import { LEASE_MS, type ChaosStack, type Role } from "./stack.ts";

export interface Fault {
  name: string;
  run(stack: ChaosStack, random: () => number): Promise<void>;
  /** Why it cannot be done on this machine; null if it can. */
  missing?(stack: ChaosStack): string | null;
}

/** How far clocks jump, s. */
export const JUMP_S = 120;
/** Added to each way over a slow network. */
const SLOW_MS = 40;

function pick(stack: ChaosStack, role: Role, random: () => number): number {
  return Math.floor(random() * stack.roles[role].length);
}

const killOne = (role: Role): Fault => ({
  name: `kill -9 of a ${role}`,
  async run(stack, random) {
    await stack.kill(role, pick(stack, role, random));
    await pause(random() * 500);
    await stack.spawn(role);
  },
});

const killAll = (name: string, roles: readonly Role[]): Fault => ({
  name,
  async run(stack) {
    for (const role of roles) {
      const count = stack.roles[role].length;
      await Promise.all(Array.from({ length: count }, () => stack.kill(role, 0)));
      await Promise.all(Array.from({ length: count }, () => stack.spawn(role)));
    }
  },
});

/** Longer than a lease: what it holds is taken over, and then it goes on as if nothing was. */
const freeze = (role: Role): Fault => ({
  name: `a ${role} stands still for longer than a lease`,
  async run(stack, random) {
    const index = pick(stack, role, random);
    const child = stack.roles[role][index];
    stack.signal(role, index, "SIGSTOP");
    await pause(LEASE_MS * (1.2 + random()));
    child?.kill("SIGCONT");
  },
});

/** The same of a store, or of both: everybody else goes on meanwhile, and waits for it. */
const freezeStores = (
  name: string,
  freeze: (stack: ChaosStack) => void,
  thaw: (stack: ChaosStack) => void,
): Fault => ({
  name: `${name} stands still for longer than a lease`,
  async run(stack, random) {
    freeze(stack);
    try {
      await pause(LEASE_MS * (1.2 + random()));
    } finally {
      thaw(stack);
    }
  },
});

/** Alone behind a bad network, and on it from then on. What was on its way arrives late. */
const disconnect = (role: Role): Fault => ({
  name: `a ${role} whose network is slow, stands still for longer than a lease, and is cut`,
  async run(stack, random) {
    await stack.kill(role, pick(stack, role, random));
    const lines = await stack.spawnBehindLines(role);
    lines.forEach((line) => line.slow(SLOW_MS));
    await pause(500 + random() * 1000);
    lines.forEach((line) => line.stall());
    await pause(LEASE_MS * (1.2 + random()));
    lines.forEach((line) => line.flow());
    await pause(random() * 500);
    lines.forEach((line) => line.slow(0));
    lines.forEach((line) => line.cut());
  },
});

const REDIS: readonly Fault[] = [
  freezeStores(
    "Redis",
    ({ box }) => box.freeze(),
    ({ box }) => box.thaw(),
  ),
  { name: "kill -9 of Redis, started again on its log", run: (stack) => stack.restartRedis() },
  {
    name: "Redis loses the end of its log",
    run: (stack, random) => stack.restartRedis(1 + Math.floor(random() * 200_000)),
  },
  {
    name: "Redis loses everything (FLUSHALL)",
    run: async (stack) => {
      await stack.redis.flushall();
    },
  },
  {
    name: "Redis ends all connections",
    run: async (stack) => {
      await stack.redis.client("KILL", "TYPE", "normal", "SKIPME", "yes");
    },
  },
  {
    name: "the disk of Redis is full",
    missing: (stack) => stack.box.noDisk,
    async run(stack, random) {
      stack.box.fillDisk();
      await pause(2000 + random() * 2000);
      stack.box.emptyDisk();
    },
  },
  ...[JUMP_S, -JUMP_S].map((seconds): Fault => ({
    name: `the clock of Redis jumps by ${seconds} s and back`,
    missing: (stack) => stack.box.noClock,
    async run(stack, random) {
      stack.box.clock("redis", seconds);
      await pause(1000 + random() * 2000);
      stack.box.clock("redis", 0);
    },
  })),
];

const POSTGRES: readonly Fault[] = [
  freezeStores(
    "Postgres",
    (stack) => stack.freezePostgres(),
    (stack) => stack.thawPostgres(),
  ),
  {
    name: "Postgres ends all connections",
    async run(stack) {
      const all = {
        name: "chaos_terminate",
        text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE pid <> pg_backend_pid() AND datname = current_database()
            AND application_name <> 'gavotte:chaos'`,
      };
      await stack.db.query(all).catch(() => undefined);
    },
  },
  {
    name: "kill -9 of Postgres, away for some seconds",
    async run(stack, random) {
      await stack.killPostgres();
      await pause(2000 + random() * 4000);
      await stack.startPostgres();
    },
  },
  {
    name: "kill -9 of Redis and Postgres",
    async run(stack, random) {
      await Promise.all([stack.box.kill(), stack.killPostgres()]);
      await pause(random() * 2000);
      await stack.box.start();
      await pause(random() * 1000);
      await stack.startPostgres();
    },
  },
];

export const FAULTS: readonly Fault[] = [
  killOne("worker"),
  killOne("worker"),
  killOne("supervisor"),
  killOne("gateway"),
  freeze("worker"),
  freeze("supervisor"),
  freeze("gateway"),
  disconnect("worker"),
  disconnect("supervisor"),
  disconnect("gateway"),
  killAll("kill -9 of all workers", ["worker"]),
  killAll("kill -9 of all workers and supervisors", ["worker", "supervisor"]),
  {
    name: `a worker whose clock jumps by ${JUMP_S} s and back`,
    missing: (stack) => stack.box.noClock,
    async run(stack, random) {
      await stack.kill("worker", pick(stack, "worker", random));
      await stack.spawn("worker", stack.box.clock("worker", 0));
      for (const seconds of [JUMP_S, -JUMP_S, 0]) {
        await pause(500 + random() * 1000);
        stack.box.clock("worker", seconds);
      }
    },
  },
  ...REDIS,
  ...POSTGRES,
];
