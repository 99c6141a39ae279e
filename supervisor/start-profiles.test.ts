import { expect, it } from "vitest";
import { miniIr } from "../test/harness/mini-ir.ts";
import { StartProfiles } from "./start-profiles.ts";

it("profiles of the common queues are made once, of a namespace nothing is kept", () => {
  const profiles = new StartProfiles();
  const ir = miniIr(["a"], []);
  const at = { irHash: "h", partition: 0, priority: "normal" } as const;
  const common = profiles.of(ir, { ...at, namespace: "" });
  const own = profiles.of(ir, { ...at, namespace: "ns:x:" });
  expect(own.queueKeys).toEqual(["gv:{0}:q:ns:x:fn:builtin.echo:normal"]);
  expect(profiles.of(ir, { ...at, namespace: "ns:x:" })).not.toBe(own);
  expect(profiles.of(ir, { ...at, namespace: "" })).toBe(common);
});
