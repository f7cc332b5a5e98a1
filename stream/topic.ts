// Topics: the durable logs a job reads. A topic is declared once in code; the Worker reads its name,
// partitions and key from the jobs that use it.

import type { Key } from "../format/key.ts";
import { topicPartitionsDefault, topicPartitionsMax } from "../format/limits.ts";
import { GraphError } from "./errors.ts";
import { fieldSelector, type KeyField } from "./fields.ts";
import type { KeySelector } from "./graph.ts";
import { checkedName, shown } from "./names.ts";

declare const rowType: unique symbol;

/** A topic as a job refers to it. `T` is what its rows are, on the word of whoever declared it. */
export interface Topic<out T> {
  readonly kind: "topic";
  readonly name: string;
  readonly partitions: number;
  /** By which ingestion picks a record's partition; without one it spreads records evenly. */
  readonly key?: KeySelector;
  readonly [rowType]?: T;
}

/** What a topic may be declared with. */
export interface TopicOptions<T> {
  /** 1 to 256; 4 where absent. Cannot be changed once the topic holds records. */
  readonly partitions?: number;
  /**
   * Records with the same key go to the same partition, and so stay in order: the name of a field, or what
   * a function makes of each record. By its name a field is read without making rows of what is sent.
   */
  readonly key?: KeyField<T> | ((row: T) => Key);
}

/**
 * Declares a topic, to read from with `env.from`. Creates nothing by itself.
 *
 * @example
 * interface Flight { origin: string; delay: number }
 * const flights = topic<Flight>("flights", { partitions: 8, key: "origin" });
 */
export function topic<T>(name: string, options: TopicOptions<T> = {}): Topic<T> {
  checkedName("topic", name);
  const { partitions = topicPartitionsDefault, key } = options;
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > topicPartitionsMax) {
    throw new GraphError(
      "BAD_PARTITIONS",
      `Topic "${name}" has ${shown(partitions)} partitions. ` +
        `Allowed: a whole number from 1 to ${topicPartitionsMax}.`,
    );
  }
  if (key === undefined) return { kind: "topic", name, partitions };
  if (typeof key === "string") return { kind: "topic", name, partitions, key: fieldSelector(key) };
  if (typeof key !== "function") {
    throw new GraphError(
      "BAD_ARGUMENT",
      `The key of topic "${name}" is ${shown(key)}. ` +
        `Allowed: the name of a field, or a function from a row to its key.`,
    );
  }
  return { kind: "topic", name, partitions, key };
}
