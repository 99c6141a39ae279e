/** S01: runs over HTTP, on a whole engine: submitted, asked about, waited for, cancelled, listed. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defineFunction } from "../../sdk/internal.ts";
import { startEngine, type Engine } from "../../test/harness/engine.ts";
import { waitFor } from "../../test/support/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";

interface Told {
  status: number;
  headers: Headers;
  body: { [member: string]: unknown } & {
    run_id: string;
    status: string;
    next?: string | null;
    runs?: { run_id: string }[];
    error?: { code: string; message: string; problems?: { path?: string; message: string }[] };
  };
}

let engine: Engine;
/** Ends the function "held" of all runs so far. */
let release: () => void = () => undefined;

beforeAll(async () => {
  engine = await startEngine();
  const held = defineFunction("held", ({ signal }) => {
    return new Promise((resolve, reject) => {
      release = () => resolve("let go");
      signal.addEventListener("abort", () => reject(signal.reason as Error));
    });
  });
  const fails = defineFunction("fails", () => {
    throw Object.assign(new Error("no more paper"), { code: "NO_PAPER" });
  });
  await engine.worker({ registry: new FunctionRegistry([held, fails]) });
});
afterAll(() => engine.stop());

async function call(path: string, init: RequestInit = {}): Promise<Told> {
  const response = await fetch(`${engine.gateway.url()}/api/v1${path}`, init);
  const { status, headers } = response;
  return { status, headers, body: (await response.json()) as Told["body"] };
}

const post = (path: string, body: unknown, headers: { [name: string]: string } = {}) =>
  call(path, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "content-type": "application/json", ...headers },
  });

const workflow = (name: string, functionName: string) => ({
  name,
  nodes: [{ id: "a", type: "function", config: { function_name: functionName } }],
});
const echo = workflow("echo", "builtin.echo");

describe("S01: a run that is submitted over HTTP", () => {
  it("is accepted with its id and its address, which tells of it until its end", async () => {
    const { status, headers, body } = await post("/runs", { workflow: echo, input: { n: 1 } });
    expect([status, body.status]).toEqual([201, "QUEUED"]);
    expect(headers.get("location")).toBe(`/api/v1/runs/${body.run_id}`);
    const result = await call(`/runs/${body.run_id}/result?wait=30s`);
    const run_id = body.run_id;
    expect([result.status, result.body]).toEqual([
      200,
      { run_id, status: "COMPLETED", output: { n: 1 }, error: null },
    ]);
    const report = await call(`/runs/${run_id}`);
    expect(report.body).toMatchObject({
      status: "COMPLETED",
      nodes: { a: { status: "completed" } },
    });
  });

  it("is the same one under the same key, in the header or in the body, and says how it stands", async () => {
    const request = { workflow: echo, input: 7 };
    const first = await post("/runs", request, { "idempotency-key": "seven" });
    await engine.ended(first.body.run_id);
    const again = await post("/runs", { ...request, idempotency_key: "seven" });
    expect([again.status, again.body]).toEqual([
      201,
      { run_id: first.body.run_id, status: "COMPLETED" },
    ]);
    const other = await post("/runs", { ...request, input: 8 }, { "idempotency-key": "seven" });
    expect([other.status, other.body.error?.code]).toEqual([409, "GV_IDEMPOTENCY_CONFLICT"]);
    const both = await post(
      "/runs",
      { ...request, idempotency_key: "x" },
      { "idempotency-key": "y" },
    );
    expect([both.status, both.body.error?.code]).toEqual([400, "GV_BAD_INPUT"]);
  });

  it("names a workflow that was submitted before, and begins in the middle", async () => {
    const two = {
      metadata: { name: "two", version: "1.0.0" },
      nodes: [...echo.nodes, { id: "b", type: "transform", config: { expression: "data + 1" } }],
      edges: [{ from: "a", to: "b" }],
    };
    const first = await post("/runs", { workflow: two, input: 1 });
    await engine.ended(first.body.run_id);
    const ref = { workflow_ref: "two@1.0.0", start_at: ["b"], outputs: { a: 41 } };
    const { body } = await post("/runs", ref);
    const result = await call(`/runs/${body.run_id}/result?wait=30s`);
    expect(result.body["output"]).toBe(42);
  });

  it("that fails is told with its error, its nodes with theirs", async () => {
    const { body } = await post("/runs", { workflow: workflow("fails", "fails") });
    const result = await call(`/runs/${body.run_id}/result?wait=1m`);
    expect([result.status, result.body]).toMatchObject([
      200,
      { status: "FAILED", output: null, error: { code: "NO_PAPER", message: "no more paper" } },
    ]);
  });
});

describe("S01: a submission that is refused", () => {
  it("is told all that is wrong with it, and where", async () => {
    const { status, body } = await post("/runs", {
      ...{ workflow: echo, priority: "urgent", inptu: 1, tenant: 3, namespace: "ns:x:" },
    });
    expect([status, body.error?.code]).toEqual([400, "GV_BAD_INPUT"]);
    const paths = body.error?.problems?.map(({ path }) => path).sort();
    expect(paths).toEqual(["inptu", "namespace", "priority", "tenant"]);
    const none = await post("/runs", { input: 1 });
    expect(none.body.error?.message).toContain("exactly one of workflow, workflow_ref and hash");
  });

  it("is told all problems of its workflow, with their places", async () => {
    const edges = [{ from: "a", to: "nobody" }];
    const nodes = [...echo.nodes, { id: "b", type: "fnction" }];
    const { status, body } = await post("/runs", { workflow: { name: "bad", nodes, edges } });
    expect([status, body.error?.code]).toEqual([422, "GV_WORKFLOW_INVALID"]);
    expect(body.error?.problems?.length).toBeGreaterThan(1);
    const paths = body.error?.problems?.map(({ path }) => path);
    expect(paths).toContain("workflow/edges/0/to");
  });

  it.each([
    ["an unknown workflow", 404, "GV_WORKFLOW_NOT_FOUND", '{"workflow_ref":"nobody"}'],
    ["broken JSON", 400, "GV_BAD_INPUT", "{"],
    ["no object", 400, "GV_BAD_INPUT", "7"],
    ["nothing", 400, "GV_BAD_INPUT", ""],
    ["a number out of range", 400, "GV_BAD_INPUT", '{"workflow_ref":"echo","input":1e999}'],
    [
      "nesting that nobody can write again",
      ...([400, "GV_BAD_INPUT"] as const),
      `{"workflow_ref":"echo","input":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
    ],
    [
      "more wrong members than anybody reads",
      ...([400, "GV_BAD_INPUT"] as const),
      `{${Array.from({ length: 100_000 }, (_, i) => `"x${i}":1`).join(",")}}`,
    ],
    ["too large", 413, "GV_BODY_TOO_LARGE", " ".repeat(4 * 1024 * 1024 + 1)],
  ])("%s", async (_, status, code, text) => {
    const told = await post("/runs", text);
    expect([told.status, told.body.error?.code]).toEqual([status, code]);
    expect(JSON.stringify(told.body).length).toBeLessThan(10_000);
  });

  it("of another type, in another encoding", async () => {
    const headers = { "content-type": "text/plain" };
    const plain = await post("/runs", JSON.stringify({ workflow_ref: "echo" }), headers);
    expect([plain.status, plain.body.error?.code]).toEqual([415, "GV_MEDIA_TYPE_REFUSED"]);
    const body = Buffer.from('{"workflow_ref":"\xe4"}', "latin1");
    const json = { "content-type": "application/json" };
    const latin = await call("/runs", { method: "POST", headers: json, body });
    expect([latin.status, latin.body.error?.code]).toEqual([400, "GV_BAD_INPUT"]);
  });
});

describe("S01: a result that is waited for", () => {
  it("is told on the end, to all who wait; before, that there is none yet", async () => {
    const { body } = await post("/runs", { workflow: workflow("held", "held") });
    const path = `/runs/${body.run_id}/result`;
    await waitFor(async () => (await call(`/runs/${body.run_id}`)).body.status === "RUNNING");
    const [now, soon] = [await call(path), await call(`${path}?wait=50ms`)];
    expect([now.status, now.body]).toEqual([202, { run_id: body.run_id, status: "RUNNING" }]);
    expect([soon.status, soon.headers.get("retry-after")]).toEqual([202, "1"]);
    const given = new AbortController();
    const gone = fetch(`${engine.gateway.url()}/api/v1${path}?wait=1m`, { signal: given.signal });
    const waiting = [1, 2].map(() => call(`${path}?wait=1m`));
    given.abort();
    await expect(gone).rejects.toThrow();
    release();
    for (const told of await Promise.all(waiting)) {
      expect([told.status, told.body["output"]]).toEqual([200, "let go"]);
    }
  });

  it("of no run is none, and a time that is none is refused", async () => {
    const nobody = await call("/runs/nobody/result?wait=1s");
    expect([nobody.status, nobody.body.error?.code]).toEqual([404, "GV_RUN_NOT_FOUND"]);
    const never = await call("/runs/nobody/result?wait=soon");
    expect([never.status, never.body.error?.problems?.[0]?.path]).toEqual([400, "wait"]);
  });
});

describe("S01: a run that is cancelled over HTTP", () => {
  it("has ended by then, with the reason; once more is the same, and of one that completed refused", async () => {
    const { body } = await post("/runs", { workflow: workflow("held", "held") });
    const path = `/runs/${body.run_id}`;
    const cancelled = await post(`${path}/cancel`, { reason: "no money" });
    expect([cancelled.status, cancelled.body]).toEqual([
      200,
      { run_id: body.run_id, status: "CANCELLED" },
    ]);
    const result = await call(`${path}/result`);
    expect(result.body.error).toMatchObject({ code: "CANCELLED", message: "no money" });
    expect((await call(`${path}/cancel`, { method: "POST" })).status).toBe(200);
    const done = await post("/runs", { workflow: echo });
    await engine.ended(done.body.run_id);
    const late = await post(`/runs/${done.body.run_id}/cancel`, {});
    expect([late.status, late.body.error?.code]).toEqual([409, "GV_RUN_ENDED"]);
    const nobody = await post("/runs/nobody/cancel", {});
    expect([nobody.status, nobody.body.error?.code]).toEqual([404, "GV_RUN_NOT_FOUND"]);
  });
});

describe("the list of runs over HTTP", () => {
  it("goes through all of them page by page, also those of one moment", async () => {
    const all = await Promise.all(
      Array.from({ length: 7 }, () =>
        post("/runs", { workflow: workflow("listed", "builtin.echo") }),
      ),
    );
    const ids = all.map(({ body }) => body.run_id);
    // As of a batch of submissions: each is of the same millisecond.
    await engine.db.query({
      ...{ name: "", text: "UPDATE runs SET created_at_ms = 1000 WHERE workflow = 'listed'" },
    });
    const seen: string[] = [];
    let next: string | null = "";
    while (next !== null) {
      const { body }: Told = await call(
        `/runs?workflow=listed&limit=3${next === "" ? "" : `&after=${next}`}`,
      );
      seen.push(...(body.runs ?? []).map(({ run_id }) => run_id));
      next = body.next ?? null;
    }
    expect(seen).toEqual([...ids].sort().reverse());
  });

  it("takes the filters of the command line, and refuses what is none", async () => {
    const { body } = await call("/runs?status=FAILED&workflow=fails");
    expect(body.runs).toHaveLength(1);
    for (const query of ["status=GOOD", "limit=0", "limit=x", "after=yesterday", "colour=red"]) {
      const told = await call(`/runs?${query}`);
      expect([told.status, told.body.error?.code], query).toEqual([400, "GV_BAD_INPUT"]);
    }
  });
});
