// What the parts of one simulated deployment know of each other.

import type { TaskId } from "../format/ids.ts";
import type { JobDefinition } from "../stream/job.ts";
import type { Bucket } from "./bucket.ts";
import type { Checks } from "./checks.ts";
import type { CoordinatorHost } from "./coordinator.ts";
import type { SubtaskHost } from "./subtask.ts";
import type { Topics } from "./topics.ts";

export interface Deployment {
  readonly definition: JobDefinition;
  readonly bucket: Bucket;
  readonly topics: Topics;
  readonly coordinator: CoordinatorHost;
  readonly checks: Checks;
  subtask(task: TaskId): SubtaskHost;
}
