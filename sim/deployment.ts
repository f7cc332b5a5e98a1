// What the parts of one simulated deployment know of each other, and what is seen of them from outside.

import type { JobRecord } from "../coordinator/job-record.ts";
import type { Attempt, JobId, TaskId } from "../format/ids.ts";
import type { CheckpointAck, TaskDeployment } from "../format/messages.ts";
import type { JobDefinition } from "../stream/job.ts";
import type { Bucket, BucketWatch } from "./bucket.ts";
import type { CoordinatorHost } from "./coordinator.ts";
import type { Platform } from "./platform.ts";
import type { SubtaskHost } from "./subtask.ts";
import type { Topics } from "./topics.ts";

/** Told of whatever shows outside the cores. */
export interface Observer extends BucketWatch {
  /** A job's record has become durable. */
  recorded(record: JobRecord): void;
  /** An acknowledgement is about to leave its subtask. */
  acknowledging(ack: CheckpointAck): void;
  /** A reader found nothing under a name that the attempt's checkpoint holds. */
  missing(path: string, attempt: Attempt): void;
}

/** How a service answers that the program makes calls to. Once nothing goes wrong any more it always does. */
export interface Service {
  /** Milliseconds that an answer takes at most. */
  readonly slowest: number;
  /** Of calls: those that fail, and those that are never answered. */
  readonly fails: number;
  readonly forgets: number;
}

export interface Deployment {
  readonly id: JobId;
  readonly platform: Platform;
  readonly definition: JobDefinition;
  /** Milliseconds for which a subtask does nothing else, per row, by an operator of its chain. */
  readonly rowCost: Readonly<Record<string, number>>;
  readonly service: Service | undefined;
  readonly bucket: Bucket;
  readonly topics: Topics;
  readonly coordinator: CoordinatorHost;
  readonly checks: Observer;
  subtask(task: TaskId): SubtaskHost;
  readonly refusalOf: (deployment: TaskDeployment) => string | undefined;
}
