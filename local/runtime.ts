// The local runtime (workerd under Miniflare) in a process group of its own, with its state on disk,
// so that it can be killed without warning and started again on what it left. For demos and tests.
//   L1. `kill` is SIGKILL to every process of the group at once: nothing gets to say goodbye.
//   L2. A runtime whose parent dies ends itself; none is left behind.
//   L3. The worker is bundled once a process and configuration, so a restart runs the same code.

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdir, mkdtemp, open, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { RuntimeChildOptions, RuntimeChildReady } from "./runtime-child.ts";

export interface RuntimeOptions {
  /** Where objects, R2 and `runtime.log` are kept; made where it does not exist. */
  readonly directory: string;
  /** A free port where absent. */
  readonly port?: number;
  /** The `wrangler.toml` to run; the one of the working directory where absent. */
  readonly config?: string;
}

export interface Runtime {
  readonly url: string;
  /** Of the process group's leader. */
  readonly pid: number;
  /** Ends everything at once, as a power cut would, and resolves when it has. */
  kill(): Promise<void>;
  /** Ends everything in good order. */
  stop(): Promise<void>;
}

/** Milliseconds that the group may take to vanish after SIGKILL. */
const killTimeout = 5_000;

const child = fileURLToPath(new URL("./runtime-child.ts", import.meta.url));
const bundles = new Map<string, Promise<string>>();

/**
 * Starts the worker of `config` and resolves once it takes requests.
 *
 * @example
 * const runtime = await startRuntime({ directory: ".tidemark/demo" });
 * await fetch(`${runtime.url}/healthz`);
 * await runtime.kill();
 */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  const config = resolve(options.config ?? "wrangler.toml");
  const directory = resolve(options.directory);
  await mkdir(directory, { recursive: true });
  const log = await open(join(directory, "runtime.log"), "a");
  const childOptions: RuntimeChildOptions = {
    config,
    directory,
    script: await bundled(config),
    port: options.port ?? 0,
  };
  const running = spawn(process.execPath, [child, JSON.stringify(childOptions)], {
    detached: true,
    stdio: ["ignore", log.fd, log.fd, "ipc"],
  });
  const ended = once(running, "exit");
  await log.close();
  const { url } = await readiness(running, join(directory, "runtime.log"));
  const pid = running.pid!;
  return {
    url,
    pid,
    async kill() {
      signal(pid, "SIGKILL");
      await ended;
      await vanished(pid);
    },
    async stop() {
      if (running.connected) running.disconnect();
      await ended;
    },
  };
}

function bundled(config: string): Promise<string> {
  const known = bundles.get(config);
  if (known !== undefined) return known;
  const bundling = bundle(config);
  bundles.set(config, bundling);
  bundling.catch(() => bundles.delete(config));
  return bundling;
}

async function bundle(config: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "tidemark-bundle-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const wrangler = fileURLToPath(import.meta.resolve("wrangler/package.json"));
  const args = [join(wrangler, "../bin/wrangler.js"), "deploy", "--dry-run", "--config", config];
  await promisify(execFile)(process.execPath, [...args, "--outdir", directory], {
    env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
  });
  const script = (await readdir(directory)).find((name) => name.endsWith(".js"));
  if (script === undefined)
    throw new Error(`wrangler bundled ${config} to no script in ${directory}.`);
  return join(directory, script);
}

async function readiness(running: ChildProcess, log: string): Promise<RuntimeChildReady> {
  const outcome = await Promise.race([
    once(running, "message").then(([ready]) => ready as RuntimeChildReady),
    once(running, "exit").then(([code]) => code as number | null),
  ]);
  if (outcome !== null && typeof outcome === "object") return outcome;
  throw new Error(
    `The local runtime ended with code ${outcome} before it was ready; ${log} says why.`,
  );
}

/** False when no process of the group is left. */
function signal(group: number, name: "SIGKILL" | 0): boolean {
  try {
    return process.kill(-group, name);
  } catch {
    return false;
  }
}

// The leader's end does not tell of workerd's, which holds the port and the files until then. The
// wait is bounded because a container without an init keeps ended orphans in the process table.
async function vanished(group: number): Promise<void> {
  for (const deadline = Date.now() + killTimeout; signal(group, 0) && Date.now() < deadline;) {
    await sleep(10);
  }
}
