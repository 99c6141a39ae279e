import { describe, expect, it } from "vitest";
import {
  blobOfValue,
  blobRefOf,
  blobText,
  checkBlob,
  isBlobSized,
  OUTPUT_INLINE_BYTES_MAX,
  parseBlobText,
  parseOutput,
} from "./blobs.ts";

const text = JSON.stringify({ list: "x".repeat(20_000) });
const ref = blobRefOf(text);

describe("references to large outputs", () => {
  it("are JSON, and read back as what they were", () => {
    expect(parseBlobText(blobText(ref))).toEqual(ref);
    expect(blobOfValue(JSON.parse(blobText(ref)) as never)).toEqual(ref);
    expect(ref.bytes).toBe(text.length);
  });

  it("are told from outputs", () => {
    for (const output of ["1", '{"$gv:blob":1}', '{"a":{"$gv:blob":"x"}}', '{"$gv:blob":"x:1"}']) {
      expect(parseBlobText(output)).toBeNull();
    }
    expect(blobOfValue([1])).toBeNull();
    expect(blobOfValue(undefined)).toBeNull();
  });

  it("an output that looks like one becomes a blob itself, whatever its size", () => {
    expect(isBlobSized(blobText(ref))).toBe(true);
    expect(isBlobSized('{"small":1}')).toBe(false);
  });

  it("the limit counts bytes, not characters", () => {
    const wide = JSON.stringify("ü".repeat(OUTPUT_INLINE_BYTES_MAX / 2));
    expect(isBlobSized(wide)).toBe(true);
    expect(isBlobSized(JSON.stringify("u".repeat(OUTPUT_INLINE_BYTES_MAX / 2)))).toBe(false);
  });
});

describe("a blob", () => {
  it("is what its hash says", () => {
    expect(checkBlob(ref, text)).toBe(text);
    expect(() => checkBlob(ref, `${text} `)).toThrow(
      expect.objectContaining({ code: "BLOB_DAMAGED", retryable: false }) as Error,
    );
    expect(() => checkBlob(ref, null)).toThrow(
      expect.objectContaining({ code: "BLOB_MISSING" }) as Error,
    );
  });

  it("that nobody resolved is no value", () => {
    expect(parseOutput('{"a":1}')).toEqual({ a: 1 });
    expect(() => parseOutput(blobText(ref))).toThrow(/is not there/);
  });
});
