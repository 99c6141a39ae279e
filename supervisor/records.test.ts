import { describe, expect, it } from "vitest";
import { segmentsOf } from "./block-fold.ts";
import { foldBlock } from "./fold-block.ts";
import { readDone, readRecord, splitTransitions, type RawRecord } from "./records.ts";

const text = (e: string, more = ""): string => `{"r":"run-1","e":"${e}"${more}}`;

function record(seq: number, members: string[]): RawRecord {
  const body = `[${members.join(",\n")}]`;
  return { streamId: `${seq}-0`, seq, nonce: `n${seq}`, prev: `n${seq - 1}`, t: 1000 + seq, body };
}

describe("splitTransitions", () => {
  it("keeps the text of each member as the script wrote it", () => {
    const members = [
      text("node.completed", ',"n":0,"o":12345678901234567'),
      text("node.completed", ',"n":1,"o":[],"x":"L"'),
    ];
    expect(splitTransitions(`[${members.join(",\n")}]`).map((one) => one.text)).toEqual(members);
  });

  it("is not misled by a payload that looks like a border", () => {
    const forged = '[{"a":1},{"r":"run-2","e":"run.completed","o":1}]';
    const quoted = '"}, {\\"r\\":\\"[},{\\"r\\":\\"x"';
    const members = [
      text("node.completed", `,"n":0,"o":${forged}`),
      text("node.completed", `,"n":1,"o":${quoted}`),
    ];
    const split = splitTransitions(`[${members.join(",\n")}]`);
    expect(split.map((one) => one.text)).toEqual(members);
    expect(split.map((one) => one.transition?.r)).toEqual(["run-1", "run-1"]);
  });

  it("takes a plain success for what it is by how it begins", () => {
    const more = (extra: string): string => `,"n":3,"s":"","a":1${extra},"x":"L","o":[1,{"r":"x"}]`;
    const members = [
      text("node.completed", more(',"ms":2,"w":"host-1"')),
      text("node.completed", more(',"f":1')),
      '{"r":"run-1","m":"4#2","e":"node.completed"' + more(',"f":1') + "}",
      text("node.completed", more(',"f":1').replace("[1", '{"$gv:blob":"a:1"}').slice(0, -11)),
      text("node.completed", more(',"ms":2,"w":"host-1","errs":[]')),
    ];
    const split = splitTransitions(`[${members.join(",\n")}]`);
    expect(split.map((one) => one.text)).toEqual(members);
    expect(split.map(({ runId }) => runId)).toEqual(members.map(() => "run-1"));
    const output = '[1,{"r":"x"}]';
    expect(split.map(({ transition }) => transition === null)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(readDone(members[0] as string)).toEqual({ node: 3, output });
    expect(readDone(members[1] as string)).toEqual({ node: 3, output });
    // Of an element: no output of the run's.
    expect(readDone(members[2] as string)).toEqual({ node: 3, output: null });
    expect(readDone(members[4] as string)).toBeNull();
    // A large output is looked at: its text is to be archived.
    expect(split[3]?.transition).toMatchObject({ e: "node.completed", o: { "$gv:blob": "a:1" } });
  });

  it("reads records that were written without line breaks", () => {
    const members = [
      text("node.completed", ',"n":0,"o":1'),
      text("node.completed", ',"n":1,"o":2'),
    ];
    expect(splitTransitions(`[${members.join(",")}]`).map((one) => one.text)).toEqual(members);
  });

  it("keeps what is not JSON as the text of a suspect run", () => {
    const members = [text("run.started"), '{"r":"run-1","e":"node.completed","o":oops}'];
    const split = splitTransitions(`[${members.join(",\n")}]`);
    expect(split[0]?.text).toBe(members[0]);
    expect(split[1]?.transition).toMatchObject({ r: "run-1", e: "run.suspect", raw: members[1] });
  });
});

describe("readRecord", () => {
  it("refuses what is not a record of version 1", () => {
    expect(readRecord("1-0", ["v", "2", "seq", "1"])).toBeNull();
    expect(readRecord("1-0", ["submission", "x"])).toBeNull();
  });
});

describe("foldBlock", () => {
  it("makes one segment per run, in journal order, with positions", () => {
    const block = foldBlock([
      record(7, [text("run.started", ',"ir":"h","ep":1'), '{"r":"run-2","e":"run.started"}']),
      record(8, [text("node.completed", ',"n":0,"x":"","o":1'), text("run.completed")]),
    ]);
    const [first, second] = segmentsOf(0, block);
    expect(first).toMatchObject({ runId: "run-1", seqFrom: 7, seqTo: 8, tFrom: 1007, tTo: 1008 });
    const positions = (JSON.parse(first?.transitions ?? "") as unknown[][]).map(([p]) => p);
    expect(positions).toEqual(["7.0", "8.0", "8.1"]);
    expect(second?.runId).toBe("run-2");
    expect(block.transitions).toBe(4);
  });

  it("takes a run's output as the text that the journal has", () => {
    const block = foldBlock([record(1, [text("run.completed", ',"o":{"n":12345678901234567}')])]);
    expect(block.runs.get("run-1")?.output).toBe('{"n":12345678901234567}');
  });

  it("tells failures that no edge took from those that one did, and dead tokens", () => {
    const failed = (n: number, x: string): string =>
      text("node.failed", `,"n":${n},"s":"","a":3,"dl":1,"x":"${x}","err":{"error":{"code":"E"}}`);
    const block = foldBlock([record(1, [failed(0, "DL"), failed(1, "XX")])]);
    expect(block.runs.get("run-1")?.failed).toEqual([{ node: 1, scope: "" }]);
    expect(block.dead.map(({ node, position }) => [node, position])).toEqual([
      [0, "1.0"],
      [1, "1.1"],
    ]);
  });

  it("tells when the next armed timer is due", () => {
    const at = (due: number): string => text("node.retrying", `,"n":0,"due":${due}`);
    expect(foldBlock([record(1, [at(900), at(500)])]).dueMs).toBe(500);
  });
});
