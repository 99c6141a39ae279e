/**
 * Validators that are made beforehand, by the name of their schema in schemas.ts.
 *
 * There is none here: sources are run while they change, and a validator of an older schema would
 * be worse than a slow start. The build writes the compiled form of this file anew, with all of
 * them in it (scripts/dev/gen-validators.ts): making them takes longer than reading a document.
 */
import type { ValidateFunction } from "ajv/dist/2020.js";

export const VALIDATORS: { readonly [schema: string]: ValidateFunction | undefined } = {};
