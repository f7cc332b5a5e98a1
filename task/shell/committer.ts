// Carries out what a task prepared and a checkpoint has made final. What failed may have arrived, so it
// is repeated as it was: a partition knows an append by its id, the bucket a file by its path.

import { objectName } from "../../format/ids.ts";
import type { TopicPartitionApi } from "../../format/messages.ts";
import type { Append, FilePut } from "../commits.ts";
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
  { id, topic, partition, digest, batches }: Append,
  { patience, isOver }: CommitOptions,
): Promise<void> {
  const request = { batches, idempotencyKey: id, digest };
  const name = objectName.topicPartition(topic, partition);
  await untilDone({ patience, isOver }, `An append to ${name}`, async () => {
    const outcome = await partitions.getByName(name).append(request);
    if (outcome.kind === "conflict") {
      return `Topic "${topic}" holds something else under the id ${id}.`;
    }
    return undefined;
  });
}

/** Puts the file where it is to be, unless it is there. Resolves then, or with `isOver` true. */
export async function putFile(
  bucket: R2Bucket,
  { id: path, file }: FilePut,
  options: CommitOptions,
): Promise<void> {
  await untilDone(options, `The upload of ${path}`, async () => {
    const created = await bucket.put(path, file, {
      onlyIf: { etagDoesNotMatch: "*" },
      httpMetadata: { contentType: "application/x-ndjson" },
    });
    if (created !== null) return undefined;
    const there = await bucket.head(path);
    return there?.size === file.length ? undefined : `${path} exists, and is another file.`;
  });
}

/** @param attempt does it once; what it resolves with is why no further try is of use */
async function untilDone(
  { patience, isOver }: CommitOptions,
  what: string,
  attempt: () => Promise<string | undefined>,
): Promise<void> {
  for (let tries = 0; !isOver(); tries++) {
    let refusal: string | undefined;
    try {
      refusal = await within(patience, what, attempt());
    } catch (error) {
      const delay = retryDelays[tries];
      if (delay === undefined) throw error;
      await scheduler.wait(delay);
      continue;
    }
    if (refusal === undefined) return;
    throw new Error(refusal);
  }
}
