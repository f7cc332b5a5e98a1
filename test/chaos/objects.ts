// The Durable Objects of the job, as what can be struck, and what the chaos app tells of the job.

import type { LocalJob } from "../../examples/flights/local-job.ts";
import { type JobId, objectName } from "../../format/ids.ts";
import type { JobDetails } from "../../format/job-status.ts";
import { tasksOf } from "../../format/plan.ts";

export interface ChaosObject {
  readonly className: "Dispatcher" | "Coordinator" | "Subtask" | "TopicPartition";
  readonly binding: string;
  readonly name: string;
  /** For the log: the same in every run. */
  readonly title: string;
}

export const detailsOf = (job: LocalJob): Promise<JobDetails | undefined> =>
  job.get<JobDetails>(`/chaos/jobs/${job.id}`);

export interface ChaosObjects {
  /**
   * Objects that others hold sessions on. workerd refuses their eviction after 30 s, with "it still
   * has active references", for as long as the job runs.
   */
  readonly held: readonly ChaosObject[];
  /**
   * Objects that are called and let go. The coordinator counts as often as a vertex has subtasks, so
   * that it gets its share.
   */
  readonly loose: readonly ChaosObject[];
}

export function objectsOf({ plan, summary }: JobDetails): ChaosObjects {
  const id: JobId = summary.job;
  const subtasks = tasksOf(plan).map((task): ChaosObject => {
    const vertex = plan.vertices.find((candidate) => candidate.id === task.vertex);
    return {
      className: "Subtask",
      binding: "SUBTASK",
      name: objectName.subtask(id, task),
      title: `subtask ${vertex?.operators[0]}/${task.index}`,
    };
  });
  const partitions = plan.vertices.flatMap(({ source }) =>
    Array.from({ length: source?.partitions ?? 0 }, (_, partition): ChaosObject => {
      const name = objectName.topicPartition(source!.topic, partition);
      const title = `partition ${name}`;
      return { className: "TopicPartition", binding: "TOPIC_PARTITION", name, title };
    }),
  );
  const coordinator: ChaosObject = {
    className: "Coordinator",
    binding: "COORDINATOR",
    name: objectName.coordinator(id),
    title: "the coordinator",
  };
  const dispatcher: ChaosObject = {
    className: "Dispatcher",
    binding: "DISPATCHER",
    name: objectName.dispatcher(),
    title: "the dispatcher",
  };
  const share = plan.vertices[0]?.parallelism ?? 1;
  const coordinators = Array.from({ length: share }, () => coordinator);
  return { held: [...subtasks, ...partitions], loose: [...coordinators, dispatcher] };
}
