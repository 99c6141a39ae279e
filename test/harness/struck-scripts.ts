/**
 * Scripts that fail half-way (21 A4): the text of each is loaded with a prelude that counts its calls
 * of Redis and raises an error after one of them, once. Redis does not roll back, so whatever was
 * written by then stays.
 */
import { createHash } from "node:crypto";
import {
  certifiedSource,
  SCRIPTS,
  ScriptRunner,
  type Redis,
  type ScriptName,
} from "../../sdk/internal.ts";
import type { TestPartition } from "./partition.ts";

export interface StruckPartition extends TestPartition {
  /** From now on calls are counted, over all scripts, and this one is struck; 0: none is. */
  arm(at: number): Promise<void>;
  /** Calls since then. */
  calls(): Promise<number>;
}

const DEPLOYMENT = "test";
const EPOCH = 1;
export const BLOW = "struck by the test";

/** In front of a script: `redis.call` as it is, but for the one call that is struck. */
function prelude(key: string): string {
  return `local redis = (function(real)
    local at = tonumber(real.call("HGET", "${key}", "at") or 0)
    return setmetatable({ call = function(...)
      local reply = real.call(...)
      if real.call("HINCRBY", "${key}", "calls", 1) == at then error("${BLOW}", 0) end
      return reply
    end }, { __index = real })
  end)(redis)\n`;
}

/** The same partition, with scripts that can be struck. */
export async function struckPartition(p: TestPartition): Promise<StruckPartition> {
  const key = `${p.scripts.keys.meta}:struck`;
  const struck = new Map<string, string>();
  for (const name of Object.keys(SCRIPTS) as ScriptName[]) {
    const source = certifiedSource(name, DEPLOYMENT, p.scripts.partition, EPOCH);
    const sha = (await p.scripts.redis.script("LOAD", prelude(key) + source)) as string;
    struck.set(createHash("sha1").update(source).digest("hex"), sha);
  }
  const redis = new Proxy(p.scripts.redis, {
    get(target, name) {
      if (name === "evalsha") {
        return (sha: string, ...rest: [number, ...string[]]): unknown =>
          target.evalsha(struck.get(sha) ?? sha, ...rest);
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  }) as Redis;
  const { partition } = p.scripts;
  return {
    ...p,
    scripts: new ScriptRunner({ redis, deployment: DEPLOYMENT, partition }),
    async arm(at) {
      await p.redis.del(key);
      await p.redis.hset(key, { at, calls: 0 });
    },
    calls: async () => Number(await p.redis.hget(key, "calls")),
  };
}
