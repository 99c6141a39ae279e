/**
 * JavaScript where CEL is expected: people bring `data.map(x => x.value * 2)` from other tools.
 *
 * Recognising it is worth a file because the parser's own words ("unexpected character >") help
 * nobody. Where a plain rewriting gives valid CEL, the author is shown that.
 */
import { checkExpression } from "../condition/index.ts";

const SIGNS = /=>|===|!==|\bfunction\s*\(|\breturn\b|\bconst\b|\blet\b|\bnew\s+[A-Z]|\?\?|`/;

/** Whether the text has something that only JavaScript has. `.length` is also a field's name. */
export function looksLikeJavaScript(source: string, isLengthASign: boolean): boolean {
  const code = withoutStrings(source);
  return SIGNS.test(code) || (isLengthASign && /\.length\b(?!\s*\()/.test(code));
}

function withoutStrings(source: string): string {
  return source.replace(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'/g, '""');
}

const MACROS: Readonly<Record<string, string>> = {
  map: "map",
  filter: "filter",
  some: "exists",
  every: "all",
};

/** The CEL for a JavaScript expression, if a plain rewriting gives one. */
export function suggestCel(source: string, variables: ReadonlySet<string>): string | undefined {
  let cel = source
    .trim()
    .replace(/^return\b\s*/, "")
    .replace(/;\s*$/, "");
  cel = cel.replace(/^\(?\s*(?:data|input)\s*\)?\s*=>\s*(?=\S)/, "");
  cel = cel.replace(
    /\.(map|filter|some|every)\(\s*\(?\s*([A-Za-z_]\w*)\s*\)?\s*=>\s*/g,
    (_, method: string, name: string) => `.${MACROS[method]}(${name}, `,
  );
  cel = cel.replaceAll("!==", "!=").replaceAll("===", "==");
  cel = cel.replace(/\.length\b(?!\s*\()/g, ".size()");
  cel = cel.replace(/\.includes\(/g, ".contains(");
  const isValid = checkExpression(cel, { variables }).length === 0;
  return isValid && cel !== source ? cel : undefined;
}
