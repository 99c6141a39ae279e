/**
 * Texts that cannot be kept.
 *
 * JSON and YAML can spell U+0000 and half of a character that takes two units; a text of Postgres
 * can have neither, and the compiled workflow is one. So the author is told where they stand, and
 * not the sender of each run that it cannot be stored.
 */
import type { Reporter } from "./diagnostics.ts";
import type { Json } from "./ir.ts";
import { joinPointer } from "./source-map.ts";

/** Without the `u`, whole characters would match too. */
const ODD = /\0|\p{Surrogate}/u;

/** Reports GV1010 for each string of the value, and each key, that no run could be stored with. */
export function checkTexts(root: Json, reporter: Reporter): void {
  const open: { value: Json; pointer: string }[] = [{ value: root, pointer: "" }];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const { value, pointer } = at;
    if (typeof value === "string") {
      if (ODD.test(value)) reportOdd("the text", value, { pointer }, reporter);
    } else if (typeof value === "object" && value !== null) {
      for (const [key, part] of Object.entries(value)) {
        // Pointers are made for what may hold a text: there are a hundred thousand numbers.
        if (part === null || typeof part === "number" || typeof part === "boolean") {
          if (!ODD.test(key)) continue;
        }
        const inside = joinPointer(pointer, key);
        if (ODD.test(key)) reportOdd("the key", key, { pointer: inside, atKey: true }, reporter);
        open.push({ value: part, pointer: inside });
      }
    }
  }
}

function reportOdd(
  what: string,
  text: string,
  place: { pointer: string; atKey?: boolean },
  reporter: Reporter,
): void {
  const isNul = text.includes("\0");
  const has = isNul
    ? "the character U+0000"
    : "half a character (a surrogate without its other half)";
  const message = `${what} has ${has}: nothing that has one can be stored`;
  reporter.report({ code: "GV1010", ...place, message });
}
