/**
 * The scripts of no partition (circuits, rate limits) under a test's clock. They ask the server for
 * the time and leave it to the server to forget; here a prelude answers and forgets in its stead, so
 * that hours of waiting take none, and the same seed is the same schedule.
 */
import { createHash } from "node:crypto";
import { redisTimeMs, SCRIPTS, type Redis, type ScriptName } from "../../sdk/internal.ts";
import { intercepted } from "../support/index.ts";
import type { TestPartition } from "./partition.ts";

/** One call of such a script, as it was answered. */
export interface ClockedCall {
  name: ScriptName;
  key: string;
  args: readonly string[];
  nowMs: number;
  answer: number;
}

const CLOCKED: readonly ScriptName[] = ["askCircuit", "tellCircuit", "takeSlot"];

/** When a key is to be forgotten stands beside it, in the same slot. */
const PRELUDE = `local redis = (function(real)
  local now = tonumber(table.remove(ARGV))
  local function due(key) return key .. ":due" end
  local function keep(key, ms) real.call("SET", due(key), string.format("%.0f", now + ms)) end
  for _, key in ipairs(KEYS) do
    if tonumber(real.call("GET", due(key)) or math.huge) <= now then
      real.call("DEL", key, due(key))
    end
  end
  local own = {
    TIME = function() return { tostring(math.floor(now / 1000)), tostring(now % 1000 * 1000) } end,
    PEXPIRE = function(key, ms) keep(key, ms) return 1 end,
    PTTL = function(key)
      local at = real.call("GET", due(key))
      return at and tonumber(at) - now or real.call("EXISTS", key) - 2
    end,
    SET = function(key, value, px, ms) keep(key, ms) return real.call("SET", key, value) end,
    DEL = function(key) real.call("DEL", due(key)) return real.call("DEL", key) end,
  }
  return { call = function(name, ...)
    if own[name] then return own[name](...) end
    return real.call(name, ...)
  end }
end)(redis)
`;

const SOURCES = new Map(
  CLOCKED.map((name) => {
    const source = SCRIPTS[name];
    return [createHash("sha1").update(source).digest("hex"), { name, source: PRELUDE + source }];
  }),
);

/** The partition's Redis, where these scripts have its clock; `heard` is told each call. */
export function clockedRedis(p: TestPartition, heard: (call: ClockedCall) => void): Redis {
  return intercepted(p.redis, (called, call) => {
    if (called !== "evalsha") {
      return call;
    }
    return async (...sent) => {
      const [sha, count, ...rest] = sent as [string, number, ...(string | number)[]];
      const script = SOURCES.get(sha);
      if (script === undefined) {
        return call(...sent);
      }
      const nowMs = await redisTimeMs(p.scripts);
      const answer = (await p.redis.eval(script.source, count, ...rest, nowMs)) as number;
      const [key = "", ...args] = rest.map(String);
      heard({ name: script.name, key, args: args.slice(count - 1), nowMs, answer });
      return answer;
    };
  });
}
