// The runtime that is measured: workerd with the Worker of `worker/`, in a directory of its own, and
// what it costs.

import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { type Runtime, startRuntime } from "../local/runtime.ts";

const config = fileURLToPath(new URL("worker/wrangler.bench.toml", import.meta.url));
const home = fileURLToPath(new URL("../.tidemark/", import.meta.url));

/** Where the runtime keeps the objects of the class `Subtask`. */
const subtaskObjects = "do/-Subtask";

/** Ticks of /proc per second; the same on every Linux there is. */
const ticksPerSecond = 100;

const ended = ["CANCELED", "FAILED", "FINISHED"];

/** How a job of the engine is started. */
export interface JobSettings {
  readonly parallelism: number;
  /** By Flink's keys. */
  readonly flink?: Readonly<Record<string, string>>;
  /** What the program is told. */
  readonly parameters?: Readonly<Record<string, number>>;
}

export class BenchRuntime {
  readonly directory: string;
  #runtime: Runtime;

  private constructor(directory: string, runtime: Runtime) {
    this.directory = directory;
    this.#runtime = runtime;
  }

  static async start(options: { readonly inspectorPort?: number } = {}): Promise<BenchRuntime> {
    await mkdir(home, { recursive: true });
    const directory = await mkdtemp(join(home, "bench-"));
    return new BenchRuntime(directory, await startRuntime({ config, directory, ...options }));
  }

  get url(): string {
    return this.#runtime.url;
  }

  /** The bundle that it runs; its source map lies beside it. */
  get script(): string {
    return this.#runtime.script;
  }

  /** @throws Error with the answer, where it is no 2xx */
  async ask<T>(method: "GET" | "POST" | "PATCH", path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.url + path, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(600_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  /** Starts a job of `program` and returns its id. */
  async submit(
    program: string,
    { parallelism, flink = {}, parameters = {} }: JobSettings,
  ): Promise<string> {
    const programArgsList = Object.entries(parameters).map(([name, value]) => `--${name}=${value}`);
    const request = { parallelism, flinkConfiguration: flink, programArgsList };
    return (await this.ask<{ jobid: string }>("POST", `/jars/${program}/run`, request)).jobid;
  }

  /** Ends a job, and returns once nothing of it runs. */
  async cancel(job: string): Promise<void> {
    for (let isTold = false; ; isTold = true) {
      // One of which the input has an end may have finished by itself.
      const { state } = await this.ask<{ state: string }>("GET", `/jobs/${job}`);
      if (ended.includes(state)) return;
      if (!isTold) await this.ask("PATCH", `/jobs/${job}?mode=cancel`);
      await sleep(20);
    }
  }

  /**
   * Seconds of CPU that the runtime has used since it was started, all threads of it; undefined where
   * the machine does not tell.
   */
  async cpuSeconds(): Promise<number | undefined> {
    if (process.platform !== "linux") return undefined;
    let ticks = 0;
    for (const pid of await readdir("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      // The second field is a name in parentheses and may hold anything.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const [group, user, system] = [fields[2], fields[11], fields[12]];
      if (Number(group) === this.#runtime.pid) ticks += Number(user) + Number(system);
    }
    return ticks / ticksPerSecond;
  }

  /**
   * Ends everything as a power cut would, and starts it again on what is left, on the same port.
   * `losesSubtasks`: that is nothing of what subtasks had in their objects.
   */
  async restart({ losesSubtasks = false } = {}): Promise<void> {
    const { directory } = this;
    const port = Number(new URL(this.url).port);
    await this.#runtime.kill();
    if (losesSubtasks) await rm(join(directory, subtaskObjects), { recursive: true });
    this.#runtime = await startRuntime({ config, directory, port });
  }

  async stop(): Promise<void> {
    await this.#runtime.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}
