// The topics of a world: logs that lose nothing, and readers that wait at their end.

import { encodeRows } from "../format/batch.ts";
import { type Offset, offset } from "../format/ids.ts";
import { readWait } from "../format/limits.ts";
import type { StoredBatch } from "../format/messages.ts";
import type { Scene } from "./host.ts";
import type { Item } from "./topology.ts";

interface Partition {
  readonly batches: StoredBatch[];
  readonly items: Item[];
  waiting: (() => void)[];
}

export class Topics {
  readonly #scene: Scene;
  readonly #partitions = new Map<string, Partition>();

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  append(topic: string, partition: number, items: readonly Item[]): void {
    const log = this.#partition(topic, partition);
    log.batches.push({
      first: offset(log.items.length),
      count: items.length,
      bytes: encodeRows(items),
    });
    for (const item of items) log.items.push(item);
    const { waiting } = log;
    log.waiting = [];
    for (const wake of waiting) wake();
  }

  /** The records of a partition so far; grows. */
  items(topic: string, partition: number): readonly Item[] {
    return this.#partition(topic, partition).items;
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
      log = { batches: [], items: [], waiting: [] };
      this.#partitions.set(key, log);
    }
    return log;
  }
}
