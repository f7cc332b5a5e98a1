// The topics of a world: logs that lose nothing, readers that wait at their end, and the calls of
// `topic/topic-partition.ts` to sources that rest there. Who is to be called is the production core's.
//   P1. The alarm that calls subscribers again is set with the append that they are called for, and
//       again before each call of its own, until all have answered.
//   P2. No append waits for a subscriber, and no call stands in the way of the next one.

import { decodeRows, encodeRows } from "../format/batch.ts";
import { type Offset, offset } from "../format/ids.ts";
import { readWait } from "../format/limits.ts";
import type { StoredBatch, TopicSubscription } from "../format/messages.ts";
import type { Append } from "../task/commits.ts";
import { type DueCall, subscriberOf, Subscriptions } from "../topic/subscriptions.ts";
import { Database } from "./database.ts";
import type { Scene } from "./host.ts";
import { call, patience } from "./network.ts";
import type { SubtaskHost } from "./subtask.ts";

/** Milliseconds that a subscriber has to answer, and after which it is called again if it did not. */
const callInterval = 5_000;

interface Partition {
  readonly batches: StoredBatch[];
  readonly rows: unknown[];
  waiting: (() => void)[];
  /** Absent until somebody subscribes. */
  subscriptions?: Subscriptions;
  /** Subscribers with a call under way. */
  readonly calling: Set<string>;
  /** Changes with every alarm that is set; an earlier one is none any more. */
  alarm: number;
}

export class Topics {
  readonly #scene: Scene;
  readonly #subtask: (of: TopicSubscription) => SubtaskHost;
  readonly #partitions = new Map<string, Partition>();
  /** Ids of what tasks have appended, with the digests. */
  readonly #committed = new Map<string, number>();

  /** Until then nothing that a task has prepared is taken. */
  #busyUntil = 0;

  /** Told of every subscription: a job is about to rest. */
  whenSubscribed: () => void = () => {};

  constructor(scene: Scene, subtask: (of: TopicSubscription) => SubtaskHost) {
    this.#scene = scene;
    this.#subtask = subtask;
  }

  append(topic: string, partition: number, rows: readonly unknown[]): void {
    this.#scene.log?.(`topic ${topic}/${partition}: ${rows.length} rows are appended`);
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
    this.#callDue(log);
  }

  /** "behind" where the log goes on after that already. */
  subscribe(
    topic: string,
    partition: number,
    subscription: TopicSubscription,
  ): "subscribed" | "behind" {
    const log = this.#partition(topic, partition);
    this.whenSubscribed();
    if (log.rows.length !== subscription.from) return "behind";
    log.subscriptions ??= new Subscriptions(new Database(() => 0));
    log.subscriptions.put(subscription, partition);
    return "subscribed";
  }

  /** Appends of tasks take that long from now on. */
  keepBusy(forMs: number): void {
    this.#busyUntil = this.#scene.clock.now + forMs;
  }

  /** Milliseconds until an append of a task is taken. */
  get busyFor(): number {
    return Math.max(0, this.#busyUntil - this.#scene.clock.now);
  }

  /** An append of a task; the same id is the same append. */
  commit({ id, topic, partition, digest, batches }: Append): void {
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

  #callDue(log: Partition): void {
    const due = this.#due(log);
    if (due.length === 0) return;
    const { clock, faults } = this.#scene;
    const alarm = ++log.alarm;
    const late = faults.strikes("alarm") ? faults.prng.between(50, 3_000) : 0;
    clock.later(callInterval + late, () => {
      if (log.alarm === alarm) this.#callDue(log);
    });
    for (const one of due) this.#call(log, one);
  }

  #call(log: Partition, due: DueCall): void {
    const name = subscriberOf(due);
    if (log.calling.has(name)) return;
    log.calling.add(name);
    const lost = (): void => void log.calling.delete(name);
    // Calls are few, and that one may be lost is what subscriptions are built for.
    if (this.#scene.faults.strikes("drop", 20)) return lost();
    const answered = (): void => {
      log.calling.delete(name);
      log.subscriptions?.answered(due);
    };
    call(
      this.#scene,
      undefined,
      this.#subtask(due),
      "crashSubtask",
      (instance, reply) => reply(instance.appended(due.attempt, due.partition)),
      patience(this.#scene, callInterval, { answered, lost, timedOut: lost }),
    );
  }

  /** Subscribers that have something to read. */
  #due({ subscriptions, rows }: Partition): DueCall[] {
    return subscriptions?.due(offset(rows.length)) ?? [];
  }

  #partition(topic: string, partition: number): Partition {
    const key = `${topic}/${partition}`;
    let log = this.#partitions.get(key);
    if (log === undefined) {
      log = { batches: [], rows: [], waiting: [], calling: new Set(), alarm: 0 };
      this.#partitions.set(key, log);
    }
    return log;
  }
}
