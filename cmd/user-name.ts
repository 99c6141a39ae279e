/** Who acts: the user of this machine. */
import { userInfo } from "node:os";

export interface UserSources {
  env: { readonly [name: string]: string | undefined };
  /** The system's name of the user; throws where it has none. */
  system: () => string;
}

const HERE: UserSources = { env: process.env, system: () => userInfo().username };

/** A name for the journal. In a container the user is often a number that the system cannot name. */
export function userName({ env, system }: UserSources = HERE): string {
  try {
    return system();
  } catch {
    return env.USER || env.LOGNAME || `uid ${process.getuid?.() ?? "unknown"}`;
  }
}
