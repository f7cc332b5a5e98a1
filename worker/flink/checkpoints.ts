// Single checkpoints and how they are configured, in the words of Flink's REST API. The overview of
// all is in `flink-json.ts`.

import type { CheckpointConfig, JobConfig } from "../../format/config.ts";
import type { AckRecord, CheckpointOverview, CheckpointRecord } from "../../format/job-status.ts";
import type { VertexPlan } from "../../format/plan.ts";
import type {
  Checkpoint,
  CheckpointConfigInfo,
  CheckpointOfVertex,
} from "../contract/flink-schemas.ts";
import { checkpointStatistics, notKnown, statistics, taskCheckpoint } from "../flink-json.ts";

/** Flink's largest long, by which it says that there are no periodic checkpoints. As a double it is one more, and its dashboard compares doubles. */
const never = 2 ** 63;

/** `GET /jobs/:jobid/checkpoints/config`. */
export function checkpointConfigInfo({ checkpointing, state }: JobConfig): CheckpointConfigInfo {
  const { mode, interval = never, retention } = checkpointing;
  return {
    mode: mode === "EXACTLY_ONCE" ? "exactly_once" : "at_least_once",
    interval,
    timeout: checkpointing.timeout,
    min_pause: checkpointing.minPause,
    max_concurrent: checkpointing.maxConcurrent,
    externalization: {
      enabled: retention !== "NO_EXTERNALIZED_CHECKPOINTS",
      delete_on_cancellation: retention !== "RETAIN_ON_CANCELLATION",
    },
    state_backend: state.backend,
    checkpoint_storage: checkpointing.storage,
    unaligned_checkpoints: checkpointing.unaligned,
    tolerable_failed_checkpoints: checkpointing.tolerableFailures,
    aligned_checkpoint_timeout: checkpointing.alignedTimeout,
    checkpoints_after_tasks_finish: true,
    state_changelog_enabled: false,
    changelog_periodic_materialization_interval: 0,
    changelog_storage: null,
  };
}

/** The checkpoint, where the job still remembers it. */
export const checkpointIn = (
  { history, latest }: CheckpointOverview,
  id: number,
): CheckpointRecord | undefined =>
  [...history, latest.completed, latest.savepoint, latest.failed].find(
    (record) => record?.id === id,
  );

const partOf = (checkpoint: CheckpointRecord, { id }: VertexPlan): CheckpointRecord => ({
  ...checkpoint,
  acks: checkpoint.acks.filter(({ task }) => task.vertex === id),
});

/** `GET …/checkpoints/details/:checkpointid`, with every vertex of the job. */
export const checkpointDetails = (
  checkpoint: CheckpointRecord,
  overview: CheckpointOverview,
): Checkpoint => ({
  ...checkpointStatistics(checkpoint, overview),
  tasks: Object.fromEntries(
    overview.plan.vertices.map((vertex) => [
      vertex.id,
      taskCheckpoint(partOf(checkpoint, vertex), vertex.parallelism),
    ]),
  ),
});

/** `GET …/checkpoints/details/:checkpointid/subtasks/:vertexid`. */
export function checkpointOfVertex(
  checkpoint: CheckpointRecord,
  vertex: VertexPlan,
  { config }: CheckpointOverview,
): CheckpointOfVertex {
  const part = partOf(checkpoint, vertex);
  const { acks } = part;
  const over = (value: (ack: AckRecord) => number) => statistics(acks.map(value));
  const none = statistics([]);
  const byIndex = new Map(acks.map((ack) => [ack.task.index, ack]));
  return {
    ...taskCheckpoint(part, vertex.parallelism),
    summary: {
      checkpointed_size: over(({ metrics }) => metrics.bytes),
      state_size: over(({ metrics }) => metrics.stateBytes),
      end_to_end_duration: over((ack) => sinceTrigger(ack, checkpoint)),
      checkpoint_duration: {
        sync: over(({ metrics }) => metrics.syncDuration),
        async: over(({ metrics }) => metrics.asyncDuration),
      },
      alignment: {
        buffered: none,
        processed: none,
        persisted: none,
        duration: over(({ metrics }) => metrics.alignment),
      },
      start_delay: none,
    },
    subtasks: Array.from({ length: vertex.parallelism }, (_, index) => {
      const ack = byIndex.get(index);
      return ack === undefined
        ? { className: "pending", index, status: "pending_or_failed" }
        : completedSubtask(ack, checkpoint, config.checkpointing);
    }),
  };
}

const sinceTrigger = ({ at }: AckRecord, { triggered }: CheckpointRecord): number =>
  Math.max(0, at - triggered);

const completedSubtask = (
  ack: AckRecord,
  checkpoint: CheckpointRecord,
  { unaligned, alignedTimeout }: CheckpointConfig,
): CheckpointOfVertex["subtasks"][number] => ({
  className: "completed",
  index: ack.task.index,
  status: "completed",
  ack_timestamp: ack.at,
  end_to_end_duration: sinceTrigger(ack, checkpoint),
  checkpointed_size: ack.metrics.bytes,
  state_size: ack.metrics.stateBytes,
  checkpoint: { sync: ack.metrics.syncDuration, async: ack.metrics.asyncDuration },
  alignment: {
    buffered: 0,
    processed: notKnown,
    persisted: notKnown,
    duration: ack.metrics.alignment,
  },
  start_delay: notKnown,
  // Of those that begin aligned nobody is told which of them switched.
  unaligned_checkpoint: unaligned && alignedTimeout === 0 && checkpoint.isSavepoint !== true,
  aborted: false,
});
