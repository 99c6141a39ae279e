/** How our own schemas are read: by the generator of validators, and where there is none of them. */
export const SCHEMA_OPTIONS = {
  allErrors: true,
  strict: true,
  strictTypes: false,
  strictRequired: false,
  verbose: true,
} as const;

/** Keywords of ours: `x-expect` has the words for what a schema wants. */
export const SCHEMA_KEYWORDS = [{ keyword: "x-expect", schemaType: "string" }] as const;
