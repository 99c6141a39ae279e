/** What mutations start from: every workflow file there is, and expressions of all forms. */
import { readdirSync, readFileSync } from "node:fs";
import { DIAGNOSTICS } from "../../compiler/index.ts";

const folder = new URL("../../test_data/", import.meta.url);

function read(path: string): string[] {
  return readdirSync(new URL(path, folder))
    .filter((name) => /\.(json|yaml)$/.test(name))
    .map((name) => readFileSync(new URL(path + name, folder), "utf8"));
}

const LENGTH_MAX = 20_000;

/** Texts of workflow files; large ones would only be slow. */
export const FILES: readonly string[] = [
  ...[...read("./"), ...read("dialects/native/invalid/")],
  ...Object.values(DIAGNOSTICS).flatMap(({ wrong, right }) =>
    [wrong, right].flatMap((example) => (typeof example === "string" ? [example] : [])),
  ),
].filter((text) => text.length <= LENGTH_MAX);

/** Conditions and templates. */
export const EXPRESSIONS: readonly string[] = [
  "output.total >= 10 && has(ctx.a.output) ? input.x in [1, 2.5] : !(iteration < 3)",
  "output.filter(x, x > 1).map(y, y * 2).exists(z, z == 4) || output.all(v, v != null)",
  "Hello ${input.name}, ${ctx['a-b'].output.items[0].id + 1} and $${not} this",
  "{{fetch.output.items[0].name}} {{inputs.x}} ${$nodes.a.b} $.field == 'x'",
  "'a' + \"b\" + r'\\d' + '''three''' + string(1u) + b'x' // comment",
  "output.name.matches('^(a|b)+$') && size(output) > 0 && timestamp('2026-01-01T00:00:00Z') > t",
];
