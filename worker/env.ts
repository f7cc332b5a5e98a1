// What the Worker needs bound, and the objects behind it as the calls they answer.

import type { ManifestBucket } from "../coordinator/load-manifest.ts";
import type { JobId, TaskId } from "../format/ids.ts";
import { objectName } from "../format/ids.ts";
import type { CoordinatorJobApi, DispatcherApi } from "../format/job-status.ts";
import type { SubtaskApi, TopicPartitionApi } from "../format/messages.ts";
import type { WritableBucket } from "../snapshot/shell/import.ts";
import type { ListedBucket } from "../snapshot/shell/savepoints.ts";

/** Durable Objects of one class, by name. Every call gets a new stub: one that threw is dead. */
interface Objects<Api> {
  getByName(name: string): Api;
}

/** A [rate limiting binding](https://developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit/). */
interface RateLimiter {
  limit(options: { readonly key: string }): Promise<{ readonly success: boolean }>;
}

/** The bindings of `wrangler.toml` that the routes use; the objects have theirs. Tokens are secrets
 * whose names begin with `TIDEMARK_TOKENS` (`access/tokens.ts`). */
export interface Env {
  readonly DISPATCHER: Objects<DispatcherApi>;
  readonly COORDINATOR: Objects<CoordinatorJobApi>;
  readonly SUBTASK: Objects<SubtaskApi>;
  readonly TOPIC_PARTITION: Objects<TopicPartitionApi>;
  /** Where checkpoints and savepoints are. */
  readonly BUCKET: ManifestBucket & ListedBucket & WritableBucket;
  /** Of requests by one token; without it there is no limit. */
  readonly RATE_LIMIT?: RateLimiter;
  /** Makes a runtime a local one that needs no tokens (`access/local.ts`); never of a deployment. */
  readonly TIDEMARK_LOCAL?: string;
  /** Origins whose web pages may call, separated by commas; without it there are none. */
  readonly TIDEMARK_CORS_ORIGINS?: string;
}

export const dispatcher = (env: Env): DispatcherApi =>
  env.DISPATCHER.getByName(objectName.dispatcher());

export const coordinator = (env: Env, job: JobId): CoordinatorJobApi =>
  env.COORDINATOR.getByName(objectName.coordinator(job));

export const subtask = (env: Env, job: JobId, task: TaskId): SubtaskApi =>
  env.SUBTASK.getByName(objectName.subtask(job, task));

export const topicPartition = (env: Env, topic: string, partition: number): TopicPartitionApi =>
  env.TOPIC_PARTITION.getByName(objectName.topicPartition(topic, partition));
