// `npm run bench:profile`: where the time of one contestant goes, by V8's sampling profiler. Prints the
// functions in which most of it is spent, and by file; the profile itself can be opened in DevTools.

import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { SourceMap, type SourceMapPayload, type SourceMapping } from "node:module";
import { createServer } from "node:net";
import { basename, dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { commandFrom, execute, wholeNumber } from "../local/command-line.ts";
import { overheadContestants } from "./checkpoint-overhead.ts";
import { contestantNames as others, contestantNamed } from "./contestants.ts";
import { millions } from "./harness.ts";
import {
  type CallFrame,
  type Profile,
  selfTimes,
  type Shares,
  stageTimes,
  type Stretches,
  stretchesOf,
} from "./profile-report.ts";
import { BenchRuntime } from "./runtime.ts";
import { sizeContestants } from "./state-size.ts";

interface Options {
  readonly contestant: string;
  readonly rows: number;
  readonly parallelism: number | undefined;
  readonly top: number;
  readonly out: string | undefined;
}

const stateContestants = new Map([...overheadContestants, ...sizeContestants]);
const contestantNames = [...others, ...stateContestants.keys()];

const usage = `Usage: npm run bench:profile -- [CONTESTANT] [options]

  CONTESTANT  ${others.join(", ")} (rows);
              of checkpoint-overhead: ${[...overheadContestants.keys()].join(", ")};
              of state-size: ${[...sizeContestants.keys()].join(", ")}
  --rows N         Rows of the profiled run (5,000,000), without those that build up its state; one
                   like it goes before, to warm up
  --parallelism N  Of a job that counts (4)
  --top N          Functions to print (30)
  --out FILE       Keeps the profile, for DevTools
  --help           This text`;

const root = fileURLToPath(new URL("..", import.meta.url));

/** Microseconds between two samples. */
const interval = 500;

interface TakenNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
    readonly columnNumber: number;
  };
  readonly children?: readonly number[];
}

interface TakenProfile {
  readonly nodes: readonly TakenNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

async function profile(options: Options): Promise<boolean> {
  const { contestant: name, rows, parallelism, top, out } = options;
  const inspectorPort = await freePort();
  const runtime = await BenchRuntime.start({ inspectorPort });
  try {
    const contestant =
      stateContestants.get(name)?.(runtime, rows) ??
      (await contestantNamed(runtime, name, rows, parallelism));
    const once = async (begun?: () => Promise<void>): Promise<void> => {
      await contestant.prepare?.();
      const begunAt = performance.now();
      const told = await contestant.run(begun);
      const seconds = told?.seconds ?? (performance.now() - begunAt) / 1_000;
      const measured = told?.rows ?? rows;
      const cpu =
        told?.cpuSeconds && `, ${((1e6 * told.cpuSeconds) / measured).toFixed(2)} µs of CPU a row`;
      console.log(`${name}: ${millions(measured / seconds)} M rows/s${cpu ?? ""}`);
    };
    // Warm from building up its state, where that takes minutes.
    if (contestant.isLong !== true) {
      await once();
      await contestant.check();
    }
    await using inspector = await Inspector.connect(inspectorPort);
    await inspector.send("Profiler.enable");
    await inspector.send("Profiler.setSamplingInterval", { interval });
    await inspector.send("Profiler.start");
    // Where a state is built up first, what that took is forgotten.
    await once(async () => {
      await inspector.send("Profiler.stop");
      await inspector.send("Profiler.start");
    });
    const taken = (await inspector.send("Profiler.stop")) as { profile: TakenProfile };
    const wrong = await contestant.check();
    if (wrong.length > 0) throw new Error(wrong.join("; "));
    if (out !== undefined) await writeFile(out, JSON.stringify(taken.profile));
    const read = await inSource(taken.profile, runtime.script);
    const stages = stageTimes(read);
    console.log(
      `\n${listOf(stages, rows)}\n\n${listOf(selfTimes(read).slice(0, top), rows, sumOf(stages))}`,
    );
    console.log(`\n${stretchesText(stretchesOf(read, interval))}`);
    return true;
  } finally {
    await runtime.stop();
  }
}

/** By files and lines of the repository, as the source map of the bundle tells them. */
async function inSource(
  { nodes, samples, timeDeltas }: TakenProfile,
  script: string,
): Promise<Profile> {
  const map = new SourceMap(
    JSON.parse(await readFile(`${script}.map`, "utf8")) as SourceMapPayload,
  );
  const frameOf = ({ callFrame }: TakenNode): CallFrame => {
    const { functionName, url, lineNumber, columnNumber } = callFrame;
    const found = url === basename(script) ? map.findEntry(lineNumber, columnNumber) : undefined;
    if (found === undefined || !("originalSource" in found)) {
      return { functionName, file: url, line: lineNumber + 1 };
    }
    const { originalSource, originalLine } = found as SourceMapping;
    const file = relative(root, resolve(dirname(script), originalSource));
    return { functionName, file, line: originalLine + 1 };
  };
  return {
    nodes: nodes.map((node) => ({
      id: node.id,
      frame: frameOf(node),
      children: node.children ?? [],
    })),
    samples,
    timeDeltas,
  };
}

const sumOf = (shares: Shares): number => shares.reduce((sum, [, time]) => sum + time, 0);

const listOf = (shares: Shares, rows: number, all = sumOf(shares)): string =>
  shares
    .map(([name, time]) => {
      const share = ((100 * time) / all).toFixed(1).padStart(5);
      const perRow = ((1_000 * time) / rows).toFixed(0).padStart(5);
      return `${share} % ${perRow} ns/row  ${name}`;
    })
    .join("\n");

function stretchesText({ busy, stages }: Stretches): string {
  const longer = [5, 10, 20, 50].map((limit) => {
    const of = busy.filter((one) => one > 1_000 * limit);
    const seconds = of.reduce((sum, one) => sum + one, 0) / 1e6;
    return `  longer than ${limit} ms: ${of.length}, ${seconds.toFixed(2)} s together`;
  });
  const longest = stages
    .slice(0, 8)
    .map(([name, time]) => `  ${(time / 1_000).toFixed(1)} ms  ${name}`);
  return [
    "Times in which the thread had something to do without a pause",
    ...longer,
    "of which one stage at a time took longest",
    ...longest,
  ].join("\n");
}

class Inspector {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: { result?: unknown; error?: unknown }) => void>();
  #sent = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const answer = JSON.parse(String(data)) as { id?: number; result?: unknown; error?: unknown };
      if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer);
    });
  }

  static async connect(port: number): Promise<Inspector> {
    const targets = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as {
      id: string;
      webSocketDebuggerUrl: string;
    }[];
    // Miniflare runs Workers of its own beside ours.
    const ours = targets.find(({ id }) => id.startsWith("core:user:"));
    if (ours === undefined) throw new Error("The inspector does not know the Worker.");
    const socket = new WebSocket(ours.webSocketDebuggerUrl);
    await once(socket, "open");
    return new Inspector(socket);
  }

  async send(method: string, params: unknown = {}): Promise<unknown> {
    const id = ++this.#sent;
    const { promise, resolve } = Promise.withResolvers<{ result?: unknown; error?: unknown }>();
    this.#waiting.set(id, resolve);
    this.#socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await promise;
    if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

const command = commandFrom<Options>(() => {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: {
      rows: { type: "string", default: "5000000" },
      parallelism: { type: "string" },
      top: { type: "string", default: "30" },
      out: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  const [contestant = "rows"] = positionals;
  if (!contestantNames.includes(contestant)) {
    throw new RangeError(
      `There is no contestant "${contestant}"; there are ${contestantNames.join(", ")}.`,
    );
  }
  return {
    contestant,
    rows: wholeNumber("--rows", values.rows, { least: 1_000, most: 1_000_000_000 }),
    parallelism:
      values.parallelism === undefined
        ? undefined
        : wholeNumber("--parallelism", values.parallelism, { least: 1, most: 128 }),
    top: wholeNumber("--top", values.top, { least: 1, most: 1_000 }),
    out: values.out,
  };
});
await execute(command, { script: "bench:profile", usage, run: profile });
