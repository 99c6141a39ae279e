/** What is done to the stack. Each leaves it as it found it: with as many processes as before. */
import { setTimeout as pause } from "node:timers/promises";
import { LEASE_MS, type ChaosStack, type Role } from "./stack.ts";

export interface Fault {
  name: string;
  run(stack: ChaosStack, random: () => number): Promise<void>;
}

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

export const FAULTS: readonly Fault[] = [
  killOne("worker"),
  killOne("worker"),
  killOne("supervisor"),
  freeze("worker"),
  freeze("supervisor"),
  {
    name: "all workers and supervisors at once",
    async run(stack) {
      for (const role of ["worker", "supervisor"] as const) {
        const count = stack.roles[role].length;
        for (let i = 0; i < count; i++) {
          await stack.kill(role, 0);
        }
        for (let i = 0; i < count; i++) {
          await stack.spawn(role);
        }
      }
    },
  },
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
];
