/** Containers for tests, on machines with a Docker engine; everywhere else a quiet no. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
const ASK_LIMIT_MS = 3000;
/** An image that cannot be had in this time is done without. */
const PULL_LIMIT_MS = 60_000;

export interface ContainerOptions {
  image: string;
  port: number;
  command?: string[];
  environment?: Record<string, string>;
  /** A command that succeeds inside the container once the service can be used. */
  ready?: string;
}

export interface Container {
  host: string;
  port: number;
  stop(): Promise<void>;
}

/** Starts a container, or returns undefined when there is no engine or no such image. */
export async function startContainer(options: ContainerOptions): Promise<Container | undefined> {
  if (!(await hasImage(options.image))) {
    return undefined;
  }
  // Loading the library takes half a second, which only machines with an engine pay.
  const { GenericContainer, Wait } = await import("testcontainers");
  let container = new GenericContainer(options.image)
    .withExposedPorts(options.port)
    .withEnvironment(options.environment ?? {});
  if (options.command !== undefined) {
    container = container.withCommand(options.command);
  }
  if (options.ready !== undefined) {
    container = container.withWaitStrategy(Wait.forSuccessfulCommand(options.ready));
  }
  const started = await container.start().catch(() => undefined);
  return (
    started && {
      host: started.getHost(),
      port: started.getMappedPort(options.port),
      stop: async () => void (await started.stop()),
    }
  );
}

async function hasImage(image: string): Promise<boolean> {
  const ok = (args: string[], timeout: number): Promise<boolean> =>
    run("docker", args, { timeout }).then(
      () => true,
      () => false,
    );
  if (!(await ok(["version", "--format", "{{.Server.Version}}"], ASK_LIMIT_MS))) {
    return false;
  }
  return (
    (await ok(["image", "inspect", image], ASK_LIMIT_MS)) ||
    (await ok(["pull", "--quiet", image], PULL_LIMIT_MS))
  );
}
