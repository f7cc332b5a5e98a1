// A deployment in the words of a Flink cluster: one TaskManager, which has a slot for each subtask
// that runs, and no process, memory or log of its own to show.

import type { JobSummary } from "../../format/messages.ts";
import type {
  ClusterOverview,
  DashboardConfiguration,
  TaskManager,
  TaskManagerDetails,
} from "../contract/flink-schemas.ts";
import { notKnown } from "../flink-json.ts";

/** The version of Flink whose REST API this is. */
const flinkVersion = "2.4-SNAPSHOT";
const revision = "tidemark";

/** The id of the one TaskManager: "tidemark-workers" in hex. */
export const taskManagerId = "746964656d61726b2d776f726b657273";

/** What Flink writes where a subtask is nowhere. */
const unassigned = "(unassigned)";

/** Where a subtask runs, once it does. */
export const endpointOf = (isDeployed: boolean): string => (isDeployed ? "tidemark" : unassigned);
export const taskManagerOf = (isDeployed: boolean): string =>
  isDeployed ? taskManagerId : unassigned;

/** Milliseconds between two reads of the dashboard; Flink's default. */
const refreshInterval = 3_000;

/** `GET /config`. */
export const dashboardConfiguration: DashboardConfiguration = {
  "refresh-interval": refreshInterval,
  "timezone-name": "Coordinated Universal Time",
  "timezone-offset": 0,
  "flink-version": flinkVersion,
  "flink-revision": revision,
  features: {
    "web-submit": true,
    "web-cancel": true,
    "web-rescale": false,
    "web-history": false,
  },
};

const sumOf = (jobs: readonly JobSummary[]): number =>
  jobs.reduce((total, { tasks }) => total + tasks.running, 0);

/** `GET /overview`. */
export function clusterOverview(jobs: readonly JobSummary[]): ClusterOverview {
  const ended = (phase: JobSummary["phase"]): number =>
    jobs.filter((job) => job.phase === phase).length;
  const [finished, cancelled, failed] = [ended("FINISHED"), ended("CANCELED"), ended("FAILED")];
  return {
    taskmanagers: 1,
    "slots-total": sumOf(jobs),
    "slots-available": 0,
    "jobs-running": jobs.length - finished - cancelled - failed,
    "jobs-finished": finished,
    "jobs-cancelled": cancelled,
    "jobs-failed": failed,
    "flink-version": flinkVersion,
    "flink-commit": revision,
  };
}

const resources = {
  cpuCores: notKnown,
  taskHeapMemory: notKnown,
  taskOffHeapMemory: notKnown,
  managedMemory: notKnown,
  networkMemory: notKnown,
};

/** An element of `GET /taskmanagers`: the only one. */
export function taskManager(jobs: readonly JobSummary[], now: number): TaskManager {
  const running = sumOf(jobs);
  return {
    id: taskManagerId,
    path: "tidemark",
    dataPort: notKnown,
    jmxPort: notKnown,
    // A time, whatever its name says.
    timeSinceLastHeartbeat: now,
    slotsNumber: running,
    freeSlots: 0,
    assignedTasks: running,
    totalResource: resources,
    freeResource: resources,
    hardware: {
      cpuCores: notKnown,
      physicalMemory: notKnown,
      freeMemory: notKnown,
      managedMemory: notKnown,
    },
    memoryConfiguration: {
      frameworkHeap: null,
      taskHeap: null,
      frameworkOffHeap: null,
      taskOffHeap: null,
      networkMemory: null,
      managedMemory: null,
      jvmMetaspace: null,
      jvmOverhead: null,
      totalFlinkMemory: null,
      totalProcessMemory: null,
    },
    blocked: false,
  };
}

/** `GET /taskmanagers/:taskmanagerid`. Of a JVM that reports nothing Flink says zeros. */
export function taskManagerDetails(jobs: readonly JobSummary[], now: number): TaskManagerDetails {
  return {
    ...taskManager(jobs, now),
    allocatedSlots: jobs
      .filter(({ tasks }) => tasks.running > 0)
      .map(({ job, tasks }) => ({ jobId: job, assignedTasks: tasks.running, resource: resources })),
    metrics: {
      heapUsed: 0,
      heapCommitted: 0,
      heapMax: 0,
      nonHeapUsed: 0,
      nonHeapCommitted: 0,
      nonHeapMax: 0,
      directCount: 0,
      directUsed: 0,
      directMax: 0,
      mappedCount: 0,
      mappedUsed: 0,
      mappedMax: 0,
      nettyShuffleMemorySegmentsAvailable: 0,
      nettyShuffleMemorySegmentsUsed: 0,
      nettyShuffleMemorySegmentsTotal: 0,
      nettyShuffleMemoryAvailable: 0,
      nettyShuffleMemoryUsed: 0,
      nettyShuffleMemoryTotal: 0,
      garbageCollectors: [],
    },
  };
}

/** Of a virtual machine that there is not. */
export const noEnvironment = { jvm: { version: "", arch: "", options: [] }, classpath: [] };

/** Settings as `GET /jobmanager/config` lists them. */
export const entriesOf = (settings: Readonly<Record<string, string>>) =>
  Object.entries(settings).map(([key, value]) => ({ key, value }));
