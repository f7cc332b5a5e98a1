// Who is to be called when the log of one topic partition grows: sources that rest at its end.
// Synchronous and pure but for the storage behind it.
//   U1. A subtask has one subscription, that of its newest attempt.
//   U2. A subscription is good for one call: it goes once that call was answered, whatever the answer.
//   U3. A call and a new subscription may cross; only the subscription that was called for goes.

import {
  attempt,
  type JobId,
  objectName,
  offset,
  type Offset,
  type TaskId,
} from "../format/ids.ts";
import type { TopicSubscription } from "../format/messages.ts";
import { type SqlDatabase, textOf } from "../format/sql.ts";

/** A subscription with the number of the partition, which an object woken by its alarm may not know. */
export interface DueCall extends TopicSubscription {
  readonly partition: number;
}

const schema = `CREATE TABLE IF NOT EXISTS subscriptions (
  subtask TEXT PRIMARY KEY, job TEXT NOT NULL, task TEXT NOT NULL, attempt INTEGER NOT NULL,
  position INTEGER NOT NULL, number INTEGER NOT NULL
) WITHOUT ROWID`;

/** The name of the object to call. */
export const subscriberOf = ({ job, task }: TopicSubscription): string =>
  objectName.subtask(job, task);

export class Subscriptions {
  readonly #db: SqlDatabase;

  constructor(db: SqlDatabase) {
    this.#db = db;
    db.exec(schema);
  }

  put(subscription: TopicSubscription, partition: number): void {
    const { job, task, attempt: of, from } = subscription;
    this.#db.exec(
      `INSERT INTO subscriptions VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (subtask) DO UPDATE SET
         attempt = excluded.attempt, position = excluded.position
       WHERE excluded.attempt >= attempt`,
      subscriberOf(subscription),
      job,
      JSON.stringify(task),
      of,
      from,
      partition,
    );
  }

  /** Those that the log has grown past. */
  due(next: Offset): DueCall[] {
    return this.#db.exec("SELECT * FROM subscriptions WHERE position < ?", next).map((row) => ({
      job: textOf(row["job"]) as JobId,
      task: JSON.parse(textOf(row["task"])) as TaskId,
      attempt: attempt(Number(row["attempt"])),
      from: offset(Number(row["position"])),
      partition: Number(row["number"]),
    }));
  }

  answered(call: DueCall): void {
    this.#db.exec(
      "DELETE FROM subscriptions WHERE subtask = ? AND attempt = ? AND position = ?",
      subscriberOf(call),
      call.attempt,
      call.from,
    );
  }
}
