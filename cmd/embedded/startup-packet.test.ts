import { describe, expect, it } from "vitest";
import { startupWithUser } from "./startup-packet.ts";

function startup(...texts: string[]): Buffer {
  const body = Buffer.from(`${texts.map((text) => `${text}\0`).join("")}\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(head.length + body.length, 0);
  head.writeInt32BE(196_608, 4);
  return Buffer.concat([head, body]);
}

describe("a startup packet", () => {
  it("gets the one user there is if it names none", () => {
    const message = startupWithUser(startup("database", "postgres", "application_name", "user"));
    const wanted = startup("user", "postgres", "database", "postgres", "application_name", "user");
    expect(Buffer.from(message)).toEqual(wanted);
    expect(Buffer.from(startupWithUser(startup()))).toEqual(startup("user", "postgres"));
  });

  it("stays as it is if it names one, as do other messages", () => {
    const query = Buffer.from("Q\0\0\0\x0dselect 1\0");
    for (const message of [startup("user", "me"), query, Buffer.alloc(8), Buffer.alloc(0)]) {
      expect(startupWithUser(message)).toBe(message);
    }
  });
});
