/**
 * What a measurement cost: CPU time per process from /proc, Redis' own statistics by command, and
 * the CPU that everybody else on the machine used meanwhile: a figure taken on a busy machine says
 * so itself.
 *
 * CPU per step (utime and stime of each process) means something on a busy machine too; times by
 * the wall clock do not. /proc is Linux'; elsewhere CPU figures are 0.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Redis } from "../sdk/internal.ts";

/** Calls of one command and the microseconds Redis spent in them. */
export interface CommandUsage {
  calls: number;
  micros: number;
}

/** Seconds of CPU by name of the process, and what happened in Redis. */
export interface Usage {
  seconds: number;
  cpu: { [process: string]: number };
  /** CPU seconds of processes that are not part of this measurement. */
  others: number;
  redis: {
    /** Commands served, those inside of scripts included. */
    calls: number;
    /** Microseconds in scripts, and how many script calls. */
    scriptMicros: number;
    scriptCalls: number;
    /** By name; those inside of scripts count by themselves and in `evalsha` too. */
    commands: { [command: string]: CommandUsage };
  };
}

/** Processes by name: one, several that are told together, or one that is not known. */
export interface Pids {
  [process: string]: number | readonly number[] | null;
}

const TICKS_PER_SECOND = 100;

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Fields of /proc/<pid>/stat after the name, which may hold anything. */
function stat(pid: number): number[] {
  const text = read(`/proc/${pid}/stat`);
  return text
    .slice(text.lastIndexOf(")") + 4)
    .split(" ")
    .map(Number);
}

/** CPU seconds of a process; with `family`, of its children too, those that ended included. */
function cpuOf(pid: number, family: boolean): number {
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = stat(pid).slice(10, 14);
  const own = utime + stime + (family ? cutime + cstime : 0);
  const children = family ? childrenOf(pid) : [];
  return children.reduce((sum, child) => sum + cpuOf(child, false), own / TICKS_PER_SECOND);
}

function childrenOf(pid: number): number[] {
  const pids = readdirSync("/proc").map(Number).filter(Number.isInteger);
  return pids.filter((child) => stat(child)[0] === pid);
}

/** Busy seconds of the whole machine. */
function machineBusy(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0] = read("/proc/stat")
    .split("\n", 1)[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + soft) / TICKS_PER_SECOND;
}

/** Starts counting; the function it gives stops and tells. `family` names count children too. */
export async function startUsage(
  redis: Redis,
  pids: Pids,
  family: readonly string[] = ["postgres"],
): Promise<() => Promise<Usage>> {
  await redis.config("RESETSTAT");
  const known = Object.entries(pids).flatMap(([name, pid]) => {
    const list = (typeof pid === "number" ? [pid] : (pid ?? [])).filter((one) => one > 0);
    return list.length === 0 ? [] : [[name, list] as const];
  });
  const sum = (name: string, list: readonly number[]): number =>
    list.reduce((seconds, pid) => seconds + cpuOf(pid, family.includes(name)), 0);
  const sample = (): Map<string, number> =>
    new Map(known.map(([name, list]) => [name, sum(name, list)]));
  const before = sample();
  const busy = machineBusy();
  const start = performance.now();
  return async () => {
    const seconds = (performance.now() - start) / 1000;
    const after = sample();
    const all = machineBusy() - busy;
    const cpu: { [process: string]: number } = {};
    for (const [name, value] of after) {
      cpu[name] = round(value - (before.get(name) ?? 0), 2);
    }
    const own = Object.values(cpu).reduce((sum, value) => sum + value, 0);
    const others = round(Math.max(0, all - own), 2);
    return { seconds: round(seconds, 3), cpu, others, redis: await redisUsage(redis) };
  };
}

async function redisUsage(redis: Redis): Promise<Usage["redis"]> {
  const text = await redis.info("commandstats");
  const usage: Usage["redis"] = { calls: 0, scriptMicros: 0, scriptCalls: 0, commands: {} };
  for (const [, name = "", count = "0", time = "0"] of text.matchAll(COMMAND)) {
    const [calls, micros] = [Number(count), Number(time)];
    usage.calls += calls;
    usage.commands[name] = { calls, micros };
    if (name === "evalsha" || name === "eval") {
      usage.scriptCalls += calls;
      usage.scriptMicros += micros;
    }
  }
  return usage;
}

const COMMAND = /cmdstat_([^:]+):calls=(\d+),usec=(\d+)/g;

/** `value` with so many digits after the point. */
export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** The 50th, 95th and 99th percentile, in the unit of the values. */
export function percentiles(values: readonly number[]): { p50: number; p95: number; p99: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0, 2);
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** The value in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}
