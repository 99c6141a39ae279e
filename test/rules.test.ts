/**
 * Every rule of the protocol's cases has a test that is named after it ("A5: …"). The list of them is
 * docs/evidence/rules.md; UPDATE_GOLDEN=1 writes it anew.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../", import.meta.url));
const PAGE = `${root}docs/evidence/rules.md`;

const RULES: { [rule: string]: string } = {
  A1: "what is in flight in a round is void when its latch has decided; it is not counted outside",
  A2: "whoever changes a counter looks whether it is zero",
  A3: "a join that cannot be reached is skipped and consumes what waits there",
  A4: "plan before the first write; what fails half-way is told, frozen and repaired",
  A5: "only what has a positive record is accepted",
  A6: "attempts: late failures are stale, a success wins over a retry that waits",
  A7: "what ends a wait makes a parked token ready, and a worker goes on",
  A8: "the journal is a chain; a roll-back is noticed",
  A9: "a start after the release is refused",
  A10: "pure nodes are fused over edges to nodes with one in-edge only",
  A11: "an entry stands for a chain, until its last token is settled",
  A12: "a failure that nobody handles skips what depends on it",
  A13: "redelivered entries are taken one by one, poison kills nobody else",
  A14: "no consumer goes while something is pending for it; lost entries are put back",
  A15: "a loop is one unit; a skipped latch ends it",
  A16: "maps: expand, elements in a window, collect",
  B1: "a worker looks before it executes",
  B2: "items of one run see each other's writes",
  B3: "every call may be repeated, its answer included",
  B4: "who lost a lease is told, and does not take it back",
  B5: "pause: results are accepted, what they make ready is held",
  B6: "the first terminal transition wins; children are cancelled after it",
  B7: "signals: each id once, in order, one wait each; callbacks once",
  B8: "redrive: the journal folded under a new epoch, failures undone",
  B9: "folding the journal gives the hot state",
  B10: "the cursor moves only from where it was read",
  B11: "the oracle is a relation where order decides",
  B12: "time limits: worker, timer, whichever record allows it",
  B13: "accepted is committed; one key, one run",
  B14: "what is found by reading is checked again by the script",
  C1: "a call's work is bounded; a cascade goes on in a token of its own",
  C2: "what dies with an edge is worked out once, and not written",
  C3: "wide joins and forks are split by the compiler",
  C4: "no script walks a whole hash or key space",
  C5: "payloads are bytes to the scripts",
  C6: "release follows the commit, and is done again after a crash",
  C7: "blobs are their run's and go with it",
  C8: "the end of a run takes its timers off",
  C9: "a journal that waits slows intake down",
  C10: "deleted entries are pending for nobody",
  C11: "workflows that no unfinished run uses leave Redis",
};

interface Named {
  rule: string;
  file: string;
  name: string;
}

/** Texts of `it` and `describe` that begin with rules, in every test file of the checkout. */
function namedTests(): Named[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.test.ts"];
  const files = execFileSync("git", args, { cwd: root, encoding: "utf8" }).split("\0");
  return files.filter(Boolean).flatMap((file) => {
    const text = readFileSync(root + file, "utf8");
    const names = text.matchAll(/^\s*(?:.*\()?"((?:[ABC]\d+)(?:, [ABC]\d+)*): ([^"]*)"/gm);
    return [...names].flatMap(([, rules = "", name = ""]) =>
      rules.split(", ").map((rule) => ({ rule, file, name: `${rules}: ${name}` })),
    );
  });
}

function page(tests: readonly Named[]): string {
  const rows = Object.entries(RULES).map(([rule, words]) => {
    const own = tests.filter((test) => test.rule === rule);
    const lines = own.map(({ file, name }) => `\`${file}\` ${name.replaceAll("|", "\\|")}`);
    return `| ${rule} | ${words} | ${[...new Set(lines)].sort().join("<br>")} |`;
  });
  return [
    "# Rules and their tests",
    "",
    "The rules of the protocol's cases, each with the tests that are named after it. Written by",
    "`UPDATE_GOLDEN=1 npx vitest run test/rules.test.ts`, held to the code by the same test.",
    "",
    "| rule | in words | tests |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

describe("the rules of the protocol", () => {
  const tests = namedTests();

  it.each(Object.keys(RULES))("%s has a test named after it", (rule) => {
    expect(tests.filter((test) => test.rule === rule).length).toBeGreaterThan(0);
  });

  it("no test names a rule that there is not", () => {
    expect(tests.filter(({ rule }) => RULES[rule] === undefined)).toEqual([]);
  });

  it("docs/evidence/rules.md lists them", () => {
    if (process.env["UPDATE_GOLDEN"] === "1") {
      writeFileSync(PAGE, page(tests));
    }
    expect(readFileSync(PAGE, "utf8")).toBe(page(tests));
  });
});
