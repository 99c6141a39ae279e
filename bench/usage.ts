/**
 * What a measurement cost: CPU time per process from /proc, Redis' own statistics, and the CPU that
 * everybody else on the machine used meanwhile: a figure taken on a busy machine says so itself.
 *
 * /proc is Linux'; elsewhere CPU figures are 0.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Redis } from "../sdk/internal.ts";

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
  };
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
  pids: { [process: string]: number | null },
  family: readonly string[] = ["postgres"],
): Promise<() => Promise<Usage>> {
  await redis.config("RESETSTAT");
  const known = Object.entries(pids).filter((entry): entry is [string, number] => !!entry[1]);
  const sample = (): Map<string, number> =>
    new Map(known.map(([name, pid]) => [name, cpuOf(pid, family.includes(name))]));
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
  const usage = { calls: 0, scriptMicros: 0, scriptCalls: 0 };
  for (const [, name = "", count = "0", micros = "0"] of text.matchAll(COMMAND)) {
    usage.calls += Number(count);
    if (name === "evalsha" || name === "eval") {
      usage.scriptCalls += Number(count);
      usage.scriptMicros += Number(micros);
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
