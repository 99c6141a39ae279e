/**
 * An error as a log may have it: what it is, what it says and where it was thrown, with its causes.
 * What libraries hang on their errors besides (the request with its headers, the whole response)
 * stays out: it may hold secrets, be as large as it likes, and throw when it is read.
 */
const CAUSES_MAX = 5;
/** Characters; a handler may put a whole response into its message, with which the stack begins. */
const MESSAGE_LENGTH_MAX = 2000;
const STACK_LENGTH_MAX = 16 * 1024;

export interface ToldError {
  type: string;
  message: string;
  stack: string;
}

/** Throws nothing, whatever `error` is. */
export function toldError(error: unknown): ToldError {
  const stacks: string[] = [];
  let next: unknown = error;
  for (let i = 0; i <= CAUSES_MAX && next instanceof Error; i++) {
    stacks.push(textOf(next, "stack") || `${textOf(next, "name")}: ${textOf(next, "message")}`);
    next = valueOf(next, "cause");
  }
  const isError = error instanceof Error;
  return {
    type: isError ? textOf(error, "name") : typeof error,
    message: (isError ? textOf(error, "message") : asText(error)).slice(0, MESSAGE_LENGTH_MAX),
    stack: stacks.join("\ncaused by: ").slice(0, STACK_LENGTH_MAX),
  };
}

function textOf(error: Error, field: "name" | "message" | "stack"): string {
  const value = valueOf(error, field);
  return typeof value === "string" ? value : "";
}

function valueOf(error: Error, field: "name" | "message" | "stack" | "cause"): unknown {
  try {
    return error[field];
  } catch {
    return undefined; // a getter of its own
  }
}

function asText(value: unknown): string {
  try {
    return String(value);
  } catch {
    return "something that is no text";
  }
}
