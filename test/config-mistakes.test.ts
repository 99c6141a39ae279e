/** What of a node's config would fail every run, or never be: told before there is a run. */
import { describe, expect, it } from "vitest";
import { compile, type Json } from "../compiler/index.ts";
import { BUILTINS } from "../worker/kinds/builtins.ts";

function told(type: string, config: Json, more: { [key: string]: Json } = {}): string[] {
  const document = { name: "w", nodes: [{ id: "a", type, config, ...more }] };
  return compile({ document }).diagnostics.map(({ code, message }) => `${code} ${message}`);
}

const http = (config: { [key: string]: Json }, more: { [key: string]: Json } = {}): string[] =>
  told("http", { url: "http://x.example/", ...config }, more);

it("a text that stands bare, and an object's keys, are told", () => {
  const nodes = [{ id: "a", type: "pass" }];
  const named = compile({ document: { metadata: { name: 12 }, nodes } }).diagnostics;
  expect(named.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/`name` must be a text of at most 150 .*, not 12: put it in quotes$/),
  );
  const limited = { name: "w", nodes, settings: { concurrency: 3 } };
  expect(compile({ document: limited }).diagnostics[0]?.message).toBe(
    "`concurrency` must be an object with `key`, `limit`, `on_conflict`, not 3",
  );
});

describe("the config of a node", () => {
  it("says how to sign in with all that it takes", () => {
    expect(http({ auth: { type: "bearer", value: "abc" } })).toEqual([
      'GV4003 http `a`: `auth` of type "bearer" needs `token`',
    ]);
    expect(http({ auth: { type: "basic" } })).toEqual([
      'GV4003 http `a`: `auth` of type "basic" needs `username` and `password`',
    ]);
    expect(http({ auth: { type: "api_key", name: "x" } })).toEqual([
      'GV4003 http `a`: `auth` of type "api_key" needs `key` or `value`',
    ]);
    expect(http({ auth: { type: "bearer", token: "${secrets.T}" } })).toEqual([]);
    expect(http({ auth: { type: "api_key", value: "abc" } })).toEqual([]);
    expect(http({ auth: "${input.auth}" })).toEqual([]);
  });

  it("has one body", () => {
    expect(http({ method: "POST", body: "x", form: { a: 1 } })).toEqual([
      "GV4003 http `a`: `body` and `form` are both given, and only one can be sent",
    ]);
    expect(http({ method: "POST", body: null, form: { a: 1 } })).toEqual([]);
    expect(http({ method: "POST", body: "${input.b}", form: "${input.f}" })).toEqual([]);
  });

  it("calls of what is built in only what there is, and all of that", () => {
    const [wrong] = told("function", { function_name: "builtin.ecko" });
    expect(wrong).toMatch(
      /^GV4003 function `a`: there is no `builtin.ecko`; built in are builtin.a/,
    );
    for (const name of BUILTINS.keys()) {
      expect(told("function", { function_name: name })).toEqual([]);
      expect(wrong).toContain(name);
    }
  });

  it("tries again after codes that an http node can have", () => {
    const retry = (more: { [key: string]: Json }): Json => ({ max_attempts: 2, ...more });
    const retried = (on: Json): string[] => http({}, { retry: retry({ on }) });
    expect(retried("HTTP_5OO")).toEqual([
      "GV4009 `retry` of http `a` names `HTTP_5OO`, no code of such a node",
    ]);
    expect(retried(["HTTP_500", "HTTP_UNREACHABLE", "TIMEOUT"])).toEqual([]);
    expect(http({}, { retry: retry({ not_on: ["HTTP_404", "NOT_FOUND"] }) })).toEqual([
      "GV4009 `retry` of http `a` names `NOT_FOUND`, no code of such a node",
    ]);
    const call = { retry: { max_attempts: 2, on: "MINE" } };
    expect(told("function", { function_name: "f" }, call)).toEqual([]);
  });
});
