// What the tests in workerd share: the public API as a user has it, objects by name, ways to kill
// them, and records whose tally is known.

import { runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { expect, onTestFinished, vi } from "vitest";
import { loadManifest } from "../../coordinator/load-manifest.ts";
import type { CheckpointId, JobId, TaskId } from "../../format/ids.ts";
import { jobIdFrom, objectName } from "../../format/ids.ts";
import type { CoordinatorJobApi, JobDetails } from "../../format/job-status.ts";
import { manifestFiles } from "../../format/manifest.ts";
import type { CoordinatorTaskApi, SubtaskApi, TopicPartitionApi } from "../../format/messages.ts";
import { jobPrefix } from "../../format/paths.ts";
import { tasksOf } from "../../format/plan.ts";
import { constructions } from "./faults.ts";
import { type Event, type Tally, unusedCopy } from "./programs.ts";

/** Milliseconds after which what a test waits for counts as not coming. */
const patience = 20_000;
const pollInterval = 10;

export const call = (path: string, init?: RequestInit): Promise<Response> =>
  exports.default.fetch(`http://localhost${path}`, init);

export async function json<T>(response: Response): Promise<T> {
  expect(response.ok, `${response.url} answered ${response.status}`).toBe(true);
  return response.json();
}

/** The first answer of `probe` that is neither undefined nor false. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  let found: T | undefined | false;
  const isThere = async (): Promise<boolean> => {
    found = await probe();
    return found !== undefined && found !== false;
  };
  await vi.waitUntil(isThere, { timeout: patience, interval: pollInterval }).catch(() => {
    throw new Error(`Waited ${patience} ms in vain: ${what}.`);
  });
  return found as T;
}

/** The answer of `probe` comes to equal `expected`. */
export async function becomes(
  probe: () => Promise<unknown>,
  expected: unknown,
  timeout = patience,
): Promise<void> {
  await expect.poll(probe, { timeout, interval: pollInterval }).toEqual(expected);
}

const equals = (actual: unknown, expected: unknown): void => expect(actual).toEqual(expected);

// ---- Objects

export const coordinatorOf = (job: JobId): CoordinatorJobApi & CoordinatorTaskApi =>
  env.COORDINATOR.getByName(objectName.coordinator(job)) as never;

export const subtaskOf = (job: JobId, task: TaskId): SubtaskApi =>
  env.SUBTASK.getByName(objectName.subtask(job, task)) as never;

export const partitionOf = (topic: string, partition: number): TopicPartitionApi =>
  env.TOPIC_PARTITION.getByName(objectName.topicPartition(topic, partition)) as never;

/** Takes the object's memory and keeps its storage; calls in progress fail. */
async function kill(stub: DurableObjectStub): Promise<void> {
  await runInDurableObject(stub, (_, state) => state.abort("killed by the test")).catch(() => {});
}

export const killCoordinator = (job: JobId): Promise<void> =>
  kill(env.COORDINATOR.getByName(objectName.coordinator(job)));

export const killSubtask = (job: JobId, task: TaskId): Promise<void> =>
  kill(env.SUBTASK.getByName(objectName.subtask(job, task)));

export const killPartition = (topic: string, partition: number): Promise<void> =>
  kill(env.TOPIC_PARTITION.getByName(objectName.topicPartition(topic, partition)));

export const killDispatcher = (): Promise<void> =>
  kill(env.DISPATCHER.getByName(objectName.dispatcher()));

// ---- Jobs

interface CheckpointEntry {
  readonly id: CheckpointId;
  readonly status: "COMPLETED" | "FAILED" | "IN_PROGRESS";
  readonly external_path?: string;
  readonly failure_message?: string;
  readonly num_subtasks: number;
  readonly num_acknowledged_subtasks: number;
}

interface CheckpointStatistics {
  readonly counts: Readonly<
    Record<"completed" | "failed" | "in_progress" | "restored" | "total", number>
  >;
  readonly latest: {
    readonly completed: CheckpointEntry | null;
    readonly failed: CheckpointEntry | null;
    readonly restored: { readonly id: CheckpointId } | null;
  };
  readonly history: readonly CheckpointEntry[];
}

/** One run of a program. */
export class TestJob {
  readonly id: JobId;

  constructor(id: JobId) {
    this.id = id;
  }

  /** Facts that Flink's API has no place for, such as the attempt, are in here. */
  async details(): Promise<JobDetails> {
    const details = await coordinatorOf(this.id).details();
    if (details === undefined) throw new Error(`Job ${this.id} was not submitted.`);
    return details;
  }

  /** How often the coordinator lost its memory and was constructed again. */
  reloads(): number {
    return constructions(objectName.coordinator(this.id)) - 1;
  }

  async state(): Promise<string> {
    return (await json<{ state: string }>(await call(`/jobs/${this.id}`))).state;
  }

  async attempt(): Promise<number> {
    return (await this.details()).attempt;
  }

  async tasks(): Promise<TaskId[]> {
    return tasksOf((await this.details()).plan);
  }

  /** Every subtask as `uid/index`, by the uid of the first operator of its vertex. */
  async titles(): Promise<string[]> {
    return [...(await this.#byTitle()).keys()].sort();
  }

  async task(title: string): Promise<TaskId> {
    const task = (await this.#byTitle()).get(title);
    if (task === undefined) throw new Error(`The job has no subtask ${title}.`);
    return task;
  }

  async #byTitle(): Promise<ReadonlyMap<string, TaskId>> {
    const { plan } = await this.details();
    const uidOf = new Map(plan.vertices.map(({ id, operators }) => [id, operators[0] ?? id]));
    return new Map(
      tasksOf(plan).map((task) => [`${uidOf.get(task.vertex)}/${task.index}`, task] as const),
    );
  }

  async checkpoints(): Promise<CheckpointStatistics> {
    return json(await call(`/jobs/${this.id}/checkpoints`));
  }

  async running(attempt = 1): Promise<void> {
    await until(`attempt ${attempt} of the job runs`, async () => {
      const { summary, attempt: current } = await this.details();
      return current >= attempt && summary.phase === "RUNNING";
    });
  }

  /** Waits for checkpoints that were triggered from now on. */
  async completes(checkpoints = 1): Promise<CheckpointStatistics> {
    const { history } = await this.checkpoints();
    const next = Math.max(0, ...history.map(({ id }) => id)) + checkpoints;
    return until(`checkpoint ${next} completes`, async () => {
      const statistics = await this.checkpoints();
      return (statistics.latest.completed?.id ?? 0) >= next && statistics;
    });
  }

  /** All rows, in the order of their keys; undefined while there is nothing to read. */
  async rows<Row extends { readonly key: string }>(
    table: string,
    read: "committed" | "latest" = "committed",
  ): Promise<Row[] | undefined> {
    const response = await call(`/jobs/${this.id}/tables/${table}?read=${read}`);
    if (response.status === 503) return undefined;
    const { rows } = await json<{ rows: Row[] }>(response);
    return rows.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** The table becomes `expected`, and stays so over two more checkpoints. */
  async settlesAt(table: string, expected: readonly unknown[]): Promise<void> {
    await becomes(() => this.rows(table), expected);
    await this.completes(2);
    equals(await until("the table is served", () => this.rows(table)), expected);
  }

  async cancel(): Promise<void> {
    const response = await call(`/jobs/${this.id}?mode=cancel`, { method: "PATCH" });
    if (response.status !== 202) throw new Error(`Cancelling answered ${response.status}.`);
    await until("the job is cancelled", async () => (await this.state()) === "CANCELED");
  }

  /** Keys of the bucket that belong to this job. */
  async files(): Promise<string[]> {
    const { objects } = await env.BUCKET.list({ prefix: jobPrefix(this.id) });
    return objects.map(({ key }) => key).sort();
  }

  /** The bucket comes to hold what the last completed checkpoint needs, and nothing else. */
  async keepsOnlyWhatItNeeds(): Promise<void> {
    const difference = async (): Promise<object | undefined> => {
      const { latest } = await this.checkpoints();
      const path = latest.completed?.external_path ?? "";
      const outcome = await loadManifest(env.BUCKET, path);
      // Overtaken while it was asked for.
      if (outcome.kind === "failed") return undefined;
      const needed = new Set([path, ...manifestFiles(outcome.manifest)]);
      const files = new Set(await this.files());
      return { missing: [...needed.difference(files)], orphans: [...files.difference(needed)] };
    };
    await becomes(difference, { missing: [], orphans: [] }, 5_000);
  }
}

export async function run(
  program: string,
  flinkConfiguration: Readonly<Record<string, string>> = {},
): Promise<TestJob> {
  const jobId = jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
  const body = JSON.stringify({ jobId, flinkConfiguration });
  await json(await call(`/jars/${program}/run`, { method: "POST", body }));
  return new TestJob(jobId);
}

// ---- Records

export interface Streaming {
  readonly job: TestJob;
  readonly producer: Producer;
  /** Ends the stream; resolves when all of it is accepted. */
  readonly stop: () => Promise<void>;
}

/** Settings under which every state is a file and any number of checkpoints may fail. */
export const stateInFiles = {
  "execution.checkpointing.data-inline-threshold": "0",
  "execution.checkpointing.tolerable-failed-checkpoints": "1000",
};

/** The same but for offsets: every source takes them from all, and nobody holds them for another. */
export const keyedStateInFiles = {
  ...stateInFiles,
  "execution.checkpointing.data-inline-threshold": "500 b",
};

/** A counting job in mid-stream, with completed checkpoints behind it. Ends with the test. */
export async function streaming(
  flinkConfiguration: Readonly<Record<string, string>> = {},
  { checkpoints = 2 } = {},
): Promise<Streaming> {
  const program = unusedCopy();
  const producer = new Producer(program);
  const job = await run(program, flinkConfiguration);
  await job.running();
  const stop = producer.stream();
  onTestFinished(async () => {
    await stop();
    await call(`/jobs/${job.id}?mode=cancel`, { method: "PATCH" });
  });
  if (checkpoints > 0) await job.completes(checkpoints);
  return { job, producer, stop };
}

/** Sends records and keeps what their tally must be. */
export class Producer {
  readonly topic: string;
  readonly #tallies = new Map<string, Tally>();
  #sent = 0;
  #requests = 0;

  constructor(topic: string) {
    this.topic = topic;
  }

  get sent(): number {
    return this.#sent;
  }

  /** The tally of everything that was sent, in the order of the keys. */
  get expected(): Tally[] {
    return [...this.#tallies.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** One request, repeated under its key until it is accepted. */
  async send(records = 20): Promise<void> {
    const events = Array.from({ length: records }, () => this.#next());
    const init = {
      method: "POST",
      body: JSON.stringify(events),
      headers: { "Idempotency-Key": `request-${this.#requests++}` },
    };
    await until("the records are accepted", async () => {
      const response = await call(`/topics/${this.topic}/records`, init);
      if (response.status === 503) return false;
      await json(response);
      return true;
    });
  }

  /** Sends without a pause until the returned function is called and its promise has resolved. */
  stream(): () => Promise<void> {
    let isStopped = false;
    const sending = (async () => {
      while (!isStopped) {
        await this.send();
        await scheduler.wait(2);
      }
    })();
    return async () => {
      isStopped = true;
      await sending;
    };
  }

  #next(): Event {
    const n = ++this.#sent;
    const key = `key-${(n * 7) % 23}`;
    const { rows, sum, squares } = this.#tallies.get(key) ?? { rows: 0, sum: 0, squares: 0 };
    this.#tallies.set(key, { key, rows: rows + 1, sum: sum + n, squares: squares + n ** 2 });
    return { key, n };
  }
}
