/** `gavotte config`: every option with its value and where that comes from. */
import { shownValue } from "../config.ts";
import { OPTION_NAMES, OPTION_SPECS } from "../config-options.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";

/** Prints the configuration; passwords are masked. */
export async function showConfig(context: Context): Promise<number> {
  const { values, origins, file } = await context.config();
  const rows = OPTION_NAMES.map((name) => {
    const value = shownValue(name, values[name]);
    return { name, value, origin: origins[name], about: OPTION_SPECS[name].about };
  });
  const head = ["OPTION", "VALUE", "FROM"];
  const text = (value: unknown): string =>
    value === null ? "-" : Array.isArray(value) ? value.join(",") || "-" : String(value);
  context.output.table([head, ...rows.map((row) => [row.name, text(row.value), row.origin])]);
  const options = rows.map(({ name, value, origin, about }) => [name, { value, origin, about }]);
  context.output.document({ file, options: Object.fromEntries(options) as object });
  return EXIT.done;
}
