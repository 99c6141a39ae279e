/** Schemas of times in milliseconds. Each has an end, so that what is due is a date all the same. */
import { DURATION_MS_MAX } from "../ir.ts";

/** The words for the end. */
export const UP_TO_MS = `to ${DURATION_MS_MAX} (100 years)`;

export const msFrom0 = {
  type: "integer",
  minimum: 0,
  maximum: DURATION_MS_MAX,
  "x-expect": `an integer from 0 ${UP_TO_MS}`,
} as const;

export const msFrom1 = {
  ...msFrom0,
  minimum: 1,
  "x-expect": `an integer from 1 ${UP_TO_MS}`,
} as const;
