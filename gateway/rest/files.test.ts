/** S01, S04: a workflow's file as the body of a submission, and what is wrong with it by its lines. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { compile } from "../../compiler/index.ts";
import { startEngine, type Engine } from "../../test/harness/engine.ts";

interface Told {
  status: number;
  body: {
    run_id: string;
    output?: unknown;
    error?: {
      code: string;
      message: string;
      problems?: { code: string; path?: string; line?: number; column?: number }[];
    };
  };
}

const SMALL =
  "name: small\nnodes:\n  - { id: a, type: transform, config: { expression: input } }\n";

let engine: Engine;

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker();
});
afterAll(() => engine.stop());

async function submit(
  body: string | Uint8Array<ArrayBuffer>,
  type = "application/yaml",
  query = "",
): Promise<Told> {
  const url = `${engine.gateway.url()}/api/v1/runs${query}`;
  const response = await fetch(url, { method: "POST", body, headers: { "content-type": type } });
  return { status: response.status, body: (await response.json()) as Told["body"] };
}

it("is accepted as it is, with its input in the address", async () => {
  const { status, body } = await submit(
    SMALL,
    "text/yaml; charset=utf-8",
    "?input=%7B%22n%22:1%7D",
  );
  expect(status).toBe(201);
  expect(await engine.ended(body.run_id)).toMatchObject({ status: "COMPLETED", output: '{"n":1}' });
});

it("is accepted as a member of JSON, with all else that a submission may have", async () => {
  const request = JSON.stringify({ workflow: SMALL, input: 7, idempotency_key: "small" });
  const [one, two] = [
    await submit(request, "application/json"),
    await submit(request, "application/json"),
  ];
  expect(two.body.run_id).toBe(one.body.run_id);
  expect(await engine.ended(one.body.run_id)).toMatchObject({ output: "7" });
});

it("is refused with the line and column of each mistake, those that the command line tells", async () => {
  const wrong = SMALL.replace("transform", "transfrom").replace("id: a", "id: a b");
  const told = compile({ text: wrong }).diagnostics.filter(({ severity }) => severity === "error");
  expect(told.length).toBeGreaterThan(1);
  const { status, body } = await submit(wrong);
  expect([status, body.error?.code]).toEqual([422, "GV_WORKFLOW_INVALID"]);
  expect(body.error?.problems).toMatchObject(
    told.map(({ code, line, column, pointer }) => {
      return { code, line, column, path: `workflow${pointer}` };
    }),
  );
});

it("is told what else is wrong with the request", async () => {
  const cases: [Told, number, string][] = [
    [await submit(SMALL, "application/yaml", "?input=n"), 400, "input in the address is not JSON"],
    [await submit(SMALL, "application/yaml", "?inptu=1"), 400, "inptu is not known here"],
    [await submit("{}", "application/json", "?tenant=t"), 400, "exactly one of workflow"],
    [
      await submit('{"workflow_ref": "w"}', "application/json", "?tenant=t"),
      400,
      "tenant stands in the address: with a JSON body it is a member of that",
    ],
    [await submit(new Uint8Array([110, 58, 255])), 400, "the body is not UTF-8"],
    [await submit(" ".repeat(4 * 1024 * 1024 + 1)), 413, "at most 4194304 are taken"],
    [await submit(SMALL, "text/plain"), 415, "or a workflow's file, as application/yaml"],
    [await submit(""), 422, "the file is empty"],
  ];
  for (const [{ status, body }, expected, message] of cases) {
    expect([status, body.error?.message]).toEqual([expected, expect.stringContaining(message)]);
  }
});

it("is no body of any other request", async () => {
  const { body } = await submit(SMALL);
  const url = `${engine.gateway.url()}/api/v1/runs/${body.run_id}/cancel`;
  const headers = { "content-type": "application/yaml" };
  const { status } = await fetch(url, { method: "POST", body: "reason: none", headers });
  expect(status).toBe(415);
});
