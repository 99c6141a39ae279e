import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { Trouble } from "./trouble.ts";

function trouble() {
  const lines: { msg: string; reason?: string; err?: object; times: number }[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const clock = { ms: 0 };
  const says = { fails: "not read", goesOn: "read again" };
  return { lines, clock, one: new Trouble({ logger, nowMs: () => clock.ms, says }) };
}

/** As the driver throws it. */
function reply(message: string): Error {
  const command = { name: "xreadgroup", args: ["x".repeat(10_000)] };
  return Object.assign(new Error(message), { name: "ReplyError", command });
}

describe("trouble that lasts", () => {
  it("is told once for each cause, without the command, and again after half a minute", () => {
    const { lines, clock, one } = trouble();
    for (let i = 0; i < 100; i++) {
      one.meet(reply(`READONLY You can't write against a replica ${i}`));
      one.meet(reply("UNBLOCKED force unblock"));
    }
    expect(lines.map(({ reason }) => reason?.split(" ")[0])).toEqual(["READONLY", "UNBLOCKED"]);
    expect(JSON.stringify(lines)).not.toContain("xxx");
    clock.ms = 30_000;
    one.meet(reply("READONLY"));
    one.meet(new Error("another"));
    expect(lines).toHaveLength(4);
    expect(lines[2]).toMatchObject({ msg: "not read", times: 201 });
    expect(lines[3]?.err).toMatchObject({ message: "another" });
  });

  it("is tried more slowly each time, up to a second, until it is over, which is told once", () => {
    const { lines, one } = trouble();
    one.over();
    const pauses = Array.from({ length: 6 }, () => one.meet(reply("READONLY")));
    expect(pauses).toEqual([200, 400, 800, 1000, 1000, 1000]);
    one.over();
    one.over();
    expect(lines.map(({ msg }) => msg)).toEqual(["not read", "read again"]);
    expect(one.meet(reply("READONLY"))).toBe(200);
    expect(lines).toHaveLength(3);
  });
});
