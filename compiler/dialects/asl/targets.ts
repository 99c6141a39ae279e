/** Where a state leads. */
import { asObject, own } from "../../document.ts";
import type { JsonObject } from "../../document.ts";
import { joinPointer } from "../../source-map.ts";

export interface NamedTarget {
  target: string;
  pointer: string;
}

/** Every state that a state names: Next, Default, Choices, Catch. */
export function readTargets(state: JsonObject, pointer: string): NamedTarget[] {
  const found: NamedTarget[] = [];
  const add = (object: JsonObject, key: string, at: string): void => {
    const target = own(object, key);
    if (typeof target === "string") found.push({ target, pointer: joinPointer(at, key) });
  };
  add(state, "Next", pointer);
  for (const key of ["Choices", "Catch"]) {
    const list = own(state, key);
    for (const [i, entry] of (Array.isArray(list) ? list : []).entries()) {
      add(asObject(entry) ?? {}, "Next", joinPointer(pointer, key, i));
    }
  }
  add(state, "Default", pointer);
  return found;
}
