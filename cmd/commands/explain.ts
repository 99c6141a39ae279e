/** `gavotte explain [CODE]`: what a diagnostic code means, with examples; or which codes there are. */
import { DIAGNOSTICS } from "../../compiler/index.ts";
import { explainCode, findCode, listCodes } from "../../compiler/report.ts";
import { nearestName } from "../../condition/suggest.ts";
import { GavotteError } from "../../sdk/errors.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";

/** Throws GV_BAD_INPUT for what is no code. */
export function explain({ output }: Context, text: string | undefined): number {
  if (text === undefined) {
    const codes = listCodes();
    output.table(codes.map(({ code, severity, title }) => [code, severity, title]));
    output.document({ codes });
    return EXIT.done;
  }
  const code = findCode(text);
  if (code === undefined) {
    const known = listCodes().map((one) => one.code);
    const near = nearestName(text.toUpperCase(), known);
    const remedy = near === undefined ? "`gavotte explain` lists them" : `did you mean ${near}?`;
    throw new GavotteError("GV_BAD_INPUT", `there is no diagnostic code ${text}; ${remedy}`);
  }
  output.line(explainCode(code));
  output.document({ code, ...DIAGNOSTICS[code] });
  return EXIT.done;
}
