// The rows that operators of one subtask have left out: how many, and those on their way to a topic.
//   L1. With checkpoints, the letters of an epoch become commits at its barrier (commits.ts); without,
//       as soon as the event is over in which they were written.
//   L2. Letters are bytes once they are a commit: repeated, it is the same to the byte.
//   L3. A letter can always be written: a value that no bytes can stand for is a text about it.

import { encodeRows } from "../format/batch.ts";
import {
  type Attempt,
  type CheckpointId,
  type JobId,
  type Millis,
  type TaskId,
  taskKey,
} from "../format/ids.ts";
import { deadLetterBytesMax, frameBytesMax, recordBytesMax } from "../format/limits.ts";
import type { TaskMetrics } from "../format/messages.ts";
import { murmur3 } from "../format/murmur3.ts";
import { encodeValue } from "../format/value.ts";
import type { Rejected } from "../operators/rejection.ts";
import type { DeadLetter, DeadLetterTarget } from "../stream/on-error.ts";
import type { Topic } from "../stream/topic.ts";
import type { Append } from "./commits.ts";

/** Characters of an error's message that a letter holds. */
const messageMax = 8_192;

interface Written {
  readonly topic: Topic<unknown>;
  readonly letters: DeadLetter[];
}

export class DeadLetters {
  readonly #job: JobId;
  readonly #attempt: Attempt;
  readonly #task: TaskId;
  readonly #written = new Map<string, Written>();
  #bytes = 0;
  #dropped = 0;
  #deadLettered = 0;

  constructor(of: { readonly job: JobId; readonly attempt: Attempt; readonly task: TaskId }) {
    this.#job = of.job;
    this.#attempt = of.attempt;
    this.#task = of.task;
  }

  /** Rows left out for good. */
  get dropped(): number {
    return this.#dropped;
  }

  get deadLettered(): number {
    return this.#deadLettered;
  }

  /** Bytes of letters that are no commit yet, about. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Goes on counting where another stood that had nothing written. */
  resume(counted: Pick<TaskMetrics, "recordsDropped" | "recordsDeadLettered">): void {
    this.#dropped = counted.recordsDropped;
    this.#deadLettered = counted.recordsDeadLettered;
  }

  drop(): void {
    this.#dropped++;
  }

  /** `held`: bytes of commits that are not done yet. @throws where there are more than fit */
  write({ topic }: DeadLetterTarget, rejected: Rejected, held: number, now: Millis): void {
    const { source, timer, error } = rejected;
    const { name, message } = shownError(error.cause);
    const { value, bytes } = writable(rejected.value);
    const letter: DeadLetter = {
      value,
      operator: error.uid,
      subtask: this.#task.index,
      source,
      timer,
      error: { name, message },
      time: now,
    };
    this.#deadLettered++;
    this.#bytes += bytes + message.length;
    if (this.#bytes + held > deadLetterBytesMax) {
      throw new Error(
        `Operator "${error.uid}" has sent dead letters faster than they can be kept: ` +
          `${this.#bytes + held} bytes are not committed, and ${deadLetterBytesMax} fit ` +
          `(deadLetterBytesMax). The last error was ${name}: ${message.slice(0, 200)}. Take ` +
          `checkpoints more often, raise the parallelism, or set onError to "drop".`,
        { cause: error },
      );
    }
    const written = this.#written.get(topic.name);
    if (written === undefined) this.#written.set(topic.name, { topic, letters: [letter] });
    else written.letters.push(letter);
  }

  /** At a barrier: the letters of the epoch, as commits. */
  prepare(checkpoint: CheckpointId): Append[] {
    return this.#commits(checkpoint, `${checkpoint}`);
  }

  /** In a job without checkpoints: what was written since the last time. */
  flush(): Append[] {
    if (this.#written.size === 0) return [];
    // The letters so far tell one flush from another, also after a rest: they are resumed.
    return this.#commits(0, `attempt-${this.#attempt}-${this.#deadLettered}`);
  }

  #commits(checkpoint: number, epoch: string): Append[] {
    const commits = Array.from(this.#written.values(), ({ topic, letters }) => {
      const batches = encoded(letters);
      return {
        id: `${this.#job}/${taskKey(this.#task)}/${epoch}/${topic.name}`,
        checkpoint,
        topic: topic.name,
        // One partition per subtask keeps its letters in order.
        partition: this.#task.index % topic.partitions,
        digest: batches.reduce((hash, { bytes }) => murmur3(bytes) ^ Math.imul(hash, 31), 0) >>> 0,
        batches,
      };
    });
    this.#written.clear();
    this.#bytes = 0;
    return commits;
  }
}

/** One batch, or more where the letters are large. */
function encoded(letters: readonly DeadLetter[]): Append["batches"] {
  const bytes = encodeRows(letters);
  if (bytes.length <= frameBytesMax || letters.length === 1) {
    return [{ rows: letters.length, bytes }];
  }
  const half = letters.length >> 1;
  return [...encoded(letters.slice(0, half)), ...encoded(letters.slice(half))];
}

function writable(value: unknown): { readonly value: unknown; readonly bytes: number } {
  let reason: string;
  try {
    const bytes = encodeValue(value).length;
    if (bytes <= recordBytesMax) return { value, bytes };
    reason = `a value of ${bytes} bytes, more than a record may have`;
  } catch (error) {
    reason = String(error);
  }
  return { value: reason.slice(0, messageMax), bytes: Math.min(reason.length, messageMax) };
}

function shownError(cause: unknown): DeadLetter["error"] {
  const { name, message } = cause instanceof Error ? cause : new Error(String(cause));
  return { name: String(name), message: String(message).slice(0, messageMax) };
}
