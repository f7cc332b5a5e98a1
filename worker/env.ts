// What the Worker needs bound, and the objects behind it as the calls they answer.

import type { JobId, TaskId } from "../format/ids.ts";
import { objectName } from "../format/ids.ts";
import type { CoordinatorJobApi, DispatcherApi } from "../format/job-status.ts";
import type { SubtaskApi, TopicPartitionApi } from "../format/messages.ts";

/** Durable Objects of one class, by name. Every call gets a new stub: one that threw is dead. */
interface Objects<Api> {
  getByName(name: string): Api;
}

/** The bindings of `wrangler.toml` that the routes use; the objects have theirs. */
export interface Env {
  readonly DISPATCHER: Objects<DispatcherApi>;
  readonly COORDINATOR: Objects<CoordinatorJobApi>;
  readonly SUBTASK: Objects<SubtaskApi>;
  readonly TOPIC_PARTITION: Objects<TopicPartitionApi>;
}

export const dispatcher = (env: Env): DispatcherApi =>
  env.DISPATCHER.getByName(objectName.dispatcher());

export const coordinator = (env: Env, job: JobId): CoordinatorJobApi =>
  env.COORDINATOR.getByName(objectName.coordinator(job));

export const subtask = (env: Env, job: JobId, task: TaskId): SubtaskApi =>
  env.SUBTASK.getByName(objectName.subtask(job, task));

export const topicPartition = (env: Env, topic: string, partition: number): TopicPartitionApi =>
  env.TOPIC_PARTITION.getByName(objectName.topicPartition(topic, partition));
