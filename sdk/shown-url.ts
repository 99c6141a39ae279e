/**
 * A URL as it may be shown: in logs, errors, `gavotte config`. The one place that knows where a URL
 * holds secrets, in every form that a store's URL has here.
 */

/**
 * Everything before the last @ is taken for credentials, wherever it stands. A password whose `/`, `?`
 * or `@` is not encoded makes a URL that means something else than its author meant, and that is the
 * one whose text is shown: in the error about the host that does not exist.
 */
const CREDENTIALS = /^([a-z][a-z\d+.-]*:\/*)?.*@/is;
const PARAMETER = /([?&])([^=&#]*)=([^&]*)/g;
const SECRET_NAME = /pass|pwd|secret|token/i;

/** Without user, password, and parameters that hold one: `postgres://***@host/name?password=***`. */
export function shownUrl(url: string): string {
  const shown = url.replace(CREDENTIALS, "$1***@");
  return shown.replace(PARAMETER, (whole, mark: string, name: string) =>
    SECRET_NAME.test(decoded(name)) ? `${mark}${name}=***` : whole,
  );
}

/** A name that is not encoded rightly is looked at as it stands. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
