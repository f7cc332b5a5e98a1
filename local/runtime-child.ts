// What `runtime.ts` starts: Miniflare with one bundled worker, until the parent lets go.

import { dirname } from "node:path";

import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";

export interface RuntimeChildOptions {
  readonly config: string;
  readonly script: string;
  readonly directory: string;
  readonly port: number;
}

export interface RuntimeChildReady {
  readonly url: string;
}

const options = JSON.parse(process.argv[2] ?? "") as RuntimeChildOptions;
const { workerOptions } = unstable_getMiniflareWorkerOptions(options.config);
const { modulesRules: _, ...worker } = workerOptions;
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    ...worker,
    modules: true,
    scriptPath: options.script,
    modulesRoot: dirname(options.script),
    cf: false,
    host: "127.0.0.1",
    port: options.port,
    log: new Log(LogLevel.WARN),
    resourcePersistencePath: options.directory,
  }),
);
// Also what happens when the parent is killed (L2).
process.on("disconnect", () => void miniflare.dispose().finally(() => process.exit()));
const ready: RuntimeChildReady = { url: (await miniflare.ready).origin };
process.send?.(ready);
