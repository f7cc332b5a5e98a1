// Runs the application of the working directory by its own wrangler, and says how to go on once it
// takes requests. wrangler stays in charge of the terminal: its keys and its log are as ever.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { Command } from "commander";

import { Api } from "../api.ts";
import { wholeFrom } from "../options.ts";
import { bold, printable } from "../output.ts";
import { Problem, usageProblem } from "../problem.ts";

const portDefault = 8787;
const host = "127.0.0.1";
const configs = ["wrangler.toml", "wrangler.jsonc", "wrangler.json"];

/** Milliseconds between two looks whether the application is up, and that one look may take. */
const lookEvery = 250;
const lookTimeout = 5_000;

interface Options {
  readonly port: number;
  readonly config?: string;
}

export const devCommand = (interrupted: AbortSignal): Command =>
  new Command("dev")
    .description("run the application of this directory on this machine, by wrangler dev")
    .argument("[wrangler options...]", "after --, handed to wrangler dev as they are")
    .option("--port <n>", "where to listen", wholeFrom(1, 65_535), portDefault)
    .option("--config <file>", "the wrangler.toml to run, if not the one of this directory")
    .addHelpText(
      "after",
      `
Objects, checkpoints and topics are kept in .wrangler/ from one run to the next; to begin afresh,
delete it, or name another place.

Examples:
  $ tidemark dev
  $ tidemark dev --port 9000 -- --persist-to .tidemark/dev --log-level warn`,
    )
    .action(async (rest: string[], options: Options) => {
      await dev(rest, options, interrupted);
    });

async function dev(rest: readonly string[], options: Options, signal: AbortSignal): Promise<void> {
  const { port, config } = options;
  const found = config === undefined ? configs.find((name) => existsSync(name)) : config;
  if (found === undefined || !existsSync(found)) {
    throw usageProblem(
      `There is no ${config ?? configs.join(" or ")} in ${process.cwd()}; run this where the application is, or name it with --config.`,
    );
  }
  if (await isTaken(port)) {
    throw new Problem(
      `Port ${port} is taken; end what listens there, or choose another with --port.`,
    );
  }
  const wrangler = wranglerOf(resolve(found));
  // It listens on this machine alone, so it may serve this machine without a token.
  const place = ["--ip", host, "--port", String(port), "--var", "TIDEMARK_LOCAL:open"];
  const args = ["dev", "--config", found, ...place, ...rest];
  const child = spawn(process.execPath, [wrangler, ...args], { stdio: "inherit" });
  const end = (): void => void child.kill("SIGTERM");
  signal.addEventListener("abort", end);
  const over = new AbortController();
  const exit = once(child, "exit") as Promise<[code: number | null]>;
  const told = greet(port, AbortSignal.any([signal, over.signal]));
  const [code] = await exit;
  over.abort();
  await told;
  // An end that was asked for is a good end.
  if (code !== 0 && !signal.aborted) throw new Problem(`wrangler dev ended with code ${code}.`);
}

/** The script of the wrangler that the application has installed. */
function wranglerOf(config: string): string {
  const require = createRequire(join(dirname(config), "package.json"));
  let manifest: string;
  try {
    manifest = require.resolve("wrangler/package.json");
  } catch (error) {
    const message = `wrangler is not installed where ${config} is; run "npm install --save-dev wrangler" there.`;
    throw new Problem(message, undefined, { cause: error });
  }
  const { bin } = JSON.parse(readFileSync(manifest, "utf8")) as { bin: { wrangler: string } };
  return join(dirname(manifest), bin.wrangler);
}

/** Waits for the application, and says where it is and what it can run. */
async function greet(port: number, signal: AbortSignal): Promise<void> {
  const url = new URL(`http://${host}:${port}`);
  const api = new Api({ url, token: process.env["TIDEMARK_TOKEN"], timeout: lookTimeout, signal });
  try {
    for (;;) {
      const outcome = await api.request(["healthz"]);
      if (outcome.kind === "answer") break;
      await sleep(lookEvery, undefined, { signal });
    }
    console.error(`\n${bold(`Tidemark is up at ${api.place}`)}.`);
    const { files } = await api.programs();
    const other = port === portDefault ? "" : ` --url ${api.place}`;
    const runs = files.map(({ id }) => `  npx tidemark run ${printable(id)}${other}`);
    const start = runs.length === 0 ? "It has no programs." : "Start a job with";
    console.error(`${start}\n${runs.join("\n")}\n`);
  } catch (error) {
    if (!signal.aborted) console.error(`Its programs are not known: ${(error as Error).message}`);
  }
}

// wrangler would go to another port, and whoever listens on this one would be taken for it.
function isTaken(port: number): Promise<boolean> {
  const { promise, resolve: decide } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port }, () => {
    socket.destroy();
    decide(true);
  });
  socket.on("error", () => decide(false));
  return promise;
}
