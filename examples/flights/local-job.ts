// A job on a local runtime that can be killed, and what can be learned about it over HTTP.
//   K1. After the start nothing but GETs is asked of the job, unless it is rescaled or drained: it
//       recovers by itself.
//   K2. A question that nobody can answer just now (the runtime is down, a subtask is being
//       restored, the job has ended) is answered with undefined, never with an error.

import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";

import { pageText, type TablePage, wholeTable } from "../../cli/whole-table.ts";
import { type EvictableObject, type Runtime, startRuntime } from "../../local/runtime.ts";
import { ask } from "./http.ts";
import { pause, until } from "./until.ts";

const deployment = fileURLToPath(new URL("../../wrangler.toml", import.meta.url));

/** How a job is started where nothing is said, in Flink's words; see `POST /jars/:id/run`. */
const parallelismDefault = 4;
const flinkConfigurationDefault: Readonly<Record<string, string>> = {
  "execution.checkpointing.interval": "1 s",
  "restart-strategy.exponential-delay.initial-backoff": "100 ms",
};

/** Milliseconds that one answer may take, and one with a whole table. */
const answerTimeout = 10_000;
const tableTimeout = 120_000;

/** Milliseconds until a job that is drained counts as one that does not end. */
const drainTimeout = 300_000;

/** The parts of `GET /jobs/:jobid/checkpoints` that are used here. `history` is newest first. */
export interface CheckpointStatistics {
  readonly counts: { readonly completed: number };
  readonly latest: {
    readonly restored: { readonly id: number; readonly restore_timestamp: number } | null;
  };
  readonly history: readonly CheckpointEntry[];
}

export interface CheckpointEntry {
  readonly id: number;
  readonly status: "IN_PROGRESS" | "COMPLETED" | "FAILED";
  readonly trigger_timestamp: number;
  /** When the last subtask acknowledged it. */
  readonly latest_ack_timestamp: number;
  readonly checkpointed_size: number;
}

/** Committed rows: those of one completed checkpoint, null before the first. */
export interface Table<Row> {
  readonly checkpoint: number | null;
  readonly rows: readonly Row[];
}

export interface Recovery {
  /** The checkpoint that was restored, and the first one completed after it. */
  readonly restored: number;
  readonly completed: number;
  /** From SIGKILL until the latter was seen. */
  readonly seconds: number;
}

export interface Rescaled {
  /** Subtasks of each vertex. */
  readonly parallelism: number;
  /** From the request until all of them were seen to run. */
  readonly seconds: number;
}

export interface LocalJobOptions {
  /** Which job it is, of those that the deployment can run. */
  readonly program: string;
  /** Where the runtime keeps its state. */
  readonly directory: string;
  /** The `wrangler.toml` to run; the repository's where absent. */
  readonly config?: string;
  /** Of every operator that does not name its own; 4 where absent. */
  readonly parallelism?: number;
  /** By Flink's keys; a checkpoint every second where absent. */
  readonly flinkConfiguration?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export class LocalJob {
  readonly url: string;
  readonly id: string;
  readonly directory: string;
  readonly #config: string;
  readonly #signal: AbortSignal;
  #runtime: Promise<Runtime>;
  #runningSince = Date.now();

  private constructor(
    runtime: Runtime,
    id: string,
    {
      directory,
      config,
      signal,
    }: Required<Pick<LocalJobOptions, "directory" | "config" | "signal">>,
  ) {
    this.url = runtime.url;
    this.id = id;
    this.directory = directory;
    this.#config = config;
    this.#signal = signal;
    this.#runtime = Promise.resolve(runtime);
  }

  /** Starts a runtime, and the job on it. */
  static async start(options: LocalJobOptions): Promise<LocalJob> {
    const { program, directory, config = deployment, signal } = options;
    const { parallelism = parallelismDefault } = options;
    const { flinkConfiguration = flinkConfigurationDefault } = options;
    const runtime = await startRuntime({ config, directory });
    try {
      const answer = await ask(`${runtime.url}/jars/${program}/run`, {
        method: "POST",
        body: JSON.stringify({ parallelism, flinkConfiguration }),
        signal,
        timeout: answerTimeout,
      });
      if (answer.kind === "away") throw new Error(`The job was not started: ${answer.problem}`);
      const { jobid } = answer.body as { jobid: string };
      return new LocalJob(runtime, jobid, { directory, config, signal });
    } catch (error) {
      await runtime.stop();
      throw error;
    }
  }

  /** Resolves once the runtime takes requests: at once, unless it was killed. */
  async up(): Promise<void> {
    await this.#runtime;
  }

  /**
   * Kills the runtime without warning, lets `downtime` milliseconds pass, and starts it again on the
   * same state and port.
   */
  async restart(downtime = 0): Promise<void> {
    const { directory } = this;
    const config = this.#config;
    const port = Number(new URL(this.url).port);
    const runtime = await this.#runtime;
    this.#runtime = (async () => {
      await runtime.kill();
      await pause(downtime, this.#signal);
      return await startRuntime({ config, directory, port });
    })();
    await this.#runtime;
    this.#runningSince = Date.now();
  }

  /** Ends one object of the runtime as the platform ends an idle one. @throws Error if it cannot */
  async evict(object: EvictableObject): Promise<void> {
    await (await this.#runtime).evict(object);
  }

  /**
   * Restarts the runtime and watches the job recover. The recovery is from a checkpoint of the run
   * that was killed.
   */
  async crash(): Promise<Recovery> {
    const killedAt = Date.now();
    await this.restart();
    return await until(
      async () => {
        const statistics = await this.checkpoints();
        const restored = statistics?.latest.restored;
        if (statistics === undefined || !restored) return undefined;
        if (restored.restore_timestamp < killedAt) return undefined;
        const completed = firstCompleted(statistics, restored.restore_timestamp);
        if (completed === undefined) return undefined;
        const seconds = (Date.now() - killedAt) / 1_000;
        return { restored: restored.id, completed, seconds };
      },
      { what: "The recovery of the job", signal: this.#signal },
    );
  }

  /** Gives every vertex so many subtasks, and watches until all of them run. */
  async rescale(parallelism: number): Promise<Rescaled> {
    type Sizes = Record<string, { parallelism: object }>;
    type History = readonly { readonly terminalState?: string; readonly message?: string }[];
    const begunAt = Date.now();
    const path = `/jobs/${this.id}/resource-requirements`;
    const options = { what: "The rescaling of the job", signal: this.#signal };
    const sizes = await until(() => this.get<Sizes>(path), options);
    const bounds = { lowerBound: 1, upperBound: parallelism };
    for (const size of Object.values(sizes)) size.parallelism = bounds;
    const answer = await ask(this.url + path, {
      method: "PUT",
      body: JSON.stringify(sizes),
      signal: this.#signal,
      timeout: answerTimeout,
    });
    if (answer.kind === "away") throw new Error(`The job was not rescaled: ${answer.problem}`);
    return await until(async () => {
      const [newest] = (await this.get<History>(`/jobs/${this.id}/rescales/history`)) ?? [];
      if (newest?.terminalState === undefined) return undefined;
      if (newest.terminalState !== "COMPLETED") {
        throw new Error(`The job was not rescaled: ${newest.message}`);
      }
      return { parallelism, seconds: (Date.now() - begunAt) / 1_000 };
    }, options);
  }

  /** Resolves when a checkpoint has completed since the runtime was started last. */
  async checkpointed(): Promise<void> {
    await until(
      async () => {
        const statistics = await this.checkpoints();
        return statistics && firstCompleted(statistics, this.#runningSince);
      },
      { what: "A checkpoint", signal: this.#signal },
    );
  }

  checkpoints(): Promise<CheckpointStatistics | undefined> {
    return this.get<CheckpointStatistics>(`/jobs/${this.id}/checkpoints`);
  }

  /** A table with rows like that, on the word of the caller. */
  table<Row>(name: string): Promise<Table<Row> | undefined> {
    const path = `/jobs/${this.id}/tables/${name}`;
    return wholeTable((page) =>
      this.get<TablePage<Row>>(`${path}?${pageText(page)}`, tableTimeout),
    );
  }

  /** Records in a topic. */
  async records(topic: string): Promise<number | undefined> {
    type Topic = { readonly partitions: readonly { readonly next: number }[] };
    const answer = await this.get<Topic>(`/topics/${topic}`);
    return answer?.partitions.reduce((total, { next }) => total + next, 0);
  }

  /** Records that the source with that uid has read. */
  async read(source: string): Promise<number | undefined> {
    type Offsets = { subtasks: readonly { elements: readonly { next: number }[] }[] };
    const answer = await this.get<Offsets>(`/jobs/${this.id}/state/${source}/offsets`);
    const offsets = answer?.subtasks.flatMap(({ elements }) => elements);
    return offsets?.reduce((total, { next }) => total + next, 0);
  }

  /** Stops the job with no event time left, so that all windows are told, and waits for its end. */
  async drain(): Promise<void> {
    const triggerId = randomBytes(16).toString("hex");
    const options = { what: "The end of the job", within: drainTimeout, signal: this.#signal };
    await until(async () => {
      await this.up();
      const answer = await ask(`${this.url}/jobs/${this.id}/stop`, {
        method: "POST",
        body: JSON.stringify({ drain: true, triggerId }),
        signal: this.#signal,
        timeout: answerTimeout,
      });
      return answer.kind === "answer" || undefined;
    }, options);
    await until(async () => {
      const job = await this.get<{ readonly state: string }>(`/jobs/${this.id}`);
      if (job?.state === "FINISHED") return true;
      if (job !== undefined) await this.assertRunning();
      return undefined;
    }, options);
  }

  /** @throws Error with the job's last exception, when it has ended */
  async assertRunning(): Promise<void> {
    const job = await this.get<{ readonly state: string }>(`/jobs/${this.id}`);
    if (job === undefined || !["FAILED", "CANCELED", "FINISHED"].includes(job.state)) return;
    type Exceptions = { exceptionHistory: { entries: { stacktrace: string }[] } };
    const last = await this.get<Exceptions>(`/jobs/${this.id}/exceptions`).then(
      (exceptions) => exceptions?.exceptionHistory.entries[0]?.stacktrace,
      (error: unknown) => `why is not known, because ${String(error)}`,
    );
    throw new Error(`The job is ${job.state}: ${last ?? "no exception is known"}`);
  }

  async stop(): Promise<void> {
    await (await this.#runtime).stop();
  }

  /** The answer to a GET; undefined where there is none just now (K2). */
  async get<T>(path: string, timeout = answerTimeout): Promise<T | undefined> {
    await this.up();
    const request = { signal: this.#signal, timeout };
    const answer = await ask(this.url + path, request);
    return answer.kind === "answer" ? (answer.body as T) : undefined;
  }
}

function firstCompleted({ history }: CheckpointStatistics, since: number): number | undefined {
  return history.findLast(
    ({ status, trigger_timestamp }) => status === "COMPLETED" && trigger_timestamp >= since,
  )?.id;
}
