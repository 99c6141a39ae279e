import { expect, it } from "vitest";
import { generateAll, outdated } from "./gen.ts";

it('what is generated and committed is up to date ("npm run gen" writes it)', async () => {
  expect(outdated(await generateAll())).toEqual([]);
});
