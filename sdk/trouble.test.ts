import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { GavotteError } from "./errors.ts";
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
    expect(lines[2]).toMatchObject({ msg: "not read", times: 101 });
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

  it("of one cause is told once for all that meet it, and its end by the last that is through", () => {
    const { lines, clock, one } = trouble();
    const away = (what: string): Error =>
      new GavotteError("GV_DATABASE_UNAVAILABLE", `Postgres cannot be reached (${what})`);
    for (const who of ["archive 0", "archive 1", "pauses"]) {
      one.meet(away(who), who);
      one.meet(away("again"), who);
    }
    expect(lines).toMatchObject([
      { msg: "not read", what: "archive 0", code: "GV_DATABASE_UNAVAILABLE", times: 1 },
    ]);
    expect(lines[0]).not.toHaveProperty("err");
    clock.ms = 2000;
    one.over("archive 0");
    one.over("elsewhere");
    one.giveUp("pauses");
    expect(lines).toHaveLength(1);
    one.over("archive 1");
    const causes = ["GV_DATABASE_UNAVAILABLE"];
    expect(lines[1]).toMatchObject({ msg: "read again", causes, times: 6, forMs: 2000 });
    one.meet(away("once more"), "pauses");
    one.giveUp("pauses");
    expect(lines).toHaveLength(3);
  });

  it("with a text that differs each time keeps no more than a hundred causes", () => {
    const { lines, one } = trouble();
    for (let i = 0; i < 250; i++) {
      one.meet(new Error(`run ${i}`));
    }
    one.over();
    expect(lines.at(-1)).toMatchObject({ msg: "read again", times: 50 });
  });
});
