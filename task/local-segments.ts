// The copies that a subtask keeps of its own snapshots, in the SQLite of its object, so that a restore
// needs nothing from R2 (`state.localRecovery`).
//   Q1. A copy is a hint. It is used where it has the length that the handle names and its checksums
//       are right, and R2 has the bytes in any case.
//   Q2. A copy is known by path and offset. No file is ever written twice (paths.ts), so it cannot be
//       that of other bytes, whichever attempt wrote it.
//   Q3. What is kept is what the latest completed checkpoint and those after it refer to. A checkpoint
//       that was aborted counts until a later one completes: chains go on over its segments.
//   Q4. A copy is written in several rows; one whose writing was cut short fails Q1 and is dropped
//       like any other that nothing refers to.

import type { JobConfig } from "../format/config.ts";
import type { CheckpointId } from "../format/ids.ts";
import { localPartBytesMax } from "../format/limits.ts";
import type { TaskDeployment } from "../format/messages.ts";
import type { BytesHandle, TaskStateHandle } from "../format/state-handle.ts";
import { blobOf, type SqlDatabase, textOf } from "../format/sql.ts";
import { channelsOf } from "./former-rows.ts";
import { sharesOf } from "./operator-state.ts";
import { ownKeyedState } from "./snapshot-parts.ts";

export type FileHandle = Extract<BytesHandle, { kind: "file" }>;

/** Bytes to be copied, and what they are known by. */
export interface Copy {
  readonly handle: FileHandle;
  readonly bytes: Uint8Array;
}

const table = "local_segment";

export class LocalSegments {
  readonly #db: SqlDatabase;
  /** What each checkpoint that may be restored refers to. */
  readonly #needed = new Map<number, ReadonlySet<string>>();

  constructor(db: SqlDatabase) {
    this.#db = db;
    db.exec(
      `CREATE TABLE IF NOT EXISTS ${table} (
        path TEXT NOT NULL, start INTEGER NOT NULL, part INTEGER NOT NULL, bytes BLOB NOT NULL,
        PRIMARY KEY (path, start, part)
      )`,
    );
  }

  /** Whether there is anything of them, if only an empty table. */
  static exist(db: SqlDatabase): boolean {
    const query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?";
    return db.exec(query, table).length > 0;
  }

  /** Leaves nothing behind. */
  static drop(db: SqlDatabase): void {
    db.exec(`DROP TABLE IF EXISTS ${table}`);
  }

  /** An attempt begins with a checkpoint that refers to these; other copies are of no use to it. */
  restored(checkpoint: CheckpointId | 0, handles: readonly BytesHandle[]): void {
    this.#needed.clear();
    this.needs(checkpoint, handles);
    this.#prune();
  }

  /** A checkpoint that was frozen refers to these. */
  needs(checkpoint: CheckpointId | 0, handles: readonly BytesHandle[]): void {
    this.#needed.set(checkpoint, new Set(handles.filter(isFile).map(keyOf)));
  }

  /** Writes a copy, a row at each step, so that others get their turn in between. */
  *write({ path, offset }: FileHandle, bytes: Uint8Array): Generator<void> {
    this.#delete(path, offset);
    for (let part = 0, at = 0; at < bytes.length; part++, at += localPartBytesMax) {
      const row = bytes.slice(at, at + localPartBytesMax);
      this.#db.exec(`INSERT OR REPLACE INTO ${table} VALUES (?, ?, ?, ?)`, path, offset, part, row);
      yield;
    }
  }

  /** A copy as it was found, or undefined where there is none of that length (Q1). */
  read({ path, offset, length }: FileHandle): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    let at = 0;
    // Row by row, so that no more than one of them is in memory beside the whole.
    for (let part = 0; at < length; part++) {
      const query = `SELECT bytes FROM ${table} WHERE path = ? AND start = ? AND part = ?`;
      const row = this.#db.exec(query, path, offset, part)[0];
      const piece = row && blobOf(row["bytes"]);
      if (piece === undefined || piece.length === 0 || at + piece.length > length) return undefined;
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** The checkpoint is complete: what only earlier ones refer to goes (Q3). */
  completed(checkpoint: CheckpointId): void {
    if (!this.#needed.has(checkpoint)) return;
    for (const earlier of this.#needed.keys()) {
      if (earlier < checkpoint) this.#needed.delete(earlier);
    }
    this.#prune();
  }

  #prune(): void {
    const needed = new Set([...this.#needed.values()].flatMap((keys) => [...keys]));
    for (const row of this.#db.exec(`SELECT DISTINCT path, start FROM ${table}`)) {
      const path = textOf(row["path"]);
      const offset = Number(row["start"]);
      if (!needed.has(keyOf({ path, offset }))) this.#delete(path, offset);
    }
  }

  #delete(path: string, offset: number): void {
    this.#db.exec(`DELETE FROM ${table} WHERE path = ? AND start = ?`, path, offset);
  }
}

/** The copies for an attempt that begins, or undefined where it is to keep none. */
export function localSegmentsOf(
  deployment: TaskDeployment,
  db: SqlDatabase,
): LocalSegments | undefined {
  const { config, restore } = deployment;
  if (!config.state.localRecovery) {
    LocalSegments.drop(db);
    return undefined;
  }
  const local = new LocalSegments(db);
  const own = {
    keyed: ownKeyedState(deployment),
    operator: sharesOf(deployment).map(({ handle }) => handle),
    channels: channelsOf(deployment),
  };
  local.restored(restore?.checkpoint ?? 0, copiedHandles(config, own));
  return local;
}

/** The copies of an attempt that goes on after a rest: none goes before its next checkpoint is complete. */
export const localSegmentsKept = (
  { config }: TaskDeployment,
  db: SqlDatabase,
): LocalSegments | undefined => (config.state.localRecovery ? new LocalSegments(db) : undefined);

/** What is copied of a snapshot: not keyed state whose rows are in the object as they are. */
export const copiedHandles = (
  { state: { backend } }: JobConfig,
  { keyed, operator, channels = [] }: TaskStateHandle,
): BytesHandle[] => [
  ...(backend === "sqlite" ? [] : keyed.flatMap(({ segments }) => segments)),
  ...operator.map(({ bytes }) => bytes),
  ...channels.map(({ frames }) => frames),
];

/** Whether the bytes are in a file: those that are not are in the manifest, and at hand. */
export const isFile = (handle: BytesHandle): handle is FileHandle => handle.kind === "file";

const keyOf = ({ path, offset }: Pick<FileHandle, "path" | "offset">): string =>
  `${path}\n${offset}`;
