/**
 * Random numbers by name.
 *
 * What one step draws depends on the seed and on which step of which run it is, not on when it comes
 * to draw. So the same runs with more workers, or in another order, take the same times, and the
 * difference between two simulations is what was changed, not luck (common random numbers).
 */
import { seededNumbers } from "../../compiler/reference/index.ts";

/** A number from 0 up to 1, neither 0 nor 1, that belongs to the seed and the name. */
export function draw(seed: number, name: string): number {
  const random = seededNumbers((fnv1a(name) ^ Math.imul(seed, 0x9e3779b1)) | 0);
  // The first number of neighbours is less mixed than the second.
  random();
  return (random() * 4_294_967_296 + 0.5) / 4_294_967_297;
}

/** 32 bits of a text, well spread. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash ^ (hash >>> 15);
}
