// The sessions of one source on its topic partitions. A partition is durable, so a reader that
// breaks is simply opened again.

import type { SplitRead } from "../../connectors/topic-source.ts";
import { objectName, type Offset } from "../../format/ids.ts";
import type {
  StoredBatch,
  TaskDeployment,
  TopicPartitionApi,
  TopicReader,
} from "../../format/messages.ts";
import { within } from "./deadline.ts";

/** Milliseconds before each further try to read; after the last the source fails. */
const retryDelays = [50, 200, 1_000, 3_000, 10_000];

/** In milliseconds. */
interface ReadTimeouts {
  /** To wait for an answer. */
  readonly patience: number;
  /** That a read waits at the end of a partition. */
  readonly readWait: number;
}

export class TopicReaders {
  readonly #partitions: { getByName(name: string): TopicPartitionApi };
  readonly #topic: string;
  readonly #timeouts: ReadTimeouts;
  readonly #sessions = new Map<number, TopicReader & Partial<Disposable>>();
  #isClosed = false;

  constructor(
    partitions: { getByName(name: string): TopicPartitionApi },
    topic: string,
    timeouts: ReadTimeouts,
  ) {
    this.#partitions = partitions;
    this.#topic = topic;
    this.#timeouts = timeouts;
  }

  /** Batches from `from` on, or undefined once closed. */
  async read(partition: number, from: Offset): Promise<StoredBatch[] | undefined> {
    const { patience, readWait } = this.#timeouts;
    for (let tries = 0; ; tries++) {
      try {
        const session = this.#sessions.get(partition) ?? (await this.#opened(partition));
        const reading = session.read(from, readWait);
        const batches = await within(readWait + patience, "A read", reading);
        return this.#isClosed ? undefined : batches;
      } catch (error) {
        this.#drop(partition);
        if (this.#isClosed) return undefined;
        const delay = retryDelays[tries];
        if (delay === undefined) throw error;
        await scheduler.wait(delay);
      }
    }
  }

  /**
   * Asks every partition to call when it grows; false where one has grown already.
   * @throws TimedOut where one does not answer
   */
  async subscribe(
    { job, task, attempt }: Pick<TaskDeployment, "job" | "task" | "attempt">,
    ends: readonly SplitRead[],
  ): Promise<boolean> {
    const asked = Promise.all(
      ends.map(({ partition, from }) =>
        this.#partition(partition).subscribe({ job, task, attempt, from }),
      ),
    );
    const answers = await within(this.#timeouts.patience, "A subscription", asked);
    return answers.every((answer) => answer === "subscribed");
  }

  close(): void {
    this.#isClosed = true;
    for (const partition of this.#sessions.keys()) this.#drop(partition);
  }

  #opened(partition: number): Promise<TopicReader> {
    return within(this.#timeouts.patience, "The opening of a reader", this.#open(partition));
  }

  async #open(partition: number): Promise<TopicReader> {
    const opened = await this.#partition(partition).openReader();
    this.#sessions.set(partition, opened);
    if (this.#isClosed) this.#drop(partition);
    return opened;
  }

  #partition(partition: number): TopicPartitionApi {
    return this.#partitions.getByName(objectName.topicPartition(this.#topic, partition));
  }

  #drop(partition: number): void {
    this.#sessions.get(partition)?.[Symbol.dispose]?.();
    this.#sessions.delete(partition);
  }
}
