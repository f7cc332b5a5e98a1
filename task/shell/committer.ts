// Carries out what a task prepared and a checkpoint has made final. An append that failed may have
// arrived, so it is repeated as it was: the partition knows it by its id.

import { objectName } from "../../format/ids.ts";
import type { TopicPartitionApi } from "../../format/messages.ts";
import type { Commit } from "../commits.ts";
import { within } from "./deadline.ts";

/** Milliseconds before each further try; after the last the attempt fails, and the next one goes on. */
const retryDelays = [50, 200, 1_000, 3_000, 10_000];

export interface CommitOptions {
  /** Milliseconds to wait for an answer; what has not answered is asked again. */
  readonly patience: number;
  isOver(this: void): boolean;
}

/** Appends what the commit holds. Resolves once it is there, or with `isOver` true. */
export async function commitTo(
  partitions: { getByName(name: string): TopicPartitionApi },
  { id, topic, partition, digest, batches }: Commit,
  { patience, isOver }: CommitOptions,
): Promise<void> {
  const request = { batches, idempotencyKey: id, digest };
  for (let tries = 0; !isOver(); tries++) {
    try {
      const name = objectName.topicPartition(topic, partition);
      const appending = partitions.getByName(name).append(request);
      const outcome = await within(patience, `An append to ${name}`, appending);
      if (outcome.kind !== "conflict") return;
    } catch (error) {
      const delay = retryDelays[tries];
      if (delay === undefined) throw error;
      await scheduler.wait(delay);
      continue;
    }
    throw new Error(`Topic "${topic}" holds something else under the id ${id}.`);
  }
}
