/**
 * Secrets of the workers of this process: `${secrets.API_KEY}` in a workflow file is the variable
 * `GAVOTTE_SECRET_API_KEY`. Only workers have them; no file, no run and no journal does.
 */

/** What the variables of secrets begin with. */
export const SECRET_PREFIX = "GAVOTTE_SECRET_";

/** Secrets by the name that workflow files use; an empty variable is none, as for options. */
export function secretsOf(env: { readonly [name: string]: string | undefined }): {
  [name: string]: string;
} {
  // Without a prototype: nobody has given a secret named "constructor".
  const secrets = Object.create(null) as { [name: string]: string };
  for (const [variable, value] of Object.entries(env)) {
    const name = variable.startsWith(SECRET_PREFIX) ? variable.slice(SECRET_PREFIX.length) : "";
    if (name !== "" && value !== undefined && value !== "") {
      secrets[name] = value;
    }
  }
  return secrets;
}
