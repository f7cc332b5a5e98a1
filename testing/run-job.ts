// A whole job in this process: the same cores as in production, under virtual time, on topics in memory.
// What happens when, between the rows and the steps of a test, is drawn from a seed: how rows are
// batched, which subtask goes on, when checkpoints are taken and what a crash loses.
//   J1. The same job, inputs and seed give the same run.
//   J2. A run ends when everything that was given is processed, sources with an end are there, and nothing is
//       due by the clock; then event time ends, unless it is not to.
//   J3. Functions that answer later are called and awaited. What is not there within 50 ms by
//       the real clock, while nothing else can happen, is late by the virtual one.

import type { JobDefinition } from "../stream/job.ts";
import { shown } from "../stream/names.ts";
import type { Topic } from "../stream/topic.ts";
import { decodeRows } from "../format/batch.ts";
import { keyGroupOf } from "../format/key-groups.ts";
import type { Manifest } from "../format/manifest.ts";
import { Prng } from "../sim/prng.ts";
import { Cluster, World } from "./cluster.ts";
import {
  checkedOptions,
  checkInputs,
  type Inputs,
  paced,
  partOf,
  type RunOptions,
  type Sources,
  sourcesOf,
} from "./inputs.ts";
import { type AnyStep, stepOf } from "./steps.ts";

/** What came of a run. */
export interface JobRun {
  /** The rows of each table, in no order. */
  readonly tables: Readonly<Record<string, readonly unknown[]>>;
  /** The rows of one table, in no order. Throws where the job has none of that name. */
  table<R>(name: string): R[];
  /** What the job itself has written to a topic, such as dead letters, in order by partition. */
  topic<R>(name: string): R[];
  /** Checkpoints that were completed, and attempts that were begun. */
  readonly checkpoints: number;
  readonly attempts: number;
}

/** Rows that come at once at most. */
const burst = 20;

/**
 * Runs a job on rows, without a runtime, and gives its tables. A job that fails throws what its
 * coordinator would report.
 *
 * @example
 * test("counts exactly once", async () => {
 *   const { table } = await runJob(byOrigin, {
 *     flights: [{ origin: "BOS", delay: 3 }, crash(), { origin: "BOS", delay: 5 }],
 *   });
 *   expect(table("by-origin")).toEqual([{ key: "BOS", flights: 2, worst: 5 }]);
 * });
 */
export async function runJob(
  job: JobDefinition,
  inputs: Inputs,
  options: RunOptions = {},
): Promise<JobRun> {
  checkInputs(job, sourcesOf(job), inputs);
  const run = new Run(paced(job, inputs), checkedOptions(job, options));
  const queues = Object.entries(inputs).map(([name, given]) => ({ name, given, at: 0 }));
  for (let left = queues.some(({ given }) => given.length > 0); left;) {
    left = false;
    for (const queue of queues) {
      if (queue.at === queue.given.length) continue;
      left = true;
      const given = queue.given[queue.at++];
      const step = stepOf(given);
      if (step === undefined) {
        await run.row(queue.name, given);
        continue;
      }
      await run.part(queue.name, queue.given.length);
      await run.step(step);
    }
  }
  return run.end();
}

class Run {
  readonly #job: JobDefinition;
  readonly #sources: Sources;
  readonly #world = new World();
  readonly #prng: Prng;
  readonly #checkpointsPerRow: number;
  readonly #drains: boolean;
  #parallelism: number;
  #cluster: Cluster;
  #latest: Manifest | undefined;
  #checkpoints = 0;
  /** Rows that have not been appended, by topic and partition. */
  readonly #pending = new Map<string, { topic: string; partition: number; rows: unknown[] }>();
  #turn = 0;

  constructor(
    job: JobDefinition,
    { seed, parallelism, checkpointsPerRow, drain, now }: Required<RunOptions>,
  ) {
    this.#job = job;
    this.#sources = sourcesOf(job);
    this.#prng = new Prng(seed);
    this.#checkpointsPerRow = checkpointsPerRow;
    this.#drains = drain;
    this.#parallelism = parallelism;
    this.#world.now = now;
    this.#cluster = this.#started();
  }

  async row(topic: string, row: unknown): Promise<void> {
    const partition = this.#partitionOf(this.#sources.topics.get(topic)!, row);
    const place = `${topic} ${partition}`;
    const pending = this.#pending.get(place) ?? { topic, partition, rows: [] };
    this.#pending.set(place, pending);
    pending.rows.push(row);
    if (pending.rows.length >= burst || this.#prng.chance(1 / burst)) await this.#append();
    if (this.#prng.chance(this.#checkpointsPerRow)) await this.#checkpoint();
  }

  /** What a source makes itself between two of its steps; nothing of a topic. */
  async part(name: string, steps: number): Promise<void> {
    const generator = this.#sources.topics.has(name)
      ? undefined
      : this.#sources.generators.get(name);
    if (generator === undefined) return;
    const slices = 10;
    const span = Math.ceil(partOf(generator, steps) / slices);
    const rows = generator.rows / (steps + 1) / slices;
    for (let slice = 0; slice < slices && span > 0; slice++) {
      await this.#cluster.passed(span);
      if (this.#prng.chance(this.#checkpointsPerRow * rows)) await this.#checkpoint();
    }
  }

  async step(step: AnyStep): Promise<void> {
    await this.#append();
    switch (step.kind) {
      case "checkpoint":
        return this.#checkpoint();
      case "crash":
        return this.#restart();
      case "rescale":
        await this.#checkpoint({ isAligned: true });
        this.#parallelism = step.parallelism;
        return this.#restart();
      case "wait":
        await this.#flush();
        await this.#cluster.passed(step.millis);
        return;
      default:
        step satisfies never;
    }
  }

  async end(): Promise<JobRun> {
    await this.#append();
    await this.#flush();
    const cluster = this.#cluster;
    if (this.#drains) cluster.unaligned();
    await this.#finish();
    if (this.#drains) {
      await this.#flush();
      const savepoint = { folder: "end", stops: true, drains: true } as const;
      cluster.complete(await cluster.checkpointed({ savepoint }));
    }
    const names = this.#job.graph.nodes.flatMap(({ spec }) =>
      spec.kind === "sink" ? [spec.table.name] : [],
    );
    const tables = Object.fromEntries(names.map((name) => [name, cluster.table(name)]));
    return {
      tables,
      table<R>(name: string) {
        if (Object.hasOwn(tables, name)) return tables[name] as R[];
        throw new RangeError(`The job has no table ${shown(name)}, but ${names.join(", ")}.`);
      },
      topic: <R>(name: string) =>
        this.#world.topic(name).flatMap(({ bytes }) => decodeRows(bytes)) as R[],
      checkpoints: this.#checkpoints,
      attempts: this.#world.attempts,
    };
  }

  #started(): Cluster {
    return new Cluster(this.#world, {
      definition: this.#job,
      parallelism: this.#parallelism,
      seed: 1 + this.#prng.below(1_000_000),
      ...(this.#latest && { restore: this.#latest }),
    });
  }

  #restart(): void {
    this.#cluster.stop();
    this.#cluster = this.#started();
  }

  /** What waits in buffers for more rows is sent, and calls are answered. */
  async #flush(): Promise<void> {
    const { bufferTimeout } = this.#job.graph.config;
    await this.#cluster.answered((this.#cluster.plan.edges.length + 1) * (bufferTimeout + 1));
  }

  /** Sources with an end and a pace make the rest of their rows, in no more time than all of them take. */
  async #finish(): Promise<void> {
    const cluster = this.#cluster;
    for (const [uid, { rows, rowsPerSecond = Infinity }] of this.#sources.generators) {
      if (rows === Infinity || rowsPerSecond === Infinity) continue;
      // One subtask may have all rows, at its part of the pace.
      let left = (cluster.subtasksOf(uid).length * rows * 1_000) / rowsPerSecond + 1_000;
      for (; left > 0 && !cluster.hasEnded(uid); left -= 1_000) await cluster.passed(1_000);
    }
  }

  async #append(): Promise<void> {
    for (const { topic, partition, rows } of this.#pending.values()) {
      this.#world.append(topic, partition, rows);
    }
    this.#pending.clear();
    await this.#cluster.ran(this.#prng.below(40));
  }

  async #checkpoint(options: { readonly isAligned?: boolean } = {}): Promise<void> {
    this.#latest = await this.#cluster.checkpointed(options);
    this.#checkpoints++;
    this.#cluster.complete(this.#latest);
  }

  #partitionOf({ key, partitions }: Topic<unknown>, row: unknown): number {
    if (key === undefined) return this.#turn++ % partitions;
    return keyGroupOf(key(row as never), partitions);
  }
}
