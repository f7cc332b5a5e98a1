// The log of one topic partition: record batches in order, kept as rows of SQLite. Synchronous and
// pure but for the storage behind it; the Durable Object around it is `topic-partition.ts`.
//   T1. Offsets count records from 0 without a gap; a batch covers [first, first + count).
//   T2. An append is kept whole or not at all.
//   T3. An idempotency key stands for one append, its digest and its offsets, for
//       `idempotencyKeyAgeMax`, or until `idempotencyKeysMax` later ones have come.
//   T4. A batch is stored and returned byte for byte; nothing here looks inside.

import type { Millis, Offset } from "../format/ids.ts";
import { offset } from "../format/ids.ts";
import { frameBytesMax, idempotencyKeyAgeMax, idempotencyKeysMax } from "../format/limits.ts";
import type { AppendOutcome, PartitionInfo, StoredBatch, TopicAppend } from "../format/messages.ts";
import type { SqlDatabase, SqlValue } from "../format/sql.ts";

export type LogStorage = SqlDatabase;
export type { SqlValue };

/** Batches of one read, however small they are. */
export const readBatchesMax = 1_000;

/** Keys forgotten in one append at most: more than one, so that they become fewer as they age. */
const forgottenMax = 4;

// `position` is the bytes of all batches before this one, so that the size of the log is known from
// its two ends. Appends with a key have their own rows, and one may have no batch at all: a request
// that spans partitions takes its key in one of them before it writes to any (`worker/ingest.ts`).
const schema = [
  `CREATE TABLE IF NOT EXISTS batches (
    first INTEGER PRIMARY KEY, count INTEGER NOT NULL, position INTEGER NOT NULL, bytes BLOB NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS appends (
    key TEXT PRIMARY KEY, digest INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL
  ) WITHOUT ROWID`,
  // In the order in which they came. Only the oldest ever go, so `nth` has no gap and counts them.
  // Keys of a log that is older than this table are not in it, and stay.
  `CREATE TABLE IF NOT EXISTS key_order (
    nth INTEGER PRIMARY KEY, key TEXT NOT NULL, at INTEGER NOT NULL
  )`,
];

export class TopicLog {
  readonly #storage: LogStorage;

  constructor(storage: LogStorage) {
    this.#storage = storage;
    for (const statement of schema) storage.exec(statement);
  }

  append(request: TopicAppend, now: Millis): AppendOutcome {
    check(request);
    return this.#storage.transaction(() => {
      const { idempotencyKey: key, digest } = request;
      const earlier = key === undefined ? undefined : this.#appendOf(key);
      if (earlier !== undefined) {
        if (earlier.digest !== digest) return { kind: "conflict" };
        return { kind: "duplicate", first: earlier.first, count: earlier.count };
      }
      const end = this.#end();
      const first = end.next;
      for (const { rows, bytes } of request.batches) {
        const { next, position } = end;
        this.#storage.exec("INSERT INTO batches VALUES (?, ?, ?, ?)", next, rows, position, bytes);
        end.next = offset(next + rows);
        end.position += bytes.length;
      }
      const count = end.next - first;
      if (key !== undefined) {
        this.#storage.exec("INSERT INTO appends VALUES (?, ?, ?, ?)", key, digest, first, count);
        this.#storage.exec("INSERT INTO key_order (key, at) VALUES (?, ?)", key, now);
        this.#forgetKeys(now);
      }
      return { kind: "appended", first, count };
    });
  }

  /**
   * Batches from the one that holds `from`, at least one and then up to `bytesMax`; none at the end
   * of the log. The first may begin before `from`.
   *
   * @throws RangeError for an offset the log does not have, or no longer has
   */
  read(from: Offset, bytesMax: number): StoredBatch[] {
    const { first, next } = this.info(0);
    if (from < first || from > next) {
      throw new RangeError(
        `The log holds offsets [${first}, ${next}), and ${from} was asked. ` +
          `Restore the reader from a checkpoint that belongs to this topic.`,
      );
    }
    const batches: StoredBatch[] = [];
    let bytes = 0;
    let row = this.#row(
      "SELECT first, count, bytes FROM batches WHERE first <= ? ORDER BY first DESC LIMIT 1",
      from,
    );
    while (from < next && row !== undefined) {
      const batch = { ...batchOf(row), end: next };
      bytes += batch.bytes.length;
      if (batches.length > 0 && bytes > bytesMax) break;
      batches.push(batch);
      if (batches.length === readBatchesMax) break;
      // One row at a time: a range would read blobs that the limit then throws away.
      row = this.#row(
        "SELECT first, count, bytes FROM batches WHERE first = ?",
        batch.first + batch.count,
      );
    }
    return batches;
  }

  info(partition: number): PartitionInfo {
    const start = this.#row("SELECT first, position FROM batches ORDER BY first LIMIT 1");
    const end = this.#end();
    return {
      partition,
      first: start === undefined ? end.next : offset(Number(start["first"])),
      next: end.next,
      bytes: start === undefined ? 0 : end.position - Number(start["position"]),
    };
  }

  /** T3, in steps of a few, as a key comes. */
  #forgetKeys(now: Millis): void {
    const newest = Number(this.#row("SELECT max(nth) AS nth FROM key_order")!["nth"]);
    const oldest = this.#storage.exec(
      "SELECT nth, key, at FROM key_order ORDER BY nth LIMIT ?",
      forgottenMax,
    );
    for (const { nth, key, at } of oldest) {
      const isOld = Number(at) <= now - idempotencyKeyAgeMax;
      const isOneTooMany = newest - Number(nth) >= idempotencyKeysMax;
      if (!isOld && !isOneTooMany) return;
      this.#storage.exec("DELETE FROM appends WHERE key = ?", key!);
      this.#storage.exec("DELETE FROM key_order WHERE nth = ?", nth!);
    }
  }

  #end(): { next: Offset; position: number } {
    const last = this.#row(
      `SELECT first + count AS next, position + length(bytes) AS position
       FROM batches ORDER BY first DESC LIMIT 1`,
    );
    return { next: offset(Number(last?.["next"] ?? 0)), position: Number(last?.["position"] ?? 0) };
  }

  #appendOf(key: string): { digest: number; first: Offset; count: number } | undefined {
    const row = this.#row("SELECT digest, first, count FROM appends WHERE key = ?", key);
    return (
      row && {
        digest: Number(row["digest"]),
        first: offset(Number(row["first"])),
        count: Number(row["count"]),
      }
    );
  }

  #row(query: string, ...bindings: SqlValue[]): Readonly<Record<string, SqlValue>> | undefined {
    return this.#storage.exec(query, ...bindings)[0];
  }
}

function check(request: TopicAppend): void {
  if (request.batches.length === 0 && request.idempotencyKey === undefined) {
    throw new RangeError("An append needs a batch, or a key to take.");
  }
  for (const { rows, bytes } of request.batches) {
    if (!Number.isSafeInteger(rows) || rows < 1) {
      throw new RangeError(`A batch must hold at least one row, got ${rows}.`);
    }
    if (bytes.length > frameBytesMax) {
      throw new RangeError(
        `A batch of ${bytes.length} bytes was appended; cut it to ${frameBytesMax} (frameBytesMax).`,
      );
    }
  }
}

function batchOf(row: Readonly<Record<string, SqlValue>>): StoredBatch {
  const first = offset(Number(row["first"]));
  const bytes = row["bytes"];
  if (!(bytes instanceof ArrayBuffer || bytes instanceof Uint8Array)) {
    throw new TypeError(`The batch at offset ${first} holds ${typeof bytes}, not bytes.`);
  }
  return {
    first,
    count: Number(row["count"]),
    bytes: new Uint8Array(bytes),
  };
}
