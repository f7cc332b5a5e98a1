// A job whose coordinator is the test: it deploys, triggers, completes and lets rest by hand, so what
// each subtask is told, and when, is exact. Its coordinator object knows of no job and does nothing;
// what subtasks tell it is `seen`.

import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { onTestFinished } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { decodeRows } from "../../format/batch.ts";
import type { JobConfig } from "../../format/config.ts";
import {
  type Attempt,
  attempt as attemptOf,
  type CheckpointId,
  checkpointId,
  jobIdFrom,
  objectName,
  type TaskId,
} from "../../format/ids.ts";
import type { HeartbeatOutcome, RestOutcome, SubtaskApi } from "../../format/messages.ts";
import { type ExecutionPlan, sourceTasksOf, tasksOf } from "../../format/plan.ts";
import type { TaskStateHandle } from "../../format/state-handle.ts";
import { seen } from "./faults.ts";
import { subtaskOf, until } from "./harness.ts";
import { programs, type Tally } from "./programs.ts";

export class HandJob {
  readonly id = jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
  readonly topic: string;
  readonly plan: ExecutionPlan;
  readonly config: JobConfig;
  attempt: Attempt = attemptOf(1);
  #checkpoint = 0;

  constructor(program: string, config: (of: JobConfig) => JobConfig = (of) => of) {
    const { graph } = programs.find(({ name }) => name === program)!;
    this.topic = program;
    this.config = config(graph.config);
    this.plan = planOf(graph, this.config);
    onTestFinished(async () => {
      await Promise.all(this.tasks.map((task) => this.subtask(task).cancel(attemptOf(1_000))));
    });
  }

  get tasks(): TaskId[] {
    return tasksOf(this.plan);
  }

  /** By the uid of the first operator of its vertex. */
  task(uid: string, index = 0): TaskId {
    return { vertex: this.plan.vertices.find(({ operators }) => operators[0] === uid)!.id, index };
  }

  name(task: TaskId): string {
    return objectName.subtask(this.id, task);
  }

  subtask(task: TaskId): SubtaskApi {
    return subtaskOf(this.id, task);
  }

  async deploy(restore?: {
    checkpoint: CheckpointId;
    stateOf: (task: TaskId) => TaskStateHandle;
  }): Promise<void> {
    const { id: job, attempt, plan, config } = this;
    const outcomes = await Promise.all(
      this.tasks.map((task) => {
        const states = tasksOf(plan).filter(({ vertex }) => vertex === task.vertex);
        const restored = restore && {
          restore: { checkpoint: restore.checkpoint, states: states.map(restore.stateOf) },
        };
        const deployment = { job, attempt, task, plan, config, ...restored };
        return this.subtask(task).deploy(deployment);
      }),
    );
    const other = outcomes.find(({ kind }) => kind !== "deployed");
    if (other !== undefined) throw new Error(`Deployed: ${JSON.stringify(other)}`);
    await Promise.all(this.tasks.map((task) => this.subtask(task).start(attempt)));
  }

  /** Triggers the next checkpoint at the sources. */
  async trigger(): Promise<CheckpointId> {
    const id = checkpointId(++this.#checkpoint);
    await Promise.all(
      sourceTasksOf(this.plan).map((task) =>
        this.subtask(task).triggerCheckpoint(this.attempt, id),
      ),
    );
    return id;
  }

  /** One checkpoint, from the trigger to the notification of its completion. */
  async checkpoint(): Promise<{
    readonly id: CheckpointId;
    readonly stateOf: (task: TaskId) => TaskStateHandle;
  }> {
    const from = seen.acks.length;
    const id = await this.trigger();
    const acks = await until(`checkpoint ${id} is acknowledged by all`, () => {
      const own = seen.acks.slice(from).filter((ack) => ack.checkpoint === id);
      return own.length === this.tasks.length && own;
    });
    await Promise.all(
      this.tasks.map((task) => this.subtask(task).notifyComplete(this.attempt, id)),
    );
    const states = new Map(acks.map((ack) => [this.name(ack.task), ack.state]));
    return { id, stateOf: (task) => states.get(this.name(task))! };
  }

  heartbeat(task: TaskId): Promise<HeartbeatOutcome> {
    return this.subtask(task).heartbeat(this.attempt);
  }

  /** Waits until nothing is under way anywhere: sources notice after an empty read. */
  async idles(): Promise<void> {
    await until("every subtask is idle", async () => {
      const outcomes = await Promise.all(this.tasks.map((task) => this.heartbeat(task)));
      return outcomes.every((outcome) => outcome.kind === "ok" && outcome.activity.isIdle);
    });
  }

  async rest(checkpoint: CheckpointId): Promise<RestOutcome["kind"][]> {
    const outcomes = await Promise.all(
      this.tasks.map((task) => this.subtask(task).rest(this.attempt, checkpoint)),
    );
    return outcomes.map(({ kind }) => kind);
  }

  /** A last checkpoint, and everybody rests. */
  async comesToRest(): Promise<CheckpointId> {
    await this.idles();
    const { id } = await this.checkpoint();
    await this.idles();
    const outcomes = await this.rest(id);
    if (outcomes.some((kind) => kind !== "resting")) throw new Error(`Rest: ${outcomes.join()}`);
    return id;
  }

  /** Ends every object as the platform does when nobody needs it; refused where a session is held. */
  async evict(): Promise<void> {
    const stubs = [
      ...this.tasks.map((task) => env.SUBTASK.getByName(this.name(task))),
      ...this.partitions.map((name) => env.TOPIC_PARTITION.getByName(name)),
    ];
    await Promise.all(
      stubs.map((stub) =>
        evictDurableObject(stub).catch((error: unknown) => {
          if (!/not currently running/.test(String(error))) throw error;
        }),
      ),
    );
  }

  get partitions(): string[] {
    return this.plan.vertices.flatMap(({ source }) =>
      Array.from({ length: source?.partitions ?? 0 }, (_, partition) =>
        objectName.topicPartition(source!.topic, partition),
      ),
    );
  }

  /** All rows of the tally, in the order of their keys. */
  rows(read: "committed" | "latest"): Promise<Tally[]> {
    return this.table("tallies", read);
  }

  async table<Row extends { readonly key: string }>(
    table: string,
    read: "committed" | "latest",
  ): Promise<Row[]> {
    const parts = await Promise.all(
      this.tasks.map(async (task) => {
        const answer = await this.subtask(task).readTable({ table, read });
        return answer.kind === "rows" ? (decodeRows(answer.rows) as Row[]) : [];
      }),
    );
    return parts.flat().sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Rows of the image in the object's storage. */
  async imageRows(task: TaskId): Promise<number> {
    const stub = env.SUBTASK.getByName(this.name(task));
    return runInDurableObject(stub, (_, { storage }) =>
      Number(storage.sql.exec("SELECT count(*) AS n FROM image").one()["n"]),
    );
  }
}
