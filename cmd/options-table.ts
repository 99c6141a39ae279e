/** The table of options in docs/cli.md, between its two marks, made of the registry of options. */
import { OPTION_NAMES, OPTION_SPECS, type OptionSpec } from "./config-options.ts";

const BEGIN = "<!-- options -->\n";
const END = "<!-- /options -->";

/** The document with its table as it should be. */
export function withOptionsTable(document: string): string {
  const from = document.indexOf(BEGIN) + BEGIN.length;
  const to = document.indexOf(END);
  return `${document.slice(0, from)}\n${optionsTable()}\n${document.slice(to)}`;
}

function optionsTable(): string {
  const rows = OPTION_NAMES.map((name) => {
    const spec: OptionSpec = OPTION_SPECS[name];
    const value = Array.isArray(spec.default) ? spec.default.join(",") : String(spec.default ?? "");
    return `| \`${name}\` | ${value} | ${rangeOf(spec)} | ${spec.about} |\n`;
  });
  return `| option | default | range | meaning |\n| --- | --- | --- | --- |\n${rows.join("")}`;
}

function rangeOf(spec: OptionSpec): string {
  switch (spec.type) {
    case "integer":
      return `${spec.min} to ${spec.max}${spec.powerOfTwo === true ? ", a power of two" : ""}`;
    case "list":
      return "list";
    case "string":
      return spec.choices?.join(", ") ?? "text";
  }
}
