import { expect, it, vi } from "vitest";
import { machineName } from "./run-namespaces.ts";

/** What another process makes of the same host. */
async function elsewhere(proc?: string): Promise<string> {
  vi.resetModules();
  const other = await import("./run-namespaces.ts");
  return other.machineName(proc);
}

it("a machine has one name for all its processes, where the system tells which it is", async () => {
  expect(await elsewhere()).toBe(await machineName());
});

it("where the system does not tell, a process shares its machine's name with no other", async () => {
  const name = await machineName("no-proc");
  expect(await machineName("no-proc")).toBe(name);
  expect(await elsewhere("no-proc")).not.toBe(name);
});
