import { describe, expect, it } from "vitest";
import { executeKind } from "./index.ts";
import { contextOf, nodeOf } from "./kind.fixture.ts";

const schema = {
  type: "object",
  properties: { total: { type: "number" } },
  required: ["total"],
};

describe("schemas of a node", () => {
  it("an input that does not fit fails the node, with the place, and is not tried again", () => {
    const node = { ...nodeOf("parallel"), input_schema: schema };
    expect(executeKind(node, contextOf({ total: 1 }))).toEqual({ total: 1 });
    const attempt = (): unknown => executeKind(node, contextOf({ total: "1" }));
    expect(attempt).toThrow(/input_schema: \/total must be number/);
    expect(attempt).toThrow(expect.objectContaining({ code: "BAD_INPUT", retryable: false }));
  });

  it("an output that does not fit fails the node, with the place", () => {
    const config = { expression: "{'sum': 1}" };
    const node = { ...nodeOf("transform", config), output_schema: schema };
    const attempt = (): unknown => executeKind(node, contextOf({}));
    expect(attempt).toThrow(expect.objectContaining({ code: "BAD_OUTPUT" }));
    expect(attempt).toThrow(/required property 'total'/);
  });
});
