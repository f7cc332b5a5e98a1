// One vertex of a job and its subtasks in the words of Flink's REST API.

import { type JobDetails, taskPhases, type TaskStatus } from "../../format/job-status.ts";
import { type VertexPlan } from "../../format/plan.ts";
import type {
  AttemptDetails,
  SubtaskTimes,
  VertexDetails,
  VertexTaskManagers,
} from "../contract/flink-schemas.ts";
import {
  countPhases,
  durationOf,
  ioMetrics,
  mapOf,
  notKnown,
  notYet,
  spanOf,
  vertexPhase,
} from "../flink-json.ts";
import { endpointOf, taskManagerId, taskManagerOf } from "./deployment.ts";

/** A vertex of a job, with what is known of its subtasks. */
export interface Vertex {
  readonly job: JobDetails;
  readonly vertex: VertexPlan;
  readonly tasks: readonly TaskStatus[];
}

export function vertexIn(job: JobDetails, id: string): Vertex | undefined {
  const vertex = job.plan.vertices.find((candidate) => candidate.id === id);
  if (vertex === undefined) return undefined;
  return { job, vertex, tasks: job.tasks.filter(({ task }) => task.vertex === id) };
}

/** Flink counts attempts from 0. */
export const attemptNumber = ({ attempt }: TaskStatus): number => attempt - 1;

/** `GET …/vertices/:vertexid`. */
export const vertexDetails = ({ job, vertex, tasks }: Vertex, now: number): VertexDetails => ({
  id: vertex.id,
  name: vertex.name,
  parallelism: vertex.parallelism,
  maxParallelism: job.plan.maxParallelism,
  now,
  subtasks: tasks.map((task) => attemptDetails(task, now)),
});

/** Flink tells how long a subtask was in each of these; here only the sum is known. */
const timedPhases = ["CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING"] as const;

/** `GET …/subtasks/:subtaskindex` and `…/attempts/:attempt`. */
export function attemptDetails(task: TaskStatus, now: number): AttemptDetails {
  const { started = notYet, ended = notYet } = task;
  const isDeployed = task.started !== undefined;
  return {
    subtask: task.task.index,
    status: task.phase,
    attempt: attemptNumber(task),
    endpoint: endpointOf(isDeployed),
    "start-time": started,
    // Its dashboard reads this spelling.
    start_time: started,
    "end-time": ended,
    duration: durationOf(started, ended, now),
    metrics: ioMetrics([task]),
    "taskmanager-id": taskManagerOf(isDeployed),
    "status-duration": mapOf(timedPhases, () => notKnown),
  };
}

/** `GET …/subtasktimes`. Beginning and end are known, what was in between is not. */
export function subtaskTimes({ vertex, tasks }: Vertex, now: number): SubtaskTimes {
  return {
    id: vertex.id,
    name: vertex.name,
    now,
    subtasks: tasks.map(({ task, phase, started, ended }) => {
      const times = { DEPLOYING: started, ...(ended !== undefined && { [phase]: ended }) };
      const known: Partial<Record<string, number>> = times;
      return {
        subtask: task.index,
        endpoint: endpointOf(started !== undefined),
        duration: durationOf(started ?? notYet, ended ?? notYet, now),
        timestamps: mapOf(taskPhases, (one) => known[one] ?? 0),
      };
    }),
  };
}

/** `GET …/taskmanagers`: the one there is, once a subtask is on it. */
export function vertexTaskManagers({ vertex, tasks }: Vertex, now: number): VertexTaskManagers {
  const { start, end } = spanOf(tasks);
  const there = {
    endpoint: endpointOf(true),
    status: vertexPhase(tasks),
    "start-time": start,
    "end-time": end,
    duration: durationOf(start, end, now),
    metrics: ioMetrics(tasks),
    "status-counts": countPhases(tasks.map(({ phase }) => phase)),
    "taskmanager-id": taskManagerId,
  };
  return { id: vertex.id, name: vertex.name, now, taskmanagers: start === notYet ? [] : [there] };
}
