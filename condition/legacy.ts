/**
 * Older ways to write references, rewritten to CEL.
 *
 *   $.field                      output.field                 (conditions)
 *   $nodes.id.field              ctx.id.output.field          (`${…}` around it in templates)
 *   ${$nodes.id.field}           the same
 *   {{id.output.field}}          ctx.id.output.field
 *   {{inputs.x}} {{input.x}} {{trigger.x}}    input.x
 *   {{prev.output.x}}            data.x
 *
 * String literals of CEL are left alone, and so is everything that is none of these forms.
 */
import { asSelection } from "./check.ts";
import { findClosingBrace, skipOpaque } from "./scan.ts";

const STEP = String.raw`(?:\.[A-Za-z_][A-Za-z0-9_]*|\[\d+\])`;
const NODE_REFERENCE = new RegExp(String.raw`^\$nodes\.([A-Za-z0-9_-]+)(${STEP}*)`);
const WRAPPED_NODE_REFERENCE = new RegExp(
  String.raw`^\$\{\s*\$nodes\.([A-Za-z0-9_-]+)(${STEP}*)\s*\}`,
);
const MUSTACHE = /^\{\{\s*([A-Za-z0-9_-]+)((?:\.[A-Za-z0-9_-]+|\[\d+\])*)\s*\}\}/;

/** `source` with older references rewritten; a source without any comes back as it is. */
export function rewriteLegacy(source: string, place: "condition" | "template"): string {
  return place === "condition" ? rewriteCel(source, true) : rewriteText(source);
}

/** Rewrite in CEL, outside string literals and comments. */
function rewriteCel(source: string, isCondition: boolean): string {
  let result = "";
  for (let at = 0; at < source.length;) {
    const opaqueEnd = skipOpaque(source, at);
    const rest = source.slice(at);
    const match = opaqueEnd > at ? undefined : matchInCel(rest, isCondition);
    if (match) {
      result += match.cel;
      at += match.length;
    } else {
      const end = Math.max(opaqueEnd, at + 1);
      result += source.slice(at, end);
      at = end;
    }
  }
  return result;
}

interface Rewritten {
  cel: string;
  /** Characters of the source that it stands for. */
  length: number;
}

function matchInCel(rest: string, isCondition: boolean): Rewritten | undefined {
  if (rest[0] !== "$" && rest[0] !== "{") return undefined;
  if (isCondition && /^\$(?=\.[A-Za-z_]|\[)/.test(rest)) return { cel: "output", length: 1 };
  return matchNodeReference(rest) ?? matchMustache(rest);
}

function matchNodeReference(rest: string): Rewritten | undefined {
  const match = NODE_REFERENCE.exec(rest) ?? WRAPPED_NODE_REFERENCE.exec(rest);
  if (!match) return undefined;
  const [whole, node = "", steps = ""] = match;
  return { cel: nodeOutput(node, steps), length: whole.length };
}

/** `ctx.<node>.output<steps>`; an `output` that is already the first step is not repeated. */
function nodeOutput(node: string, steps: string): string {
  const fields = steps.replace(/^\.output(?![A-Za-z0-9_-])/, "");
  return `${asSelection("ctx", node)}.output${asSteps(fields)}`;
}

/** Steps such as `.a.b-c[0]` in CEL: `.a["b-c"][0]`. */
function asSteps(steps: string): string {
  return steps.replace(/\.([A-Za-z0-9_-]+)/g, (_, name: string) =>
    /^\d+$/.test(name) ? `[${name}]` : asSelection("", name),
  );
}

function matchMustache(rest: string): Rewritten | undefined {
  const match = MUSTACHE.exec(rest);
  if (!match) return undefined;
  const [whole, root = "", steps = ""] = match;
  const cel = mustacheCel(root, steps);
  return cel === undefined ? undefined : { cel, length: whole.length };
}

function mustacheCel(root: string, steps: string): string | undefined {
  if (root === "inputs" || root === "input" || root === "trigger") return `input${asSteps(steps)}`;
  const output = /^\.output(?![A-Za-z0-9_-])/.exec(steps);
  if (!output) return undefined;
  if (root === "prev") return `data${asSteps(steps.slice(output[0].length))}`;
  return nodeOutput(root, steps);
}

/** Rewrite a template: in its text the older forms become `${…}`, in `${…}` they become CEL. */
function rewriteText(text: string): string {
  let result = "";
  for (let at = 0; at < text.length;) {
    const rest = text.slice(at);
    if (rest.startsWith("$${")) {
      result += "$${";
      at += 3;
      continue;
    }
    if (rest.startsWith("${")) {
      const end = findClosingBrace(text, at + 2);
      // Never closed: what follows is no text either, and will be reported.
      if (end === undefined) return result + rest;
      result += `\${${rewriteCel(text.slice(at + 2, end), false)}}`;
      at = end + 1;
      continue;
    }
    const match = matchMustache(rest) ?? matchNodeReference(rest);
    result += match ? `\${${match.cel}}` : (text[at] ?? "");
    at += match ? match.length : 1;
  }
  return result;
}
