// The local runtime (workerd under Miniflare) in a process group of its own, with its state on disk,
// so that it can be killed without warning and started again on what it left. For demos and tests.
//   L1. `kill` is SIGKILL to every process of the group at once: nothing gets to say goodbye.
//   L2. A runtime whose parent dies ends itself; none is left behind.
//   L3. The worker is bundled and its configuration read once a process, so a restart runs the same.

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdir, mkdtemp, open, readdir } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type {
  EvictAnswer,
  EvictRequest,
  RuntimeChildOptions,
  RuntimeChildReady,
} from "./runtime-child.ts";

export interface RuntimeOptions {
  /** Where objects, R2 and `runtime.log` are kept; made where it does not exist. */
  readonly directory: string;
  /** A free port where absent. */
  readonly port?: number;
  /** The `wrangler.toml` to run; the one of the working directory where absent. */
  readonly config?: string;
  /** Where workerd answers a debugger; nowhere where absent. */
  readonly inspectorPort?: number;
}

export interface Runtime {
  readonly url: string;
  /** The bundle that it runs; its source map lies beside it. */
  readonly script: string;
  /** Of the process group's leader. */
  readonly pid: number;
  /** Ends everything at once, as a power cut would, and resolves when it has. */
  kill(): Promise<void>;
  /**
   * Ends one Durable Object as the platform ends an idle one, memory gone and storage kept.
   *
   * @throws Error where the object could not be evicted, or the runtime ended meanwhile
   */
  evict(object: EvictableObject): Promise<void>;
  /** Ends everything in good order. */
  stop(): Promise<void>;
}

/** A Durable Object by its class and the name that `getByName` is called with. */
export interface EvictableObject {
  readonly className: string;
  readonly name: string;
}

/** Milliseconds that workerd may take to end after SIGKILL. */
const killTimeout = 5_000;

const child = fileURLToPath(new URL("./runtime-child.ts", import.meta.url));
const bundles = new Map<string, Promise<Bundle>>();

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
    ...(await bundled(config)),
    directory,
    port: options.port ?? 0,
    ...(options.inspectorPort !== undefined && { inspectorPort: options.inspectorPort }),
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
    script: childOptions.script,
    pid,
    async kill() {
      killGroup(pid);
      await ended;
      await released(url);
    },
    async evict(object) {
      await evict(running, object);
    },
    async stop() {
      if (running.connected) running.disconnect();
      await ended;
    },
  };
}

type Bundle = Pick<RuntimeChildOptions, "script" | "worker">;

function bundled(config: string): Promise<Bundle> {
  const known = bundles.get(config);
  if (known !== undefined) return known;
  const bundling = bundle(config);
  bundles.set(config, bundling);
  bundling.catch(() => bundles.delete(config));
  return bundling;
}

async function bundle(config: string): Promise<Bundle> {
  const directory = await mkdtemp(join(tmpdir(), "tidemark-bundle-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const wrangler = fileURLToPath(import.meta.resolve("wrangler/package.json"));
  const args = [join(wrangler, "../bin/wrangler.js"), "deploy", "--dry-run", "--config", config];
  const bundling = promisify(execFile)(process.execPath, [...args, "--outdir", directory], {
    env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
  });
  // Loaded meanwhile, and here: in the child it would take most of the time of every restart.
  const [{ unstable_getMiniflareWorkerOptions }] = await Promise.all([
    import("wrangler"),
    bundling,
  ]);
  const script = (await readdir(directory)).find((name) => name.endsWith(".js"));
  if (script === undefined)
    throw new Error(`wrangler bundled ${config} to no script in ${directory}.`);
  const { modulesRules: _, ...worker } = unstable_getMiniflareWorkerOptions(config).workerOptions;
  return { script: join(directory, script), worker: { ...worker, bindings: local(worker) } };
}

// Open to this machine. Tokens of .dev.vars are for `npm run dev`: nobody sends them here, and what
// goes to the child is in the list of processes.
function local({ bindings = {} }: { readonly bindings?: Readonly<Record<string, unknown>> }) {
  const named = Object.entries(bindings).filter(([name]) => !name.startsWith("TIDEMARK_TOKENS"));
  return { ...Object.fromEntries(named), TIDEMARK_LOCAL: "open" };
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

let evictions = 0;

async function evict(running: ChildProcess, object: EvictableObject): Promise<void> {
  const request: EvictRequest = { id: ++evictions, ...object };
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const answered = ({ id, problem }: EvictAnswer): void => {
    if (id === request.id) resolve(problem);
  };
  const exited = (): void => resolve("The runtime has ended.");
  running.on("message", answered).once("exit", exited);
  try {
    if (running.connected) running.send(request, (error) => error && resolve(error.message));
    else exited();
    const problem = await promise;
    if (problem !== undefined) throw new Error(problem);
  } finally {
    running.off("message", answered).off("exit", exited);
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

// The leader's end does not tell of workerd's, which holds the port and the files until then. Nor
// does the process table: a container whose init reaps rarely keeps ended orphans in it for seconds.
async function released(url: string): Promise<void> {
  for (const deadline = Date.now() + killTimeout; await isAccepting(url); await sleep(10)) {
    if (Date.now() > deadline)
      throw new Error(`${url} still accepts connections ${killTimeout} ms after SIGKILL.`);
  }
}

function isAccepting(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: hostname, port: Number(port) }, () => {
    socket.destroy();
    resolve(true);
  });
  socket.on("error", () => resolve(false));
  return promise;
}
