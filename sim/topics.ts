// The topics of a world: logs that lose nothing, and readers that wait at their end.

import { decodeRows, encodeRows } from "../format/batch.ts";
import { type Offset, offset } from "../format/ids.ts";
import { readWait } from "../format/limits.ts";
import type { StoredBatch } from "../format/messages.ts";
import type { Commit } from "../task/commits.ts";
import type { Scene } from "./host.ts";

interface Partition {
  readonly batches: StoredBatch[];
  readonly rows: unknown[];
  waiting: (() => void)[];
}

export class Topics {
  readonly #scene: Scene;
  readonly #partitions = new Map<string, Partition>();
  /** Ids of what tasks have appended, with the digests. */
  readonly #committed = new Map<string, number>();

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  append(topic: string, partition: number, rows: readonly unknown[]): void {
    const log = this.#partition(topic, partition);
    log.batches.push({
      first: offset(log.rows.length),
      count: rows.length,
      bytes: encodeRows(rows),
    });
    for (const row of rows) log.rows.push(row);
    const { waiting } = log;
    log.waiting = [];
    for (const wake of waiting) wake();
  }

  /** An append of a task; the same id is the same append. */
  commit({ id, topic, partition, digest, batches }: Commit): void {
    const known = this.#committed.get(id);
    if (known !== undefined && known !== digest) throw new Error(`${id} was two appends.`);
    if (known !== undefined) return;
    this.#committed.set(id, digest);
    for (const { bytes } of batches) this.append(topic, partition, decodeRows(bytes));
  }

  /** The records of a partition so far; grows. */
  rows(topic: string, partition: number): readonly unknown[] {
    return this.#partition(topic, partition).rows;
  }

  /** Answers with some batches from `from` on, or with none after a while. */
  read(
    topic: string,
    partition: number,
    from: Offset,
    answer: (batches: readonly StoredBatch[]) => void,
  ): void {
    const { clock, faults } = this.#scene;
    const log = this.#partition(topic, partition);
    const found = (): StoredBatch[] => {
      const at = log.batches.findIndex((batch) => batch.first + batch.count > from);
      return at === -1 ? [] : log.batches.slice(at, at + 1 + faults.prng.below(8));
    };
    const now = found();
    if (now.length > 0) return answer(now);
    let isAnswered = false;
    const once = (): void => {
      if (isAnswered) return;
      isAnswered = true;
      answer(found());
    };
    log.waiting.push(once);
    clock.later(readWait, once);
  }

  #partition(topic: string, partition: number): Partition {
    const key = `${topic}/${partition}`;
    let log = this.#partitions.get(key);
    if (log === undefined) {
      log = { batches: [], rows: [], waiting: [] };
      this.#partitions.set(key, log);
    }
    return log;
  }
}
