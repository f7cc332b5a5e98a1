// What becomes of a row that code of the user's throws on: it fails the attempt, or it is left out and
// counted, or it goes to a topic with what there is to know about it.
//   N1. A dead letter topic spreads nothing by key: its rows are about records, not of them.

import type { Key } from "../format/key.ts";
import { GraphError } from "./errors.ts";
import { shown } from "./names.ts";
import type { Topic } from "./topic.ts";

/** Where a record was read. */
export interface RecordPosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** A row of a dead letter topic. */
export interface DeadLetter<T = unknown> {
  /** The row as the operator was given it; a text about it where no bytes can stand for it. */
  readonly value: T;
  /** Uid of the operator whose code threw. */
  readonly operator: string;
  /** Index of the subtask in which it threw. */
  readonly subtask: number;
  /** The record that the row comes from; null behind the first exchange between subtasks, and of rows
   * that were generated. */
  readonly source: RecordPosition | null;
  /** Of a timer that threw: whose it was and for when. There is no row then. */
  readonly timer: { readonly key: Key; readonly time: number } | null;
  readonly error: { readonly name: string; readonly message: string };
  /** Processing time of the failure, in milliseconds. */
  readonly time: number;
}

/** A topic as a target of dead letters; made by `deadLetter`. */
export interface DeadLetterTarget {
  readonly kind: "deadLetter";
  readonly topic: Topic<DeadLetter>;
}

/**
 * What follows when code of the user's throws on a row. `"fail"`: the attempt fails. `"drop"`: the row
 * is left out, without a trace in state or output, and counted. `deadLetter(topic)`: the same, and the
 * row goes to the topic with the error and its place.
 */
export type OnError = "fail" | "drop" | DeadLetterTarget;

/**
 * Sends rows that an operator's code throws on to a topic, which any job can read. With checkpoints
 * each of them is there exactly once, after the checkpoint that holds its record; without, at once and
 * at least once.
 *
 * @example
 * flights.map((flight) => flight.delay.toFixed(), {
 *   uid: "delays",
 *   onError: deadLetter(topic("flights-dead")),
 * })
 */
export function deadLetter(target: Topic<DeadLetter>): DeadLetterTarget {
  const { kind, key } = (target ?? {}) as Partial<typeof target>;
  const allowed = "topic(…) without a key";
  if (kind !== "topic") {
    const found = `deadLetter was given ${shown(target)}`;
    throw new GraphError("BAD_ARGUMENT", `${found}. Allowed: ${allowed}.`);
  }
  if (key !== undefined) {
    const found = `The dead letter topic "${target.name}" has a key`;
    throw new GraphError("BAD_ARGUMENT", `${found}. Allowed: ${allowed}.`);
  }
  return { kind: "deadLetter", topic: target };
}

/** The policy as it is, or a `GraphError` where it is none. `of` begins the message. */
export function checkedOnError(of: string, given: unknown, uid?: string): OnError {
  const isTarget =
    typeof given === "object" &&
    (given as Partial<DeadLetterTarget> | null)?.kind === "deadLetter" &&
    (given as DeadLetterTarget).topic.kind === "topic";
  if (given === "fail" || given === "drop" || isTarget) return given as OnError;
  throw new GraphError(
    "BAD_ARGUMENT",
    `${of} has onError ${shown(given)}. Allowed: "fail", "drop", deadLetter(topic("…")).`,
    uid,
  );
}
