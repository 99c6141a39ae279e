import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { globalKeys, parseQueueKey, partitionKeys, partitionOf } from "./keys.ts";

describe("keys", () => {
  it("every key is in docs/redis-keys.md, and the page has no other", () => {
    const page = readFileSync(new URL("../docs/redis-keys.md", import.meta.url), "utf8");
    const documented = [...page.matchAll(/^\| `(gv:[^`]+)`/gm)].map((match) => match[1]);
    const k = partitionKeys(7);
    const built = [
      globalKeys.deployment,
      globalKeys.submissions,
      globalKeys.replies,
      globalKeys.repliesOf("<client>"),
      globalKeys.ir("<hash>"),
      globalKeys.irUse,
      globalKeys.pausedQueues,
      globalKeys.namespaces,
      globalKeys.rate("<sha256>"),
      globalKeys.rateCool(globalKeys.rate("<sha256>")),
      globalKeys.rateBegun(globalKeys.rate("<sha256>")),
      globalKeys.circuit("<sha256>"),
      globalKeys.circuits,
      ...[
        k.ev,
        k.meta,
        k.timers,
        k.halted,
        k.release,
        k.tombs,
        k.quarantine,
        k.paused,
        k.findings,
        k.guard,
        k.backlog,
      ],
      k.run("<id>"),
      k.blobs("<id>"),
      k.staged("<id>", "<random>"),
      k.run("<id>!<map>"),
      k.run("<id>!<map>#<index>"),
      k.maps("<id>"),
      k.signals("<id>"),
      k.held("<id>"),
      k.redriven("<id>"),
      k.queue("<queue>", "normal").replace(":normal", ":<priority>"),
      k.entryQueue("<queue>", "normal").replace(":normal", ":<priority>"),
    ].map((key) => key.replace("{7}", "{p}"));
    expect([...documented].sort()).toEqual([...built].sort());
  });

  it("a queue key comes apart into what it was made of", () => {
    const key = partitionKeys(3).queue("ns:ab:fn:charge:x", "low");
    expect(parseQueueKey(key)).toEqual({
      partition: 3,
      namespace: "ns:ab:",
      queue: "fn:charge:x",
      priority: "low",
    });
    expect(parseQueueKey("gv:{0}:run:1")).toBeNull();
  });

  it("a child run is in its root's partition", () => {
    const root = "0199aaaa-0000-7000-8000-000000000001";
    expect(partitionOf(`${root}~0123456789abcdef0123`, 16)).toBe(partitionOf(root, 16));
  });
});
