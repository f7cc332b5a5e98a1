// The sessions of one source on its topic partitions. A partition is durable, so a reader that
// breaks is simply opened again.

import { objectName, type Offset } from "../../format/ids.ts";
import type { StoredBatch, TopicPartitionApi, TopicReader } from "../../format/messages.ts";

/** Milliseconds before each further try to read; after the last the source fails. */
const retryDelays = [50, 200, 1_000, 3_000, 10_000];

export class TopicReaders {
  readonly #partitions: { getByName(name: string): TopicPartitionApi };
  readonly #topic: string;
  readonly #sessions = new Map<number, TopicReader & Partial<Disposable>>();
  #isClosed = false;

  constructor(partitions: { getByName(name: string): TopicPartitionApi }, topic: string) {
    this.#partitions = partitions;
    this.#topic = topic;
  }

  /** Batches from `from` on, or undefined once closed. */
  async read(partition: number, from: Offset): Promise<StoredBatch[] | undefined> {
    for (let tries = 0; ; tries++) {
      try {
        const batches = await (await this.#session(partition)).read(from);
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

  close(): void {
    this.#isClosed = true;
    for (const partition of this.#sessions.keys()) this.#drop(partition);
  }

  async #session(partition: number): Promise<TopicReader> {
    const held = this.#sessions.get(partition);
    if (held !== undefined) return held;
    const name = objectName.topicPartition(this.#topic, partition);
    const opened = await this.#partitions.getByName(name).openReader();
    this.#sessions.set(partition, opened);
    if (this.#isClosed) this.#drop(partition);
    return opened;
  }

  #drop(partition: number): void {
    this.#sessions.get(partition)?.[Symbol.dispose]?.();
    this.#sessions.delete(partition);
  }
}
