// Flink's answers as schemas, under Flink's names. `test/workerd/flink-rest.test.ts` holds them, and
// what is served under them, against Flink's own description.

import * as z from "zod";

import type { JobId } from "../../format/ids.ts";
import { jobStatuses, taskPhases } from "../../format/job-status.ts";
import { named } from "./named.ts";

/** What is counted and never negative, and what is -1 where it is not known, look the same. */
const int = z.number();
const hex32 = z.string().regex(/^[0-9a-f]{32}$/, "must be 32 lower-case hex digits");

// ---- Parts of requests

export const jobId = named("JobID", hex32.clone()).transform((text) => text as JobId);
const vertexId = named("JobVertexID", hex32.clone());
const index = z
  .string()
  .regex(/^\d{1,9}$/, "must be a whole number of at least 0")
  .transform(Number);

const triggerId = named("TriggerId", hex32.clone());

export const params = {
  job: z.object({ jobid: jobId }),
  vertex: z.object({ jobid: jobId, vertexid: vertexId }),
  subtask: z.object({ jobid: jobId, vertexid: vertexId, subtaskindex: index }),
  attempt: z.object({ jobid: jobId, vertexid: vertexId, subtaskindex: index, attempt: index }),
  checkpoint: z.object({ jobid: jobId, checkpointid: index }),
  checkpointOfVertex: z.object({ jobid: jobId, checkpointid: index, vertexid: vertexId }),
  operation: z.object({ jobid: jobId, triggerid: triggerId }),
  trigger: z.object({ triggerid: triggerId }),
  taskManager: z.object({ taskmanagerid: hex32 }),
  application: z.object({ applicationid: jobId }),
};

/** Texts separated by commas; none where there is nothing between them. */
const list = z.string().transform((text) => text.split(",").filter((item) => item !== ""));

export const aggregations = ["min", "max", "avg", "sum", "skew"] as const;
export type Aggregation = (typeof aggregations)[number];

const aggregationList = z
  .string()
  .regex(/^(?:(?:min|max|avg|sum|skew)(?:,|$))*$/i, `must list some of ${aggregations.join(", ")}`)
  .transform((text) => {
    const asked = new Set(text.toLowerCase().split(","));
    return aggregations.filter((name) => asked.has(name));
  });

/** `1,3,5-9` as a test for an index. */
const ranges = z
  .string()
  .regex(/^(?:\d{1,9}(?:-\d{1,9})?(?:,|$))*$/, "must be numbers and ranges such as 1,3,5-9")
  .transform((text) => {
    const pairs = text.split(",").map((item) => item.split("-").map(Number));
    return (at: number): boolean =>
      pairs.some(([first = NaN, last = first]) => first <= at && at <= last);
  });

const jobIds = z
  .string()
  .regex(/^(?:[0-9a-f]{32}(?:,|$))*$/, "must list job ids, each of 32 lower-case hex digits")
  .transform((text) => text.split(",").filter((id): id is JobId => id !== ""));

export const queries = {
  metrics: z.object({ get: list.optional() }),
  aggregated: z.object({ get: list.optional(), agg: aggregationList.optional() }),
  aggregatedJobs: z.object({
    get: list.optional(),
    agg: aggregationList.optional(),
    jobs: jobIds.optional(),
  }),
  aggregatedSubtasks: z.object({
    get: list.optional(),
    agg: aggregationList.optional(),
    subtasks: ranges.optional(),
  }),
  termination: z.object({
    mode: z.literal("cancel", "is not supported, allowed: cancel").optional(),
  }),
  exceptions: z.object({ maxExceptions: index.optional() }),
};

// ---- Small parts of answers

const jobStatus = named("JobStatus", z.enum(jobStatuses));
const executionState = named("ExecutionState", z.enum(taskPhases));
const byState = z.record(executionState, int);
const counts = z.record(z.string(), int);
const nothing = named("EmptyResponseBody", z.object({}));

const statistics = named(
  "StatsSummaryDto",
  z.object({
    min: int,
    max: int,
    avg: int,
    p50: int,
    p90: int,
    p95: int,
    p99: int,
    p999: int,
  }),
);
export type Statistics = z.infer<typeof statistics>;

const ioMetrics = named(
  "IOMetricsInfo",
  z.object({
    "read-bytes": int,
    "read-bytes-complete": z.boolean(),
    "write-bytes": int,
    "write-bytes-complete": z.boolean(),
    "read-records": int,
    "read-records-complete": z.boolean(),
    "write-records": int,
    "write-records-complete": z.boolean(),
    // Ours.
    "dropped-records": int,
    "dead-letter-records": int,
    "accumulated-backpressured-time": int,
    "accumulated-idle-time": int,
    "accumulated-busy-time": int,
  }),
);
export type IoMetrics = z.infer<typeof ioMetrics>;

const configuration = named(
  "ConfigurationInfo",
  z.array(z.object({ key: z.string(), value: z.string() })),
);
const environment = named(
  "EnvironmentInfo",
  z.object({
    jvm: z.object({ version: z.string(), arch: z.string(), options: z.array(z.string()) }),
    classpath: z.array(z.string()),
  }),
);
const logList = named(
  "LogListInfo",
  z.object({ logs: z.array(z.object({ name: z.string(), size: int, mtime: int })) }),
);
const threadDump = named(
  "ThreadDumpInfo",
  z.object({
    threadInfos: z.array(z.object({ threadName: z.string(), stringifiedThreadInfo: z.string() })),
  }),
);
const profilings = named("ProfilingInfoList", z.object({ profilingList: z.array(z.never()) }));

const metrics = named(
  "MetricCollectionResponseBody",
  z.array(z.object({ id: z.string(), value: z.string().optional() })),
);
export type MetricCollection = z.infer<typeof metrics>;

const aggregatedMetrics = named(
  "AggregatedMetricsResponseBody",
  z.array(
    z.object({
      id: z.string(),
      min: int.optional(),
      max: int.optional(),
      avg: int.optional(),
      sum: int.optional(),
      skew: int.optional(),
    }),
  ),
);
export type AggregatedMetrics = z.infer<typeof aggregatedMetrics>;

// ---- Jobs

const plan = named(
  "Plan",
  z.object({
    jid: hex32,
    name: z.string(),
    type: z.literal("STREAMING"),
    nodes: z.array(
      z.object({
        id: hex32,
        parallelism: int,
        operator: z.string(),
        operator_strategy: z.string(),
        description: z.string(),
        optimizer_properties: z.object({}),
        inputs: z.array(
          z.object({
            num: int,
            id: hex32,
            ship_strategy: z.string(),
            exchange: z.string(),
            side_output: z.string().optional(),
          }),
        ),
      }),
    ),
  }),
);
export type Plan = z.infer<typeof plan>;

// Ours.
const health = named(
  "JobHealth",
  z.object({
    status: z.enum(["healthy", "late", "idle", "none", "unknown"]),
    "last-checkpoint-age": int.nullable(),
    "late-in": int.nullable(),
  }),
);
export type Health = z.infer<typeof health>;

const jobDetails = named(
  "JobDetails",
  z.object({
    jid: hex32,
    name: z.string(),
    "start-time": int,
    "end-time": int,
    duration: int,
    state: jobStatus,
    "last-modification": int,
    tasks: counts,
    health,
    "pending-operators": int,
    jobType: z.literal("STREAMING"),
    schedulerType: z.literal("Default"),
  }),
);
export type JobOverviewItem = z.infer<typeof jobDetails>;

const jobDetailsInfo = named(
  "JobDetailsInfo",
  z.object({
    jid: hex32,
    name: z.string(),
    "application-id": hex32,
    isStoppable: z.boolean(),
    state: jobStatus,
    "job-type": z.literal("STREAMING"),
    schedulerType: z.literal("Default"),
    "start-time": int,
    "end-time": int,
    duration: int,
    maxParallelism: int,
    now: int,
    timestamps: z.record(jobStatus, int),
    vertices: z.array(
      z.object({
        id: hex32,
        slotSharingGroupId: hex32,
        name: z.string(),
        maxParallelism: int,
        parallelism: int,
        status: executionState,
        "start-time": int,
        "end-time": int,
        duration: int,
        tasks: byState,
        metrics: ioMetrics,
      }),
    ),
    "status-counts": byState,
    plan,
    health,
    "pending-operators": int,
    // Ours.
    attempt: int,
  }),
);
export type JobDetailsInfo = z.infer<typeof jobDetailsInfo>;

const exceptionEntry = z.object({
  timestamp: int,
  exceptionName: z.string(),
  stacktrace: z.string(),
  taskName: z.string().nullable(),
  endpoint: z.string().nullable(),
  taskManagerId: z.string().nullable(),
  failureLabels: z.record(z.string(), z.string()),
  concurrentExceptions: z.array(z.never()),
});
const exceptions = named(
  "JobExceptionsInfoWithHistory",
  z.object({
    exceptionHistory: z.object({ entries: z.array(exceptionEntry), truncated: z.boolean() }),
  }),
);
export type Exceptions = z.infer<typeof exceptions>;

const jobConfig = named(
  "JobConfigInfo",
  z.object({
    jid: hex32,
    name: z.string(),
    "execution-config": z.object({
      "restart-strategy": z.string(),
      "job-parallelism": int,
      "object-reuse-mode": z.boolean(),
      "user-config": z.record(z.string(), z.string()),
    }),
  }),
);
export type JobConfigInfo = z.infer<typeof jobConfig>;

/** Flink's `SerializedThrowable`. */
export const failureCause = z.object({
  class: z.string(),
  "stack-trace": z.string(),
  "serialized-throwable": z.string(),
});

const executionResult = named(
  "JobExecutionResultResponseBody",
  z.object({
    status: z.object({ id: z.enum(["IN_PROGRESS", "COMPLETED"]) }),
    "job-execution-result": z
      .object({
        id: hex32,
        name: z.string(),
        "application-id": hex32,
        "application-status": z.enum(["SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"]),
        "accumulator-results": z.object({}),
        "net-runtime": int,
        "start-time": int,
        "end-time": int,
        "failure-cause": failureCause.optional(),
      })
      .optional(),
  }),
);
export type ExecutionResult = z.infer<typeof executionResult>;

const jobAccumulators = named(
  "JobAccumulatorsInfo",
  z.object({
    "job-accumulators": z.array(z.never()),
    "user-task-accumulators": z.array(z.never()),
    "serialized-user-task-accumulators": z.object({}),
  }),
);

const resourceRequirements = named(
  "JobResourceRequirementsBody",
  z.record(hex32, z.object({ parallelism: z.object({ lowerBound: int, upperBound: int }) })),
);

const rescaleHistory = z.array(
  named(
    "JobRescaleDetails",
    z.object({
      startTimestampInMillis: int,
      /** Absent while it is under way, as are the next two. */
      endTimestampInMillis: int.optional(),
      terminalState: z.enum(["COMPLETED", "FAILED"]).optional(),
      terminatedReason: z.enum(["SUCCEEDED", "EXCEPTION_OCCURRED"]).optional(),
      triggerCause: z.literal("UPDATE_REQUIREMENT"),
      vertices: z.record(
        hex32,
        z.object({
          jobVertexId: hex32,
          jobVertexName: z.string(),
          desiredParallelism: int,
          sufficientParallelism: int,
          preRescaleParallelism: int,
          postRescaleParallelism: int.optional(),
        }),
      ),
      /** Why it failed; not in Flink. */
      message: z.string().optional(),
    }),
  ),
);

// ---- Vertices

const attemptDetails = named(
  "SubtaskExecutionAttemptDetailsInfo",
  z.object({
    subtask: int,
    status: executionState,
    attempt: int,
    endpoint: z.string(),
    "start-time": int,
    start_time: int,
    "end-time": int,
    duration: int,
    metrics: ioMetrics,
    "taskmanager-id": z.string(),
    "status-duration": z.record(
      z.enum(["CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING"]),
      int,
    ),
  }),
);
export type AttemptDetails = z.infer<typeof attemptDetails>;

const vertexDetails = named(
  "JobVertexDetailsInfo",
  z.object({
    id: hex32,
    name: z.string(),
    parallelism: int,
    maxParallelism: int,
    now: int,
    subtasks: z.array(attemptDetails),
  }),
);
export type VertexDetails = z.infer<typeof vertexDetails>;

const subtaskTimes = named(
  "SubtasksTimesInfo",
  z.object({
    id: hex32,
    name: z.string(),
    now: int,
    subtasks: z.array(
      z.object({ subtask: int, endpoint: z.string(), duration: int, timestamps: byState }),
    ),
  }),
);
export type SubtaskTimes = z.infer<typeof subtaskTimes>;

const vertexTaskManagers = named(
  "JobVertexTaskManagersInfo",
  z.object({
    id: hex32,
    name: z.string(),
    now: int,
    taskmanagers: z.array(
      z.object({
        endpoint: z.string(),
        status: executionState,
        "start-time": int,
        "end-time": int,
        duration: int,
        metrics: ioMetrics,
        "status-counts": byState,
        "taskmanager-id": z.string(),
      }),
    ),
  }),
);
export type VertexTaskManagers = z.infer<typeof vertexTaskManagers>;

const accumulators = z.array(z.object({ name: z.string(), type: z.string(), value: z.string() }));
const vertexAccumulators = named(
  "JobVertexAccumulatorsInfo",
  z.object({ id: hex32, "user-accumulators": accumulators }),
);
const subtasksAccumulators = named(
  "SubtasksAllAccumulatorsInfo",
  z.object({
    id: hex32,
    parallelism: int,
    subtasks: z.array(
      z.object({
        subtask: int,
        attempt: int,
        endpoint: z.string(),
        "user-accumulators": accumulators,
      }),
    ),
  }),
);
const attemptAccumulators = named(
  "SubtaskExecutionAttemptAccumulatorsInfo",
  z.object({ subtask: int, attempt: int, id: z.string(), "user-accumulators": accumulators }),
);

const backPressureLevel = z.enum(["ok", "low", "high"]);
const subtaskBackPressure = z.object({
  subtask: int,
  backpressureLevel: backPressureLevel,
  "backpressure-level": backPressureLevel,
  ratio: z.number(),
  // As Flink writes numbers that it does not know.
  idleRatio: z.literal("NaN"),
  busyRatio: z.literal("NaN"),
});
const backPressure = named(
  "JobVertexBackPressureInfo",
  z.object({
    status: z.enum(["ok", "deprecated"]),
    backpressureLevel: backPressureLevel.nullable(),
    "backpressure-level": backPressureLevel.nullable(),
    "end-timestamp": int.nullable(),
    subtasks: z.array(subtaskBackPressure).nullable(),
  }),
);
export type BackPressureLevel = z.infer<typeof backPressureLevel>;
export type VertexBackPressure = z.infer<typeof backPressure>;
const flameGraph = named("VertexFlameGraph", z.object({ data: z.null(), endTimestamp: int }));

// ---- Checkpoints

const taskCheckpoint = z.object({
  id: int,
  status: z.enum(["IN_PROGRESS", "COMPLETED", "FAILED"]),
  latest_ack_timestamp: int,
  checkpointed_size: int,
  state_size: int,
  end_to_end_duration: int,
  alignment_buffered: int,
  processed_data: int,
  persisted_data: int,
  num_subtasks: int,
  num_acknowledged_subtasks: int,
});
export type TaskCheckpoint = z.infer<typeof taskCheckpoint>;

const checkpointCommon = taskCheckpoint.extend({
  is_savepoint: z.boolean(),
  savepointFormat: z.string().nullable(),
  trigger_timestamp: int,
  checkpoint_type: z.enum(["CHECKPOINT", "UNALIGNED_CHECKPOINT", "SAVEPOINT", "SYNC_SAVEPOINT"]),
  tasks: z.record(hex32, named("TaskCheckpointStatistics", taskCheckpoint)),
});
const completedCheckpoint = named(
  "CompletedCheckpointStatistics",
  checkpointCommon.extend({
    className: z.literal("completed"),
    external_path: z.string().nullable(),
    discarded: z.boolean(),
  }),
);
const failedCheckpoint = named(
  "FailedCheckpointStatistics",
  checkpointCommon.extend({
    className: z.literal("failed"),
    failure_timestamp: int,
    failure_message: z.string(),
  }),
);
const pendingCheckpoint = named(
  "PendingCheckpointStatistics",
  checkpointCommon.extend({ className: z.literal("in_progress") }),
);
const checkpoint = named(
  "CheckpointStatistics",
  z.discriminatedUnion("className", [completedCheckpoint, failedCheckpoint, pendingCheckpoint]),
);
export type Checkpoint = z.infer<typeof checkpoint>;
export type CompletedCheckpoint = z.infer<typeof completedCheckpoint>;
export type FailedCheckpoint = z.infer<typeof failedCheckpoint>;

const checkpointing = named(
  "CheckpointingStatistics",
  z.object({
    counts: z.object({
      restored: int,
      total: int,
      in_progress: int,
      completed: int,
      failed: int,
    }),
    summary: z.object({
      checkpointed_size: statistics,
      state_size: statistics,
      end_to_end_duration: statistics,
      alignment_buffered: statistics,
      processed_data: statistics,
      persisted_data: statistics,
    }),
    latest: z.object({
      completed: completedCheckpoint.nullable(),
      savepoint: completedCheckpoint.nullable(),
      failed: failedCheckpoint.nullable(),
      restored: z
        .object({
          id: int,
          restore_timestamp: int,
          is_savepoint: z.boolean(),
          external_path: z.string(),
        })
        .nullable(),
    }),
    history: z.array(checkpoint),
  }),
);
export type CheckpointingStatistics = z.infer<typeof checkpointing>;

const subtaskCheckpoint = z.discriminatedUnion("className", [
  z.object({
    className: z.literal("completed"),
    index: int,
    status: z.literal("completed"),
    ack_timestamp: int,
    end_to_end_duration: int,
    checkpointed_size: int,
    state_size: int,
    checkpoint: z.object({ sync: int, async: int }),
    alignment: z.object({ buffered: int, processed: int, persisted: int, duration: int }),
    start_delay: int,
    unaligned_checkpoint: z.boolean(),
    aborted: z.boolean(),
  }),
  z.object({
    className: z.literal("pending"),
    index: int,
    status: z.literal("pending_or_failed"),
  }),
]);
const checkpointOfVertex = named(
  "TaskCheckpointStatisticsWithSubtaskDetails",
  taskCheckpoint.extend({
    summary: z.object({
      checkpointed_size: statistics,
      state_size: statistics,
      end_to_end_duration: statistics,
      checkpoint_duration: z.object({ sync: statistics, async: statistics }),
      alignment: z.object({
        buffered: statistics,
        processed: statistics,
        persisted: statistics,
        duration: statistics,
      }),
      start_delay: statistics,
    }),
    subtasks: z.array(subtaskCheckpoint),
  }),
);
export type CheckpointOfVertex = z.infer<typeof checkpointOfVertex>;

const checkpointConfig = named(
  "CheckpointConfigInfo",
  z.object({
    mode: z.enum(["exactly_once", "at_least_once"]),
    interval: z.number(),
    timeout: int,
    min_pause: int,
    max_concurrent: int,
    externalization: z.object({ enabled: z.boolean(), delete_on_cancellation: z.boolean() }),
    state_backend: z.string(),
    checkpoint_storage: z.string(),
    unaligned_checkpoints: z.boolean(),
    tolerable_failed_checkpoints: int,
    aligned_checkpoint_timeout: int,
    checkpoints_after_tasks_finish: z.boolean(),
    state_changelog_enabled: z.boolean(),
    changelog_periodic_materialization_interval: int,
    changelog_storage: z.string().nullable(),
  }),
);
export type CheckpointConfigInfo = z.infer<typeof checkpointConfig>;

// ---- The deployment

const dashboardConfiguration = named(
  "DashboardConfiguration",
  z.object({
    "refresh-interval": int,
    "timezone-name": z.string(),
    "timezone-offset": int,
    "flink-version": z.string(),
    "flink-revision": z.string(),
    features: z.object({
      "web-submit": z.boolean(),
      "web-cancel": z.boolean(),
      "web-rescale": z.boolean(),
      "web-history": z.boolean(),
    }),
  }),
);
export type DashboardConfiguration = z.infer<typeof dashboardConfiguration>;

const clusterOverview = named(
  "ClusterOverviewWithVersion",
  z.object({
    taskmanagers: int,
    "slots-total": int,
    "slots-available": int,
    "jobs-running": int,
    "jobs-finished": int,
    "jobs-cancelled": int,
    "jobs-failed": int,
    "flink-version": z.string(),
    "flink-commit": z.string(),
  }),
);
export type ClusterOverview = z.infer<typeof clusterOverview>;

const resources = named(
  "ResourceProfileInfo",
  z.object({
    cpuCores: z.number(),
    taskHeapMemory: int,
    taskOffHeapMemory: int,
    managedMemory: int,
    networkMemory: int,
  }),
);

const taskManager = named(
  "TaskManagerInfo",
  z.object({
    id: hex32,
    path: z.string(),
    dataPort: int,
    jmxPort: int,
    timeSinceLastHeartbeat: int,
    slotsNumber: int,
    freeSlots: int,
    assignedTasks: int,
    totalResource: resources,
    freeResource: resources,
    hardware: z.object({
      cpuCores: int,
      physicalMemory: int,
      freeMemory: int,
      managedMemory: int,
    }),
    memoryConfiguration: z.object({
      frameworkHeap: z.null(),
      taskHeap: z.null(),
      frameworkOffHeap: z.null(),
      taskOffHeap: z.null(),
      networkMemory: z.null(),
      managedMemory: z.null(),
      jvmMetaspace: z.null(),
      jvmOverhead: z.null(),
      totalFlinkMemory: z.null(),
      totalProcessMemory: z.null(),
    }),
    blocked: z.boolean(),
  }),
);
export type TaskManager = z.infer<typeof taskManager>;

const taskManagerDetails = named(
  "TaskManagerDetailsInfo",
  taskManager.extend({
    allocatedSlots: z.array(z.object({ jobId: hex32, assignedTasks: int, resource: resources })),
    metrics: z.object({
      heapUsed: int,
      heapCommitted: int,
      heapMax: int,
      nonHeapUsed: int,
      nonHeapCommitted: int,
      nonHeapMax: int,
      directCount: int,
      directUsed: int,
      directMax: int,
      mappedCount: int,
      mappedUsed: int,
      mappedMax: int,
      nettyShuffleMemorySegmentsAvailable: int,
      nettyShuffleMemorySegmentsUsed: int,
      nettyShuffleMemorySegmentsTotal: int,
      nettyShuffleMemoryAvailable: int,
      nettyShuffleMemoryUsed: int,
      nettyShuffleMemoryTotal: int,
      garbageCollectors: z.array(z.object({ name: z.string(), count: int, time: int })),
    }),
  }),
);
export type TaskManagerDetails = z.infer<typeof taskManagerDetails>;

// ---- Applications

const application = z.object({
  id: hex32,
  name: z.string(),
  status: z.string(),
  "start-time": int,
  "end-time": int,
  duration: int,
});
const applicationDetails = named(
  "ApplicationDetailsInfo",
  application.extend({ jobs: z.array(jobDetails), timestamps: counts }),
);
export type ApplicationDetails = z.infer<typeof applicationDetails>;
const applications = named(
  "MultipleApplicationsDetails",
  z.object({
    applications: z.array(named("ApplicationDetails", application.extend({ jobs: counts }))),
  }),
);
export type Applications = z.infer<typeof applications>;
const applicationExceptions = named(
  "ApplicationExceptionsInfoWithHistory",
  z.object({
    exceptionHistory: z.object({
      entries: z.array(
        z.object({
          exceptionName: z.string(),
          stacktrace: z.string(),
          timestamp: int,
          jobId: hex32,
        }),
      ),
    }),
  }),
);

/** Bodies of answers. */
export const answers = {
  nothing,
  metrics,
  aggregatedMetrics,
  configuration,
  environment,
  logList,
  threadDump,
  profilings,
  dashboardConfiguration,
  clusterOverview,
  dataSets: named(
    "ClusterDataSetListResponseBody",
    z.object({ dataSets: z.array(z.object({ id: z.string(), isComplete: z.boolean() })) }),
  ),
  taskManagers: named("TaskManagersInfo", z.object({ taskmanagers: z.array(taskManager) })),
  taskManagerDetails,
  applications,
  applicationDetails,
  applicationExceptions,
  jars: named(
    "JarListInfo",
    z.object({
      address: z.string(),
      files: z.array(
        z.object({
          id: z.string(),
          name: z.string(),
          uploaded: int,
          entry: z.array(z.object({ name: z.string(), description: z.string().nullable() })),
        }),
      ),
    }),
  ),
  run: named("JarRunResponseBody", z.object({ jobid: hex32, applicationId: hex32 })),
  jobs: named(
    "JobIdsWithStatusOverview",
    z.object({ jobs: z.array(z.object({ id: hex32, status: jobStatus })) }),
  ),
  jobsOverview: named("MultipleJobsDetails", z.object({ jobs: z.array(jobDetails) })),
  jobDetails: jobDetailsInfo,
  plan: named("JobPlanInfo", z.object({ plan })),
  exceptions,
  jobConfig,
  jobStatus: named("JobStatusInfo", z.object({ status: jobStatus })),
  executionResult,
  jobAccumulators,
  resourceRequirements,
  rescaleHistory,
  vertexDetails,
  attemptDetails,
  subtaskTimes,
  vertexTaskManagers,
  vertexAccumulators,
  subtasksAccumulators,
  attemptAccumulators,
  backPressure,
  flameGraph,
  checkpointing,
  checkpoint,
  checkpointOfVertex,
  checkpointConfig,
};
