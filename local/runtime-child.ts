// What `runtime.ts` starts: Miniflare with one bundled worker, until the parent lets go.

import { dirname } from "node:path";

import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import type { unstable_getMiniflareWorkerOptions } from "wrangler";

type WorkerOptions = ReturnType<typeof unstable_getMiniflareWorkerOptions>["workerOptions"];

export interface RuntimeChildOptions {
  readonly script: string;
  /** Bindings and dates, from `wrangler.toml`. Plain data. */
  readonly worker: Omit<WorkerOptions, "modulesRules">;
  readonly directory: string;
  readonly port: number;
  readonly inspectorPort?: number;
}

export interface RuntimeChildReady {
  readonly url: string;
}

/** To the child: end one object as the platform ends an idle one. */
export interface EvictRequest {
  readonly id: number;
  readonly className: string;
  readonly name: string;
}

/** From the child. */
export interface EvictAnswer {
  readonly id: number;
  /** Why the object was not evicted; absent where it was. */
  readonly problem?: string;
}

/** What Miniflare calls a Worker that is not named to it. */
const workerName = "";

const options = JSON.parse(process.argv[2] ?? "") as RuntimeChildOptions;
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    ...options.worker,
    modules: true,
    scriptPath: options.script,
    modulesRoot: dirname(options.script),
    cf: false,
    host: "127.0.0.1",
    port: options.port,
    ...(options.inspectorPort !== undefined && { inspectorPort: options.inspectorPort }),
    log: new Log(LogLevel.WARN),
    resourcePersistencePath: options.directory,
  }),
);
// Also what happens when the parent is killed (L2).
process.on("disconnect", () => void miniflare.dispose().finally(() => process.exit()));
process.on("message", ({ id, className, name }: EvictRequest) => {
  const evicting = miniflare.unsafeEvictDurableObject(workerName, className, { name });
  void evicting.then(
    () => process.send?.({ id } satisfies EvictAnswer),
    (error: unknown) => process.send?.({ id, problem: String(error) } satisfies EvictAnswer),
  );
});
const ready: RuntimeChildReady = { url: (await miniflare.ready).origin };
process.send?.(ready);
