/**
 * Finding the parts of a text that are CEL, and the parts of CEL that are string literals.
 *
 * A template is text with `${ CEL }` in it, and CEL has braces and strings of its own, so the end
 * of an expression is found by reading CEL's tokens as far as they matter: quotes (single and
 * triple), escapes, comments and braces. `$${` stands for a literal `${`.
 */

export interface TextPart {
  kind: "text";
  text: string;
}

export interface ExpressionPart {
  kind: "expression";
  source: string;
  /** Offset of `source` in the text, behind `${`. */
  start: number;
  end: number;
}

export interface UnclosedPart {
  kind: "unclosed";
  start: number;
  end: number;
}

export type TemplatePart = TextPart | ExpressionPart | UnclosedPart;

/** Cut a string into text and expressions. A `${` that is never closed is the last part. */
export function scanTemplate(text: string): TemplatePart[] {
  const parts: TemplatePart[] = [];
  let literal = "";
  const flush = (): void => {
    if (literal !== "") parts.push({ kind: "text", text: literal });
    literal = "";
  };
  let at = 0;
  while (at < text.length) {
    if (text.startsWith("$${", at)) {
      literal += "${";
      at += 3;
      continue;
    }
    if (!text.startsWith("${", at)) {
      literal += text[at++];
      continue;
    }
    flush();
    const end = findClosingBrace(text, at + 2);
    if (end === undefined) {
      parts.push({ kind: "unclosed", start: at, end: text.length });
      return parts;
    }
    parts.push({ kind: "expression", source: text.slice(at + 2, end), start: at + 2, end });
    at = end + 1;
  }
  flush();
  return parts;
}

/** The offset of the `}` that closes an expression starting at `start`, or undefined. */
export function findClosingBrace(text: string, start: number): number | undefined {
  let depth = 0;
  for (let at = start; at < text.length;) {
    const skipped = skipOpaque(text, at);
    if (skipped > at) {
      at = skipped;
      continue;
    }
    if (text[at] === "{") depth++;
    if (text[at] === "}" && depth-- === 0) return at;
    at++;
  }
  return undefined;
}

/** The end of the string literal or comment that starts at `at`; `at` itself if none does. */
export function skipOpaque(text: string, at: number): number {
  const char = text[at];
  if (char === '"' || char === "'") return skipString(text, at, char);
  if (text.startsWith("//", at)) {
    const newline = text.indexOf("\n", at);
    return newline < 0 ? text.length : newline;
  }
  return at;
}

function skipString(text: string, start: number, quote: string): number {
  const isTriple = text.startsWith(quote.repeat(3), start);
  const closing = isTriple ? quote.repeat(3) : quote;
  for (let at = start + closing.length; at < text.length; at++) {
    // The lexer of the language skips the character after a backslash in raw strings too.
    if (text[at] === "\\") at++;
    else if (text.startsWith(closing, at)) return at + closing.length;
  }
  return text.length;
}
