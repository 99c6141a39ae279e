import { expect, it } from "vitest";
import type { Json } from "../compiler/index.ts";
import { formText } from "./form-text.ts";

it.each<[string, Json]>([
  ["-", null],
  ["-", {}],
  ["-", true],
  [
    '{amount: number, note?: string | null, how?: "card" | "cash", kind?: 1, any?: anything}',
    {
      type: "object",
      required: ["amount"],
      properties: {
        amount: { type: "number", minimum: 0 },
        note: { type: ["string", "null"] },
        how: { enum: ["card", "cash"] },
        kind: { const: 1 },
        any: {},
      },
    },
  ],
  ['{"type":"string","minLength":3}', { type: "string", minLength: 3 }],
  [`{"enum":["${"x".repeat(110)} …`, { enum: ["x".repeat(500)] }],
])("says %s", (text, form) => {
  expect(formText(form)).toBe(text);
});
