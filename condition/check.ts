/**
 * What is wrong with a condition or expression at the place where it stands, all of it at once.
 *
 * Names are judged here: which variables exist, and how `ctx` is used. Whether the node of a
 * `ctx.<node>` exists and is upstream is the compiler's business; it reads the references.
 */
import { analyse, checkTypes } from "./analyse.ts";
import { notBoolProblem } from "./compile.ts";
import { checkerFor } from "./library.ts";
import type { FoundReference } from "./references.ts";
import { nearestName } from "./suggest.ts";
import type { CheckScope, ExpressionProblem } from "./types.ts";

/** The problems of a condition; none if it is right. */
export function checkCondition(source: string, scope: CheckScope): ExpressionProblem[] {
  const { problems, type } = checkSource(source, scope);
  const notBool = type === undefined ? undefined : notBoolProblem(source, type);
  return notBool ? [...problems, notBool] : problems;
}

/** The problems of an expression whose value may be of any type. */
export function checkExpression(source: string, scope: CheckScope): ExpressionProblem[] {
  return checkSource(source, scope).problems;
}

function checkSource(
  source: string,
  scope: CheckScope,
): { problems: ExpressionProblem[]; type?: string } {
  const { problems, references, program } = analyse(source, checkerFor(scope.variables));
  for (const reference of references) {
    const problem = checkVariable(reference, scope) ?? checkCtx(reference);
    if (problem) problems.push(problem);
  }
  // Over a name that does not exist the checker would only repeat what is already said.
  if (!program || problems.length > 0) return { problems };
  const checked = checkTypes(source, program);
  return "problem" in checked ? { problems: [checked.problem] } : { problems, type: checked.type };
}

function checkVariable(ref: FoundReference, scope: CheckScope): ExpressionProblem | undefined {
  const name = ref.path[0] ?? "";
  if (scope.variables.has(name)) return undefined;
  const near = nearestName(name, scope.variables);
  const names = [...scope.variables].sort().join(", ");
  return {
    kind: "type",
    message: `unknown variable ${name}`,
    ...(near === undefined
      ? { hint: `there is: ${names}` }
      : { hint: `did you mean \`${near}\`?`, fix: near }),
    start: ref.start,
    end: ref.start + name.length,
  };
}

function checkCtx(ref: FoundReference): ExpressionProblem | undefined {
  const [root, node, part, ...rest] = ref.path;
  if (root !== "ctx") return undefined;
  const place = { start: ref.start, end: ref.end };
  if (node === undefined) {
    return {
      kind: "unsupported",
      message: ref.isDynamic
        ? "the node in ctx[…] must stand there as a name, it cannot be computed"
        : "ctx cannot be used as a whole",
      hint: 'name the node: ctx.fetch.output, or ctx["fetch-user"].output',
      ...place,
    };
  }
  // Which nodes have `errors`, only the compiler knows.
  if (part === undefined || part === "output" || part === "errors") {
    if (part !== undefined || !ref.isDynamic) return undefined;
  }
  const path = [asSelection("ctx", node), "output", ...(part === undefined ? [] : [part, ...rest])];
  return {
    kind: "type",
    message: `a node in ctx has only the field output${part === undefined ? "" : `, not ${part}`}`,
    hint: `write ${path.reduce((left, right) => asSelection(left, right))}`,
    ...place,
  };
}

/** `left.right`, or `left["right"]` if the name needs it. */
export function asSelection(left: string, right: string): string {
  const isName = /^[A-Za-z_][A-Za-z0-9_]*$/.test(right);
  const isWord = ["in", "true", "false", "null"].includes(right);
  return isName && !isWord ? `${left}.${right}` : `${left}[${JSON.stringify(right)}]`;
}
