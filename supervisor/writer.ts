/** Writing a run as a list of commands, for a script that carries them out (scripts/wake_run.lua). */
import type { Writer } from "./emitter.ts";

/** Texts of one command; Lua's stack is limited. */
const TEXTS_MAX = 1000;

export class CommandList implements Writer {
  readonly commands: string[][] = [];

  del(...keys: string[]): void {
    this.commands.push(["DEL", ...keys]);
  }

  hset(key: string, fields: { [field: string]: string }): void {
    const flat = Object.entries(fields).flat();
    for (let from = 0; from < flat.length; from += TEXTS_MAX) {
      this.commands.push(["HSET", key, ...flat.slice(from, from + TEXTS_MAX)]);
    }
  }

  persist(key: string): void {
    this.commands.push(["PERSIST", key]);
  }

  rename(from: string, to: string): void {
    this.commands.push(["RENAME", from, to]);
  }

  rpush(key: string, value: string): void {
    this.commands.push(["RPUSH", key, value]);
  }

  sadd(key: string, member: string): void {
    this.commands.push(["SADD", key, member]);
  }

  xadd(key: string, id: "*", field: string, value: string): void {
    this.commands.push(["XADD", key, id, field, value]);
  }

  xgroup(create: "CREATE", key: string, group: string, id: "0", make: "MKSTREAM"): void {
    this.commands.push(["XGROUP", create, key, group, id, make]);
  }

  zadd(key: string, score: number, member: string): void {
    this.commands.push(["ZADD", key, String(score), member]);
  }
}
