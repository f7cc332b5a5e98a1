// The image of a resting subtask: what its object needs to go on where it stopped, in rows of its own
// SQLite. Written when the job rests, read when something wakes the subtask, removed before anything
// new leaves it.
//   G1. An image is of a task with nothing under way that has processed nothing since `checkpoint`, a
//       completed one. The task made of it is that task: its state, its place on every channel, the
//       segments its next delta follows.
//   G2. Every byte is under a checksum: that of the front, or those that a segment has of its own. The
//       rows of a state that are in the database anyway are not copied.
//   G3. No row is larger than SQLite takes.

import { FormatError } from "../format/format-error.ts";
import { seal, unseal } from "../format/envelope.ts";
import type { CheckpointId, Seq } from "../format/ids.ts";
import { imagePartBytesMax } from "../format/limits.ts";
import type { TaskDeployment, TaskMetrics } from "../format/messages.ts";
import { blobOf, type SqlDatabase } from "../format/sql.ts";
import { decodeValue, encodeValue } from "../format/value.ts";
import type { Watermark } from "../format/frame.ts";
import type { PastBarriers } from "./alignment.ts";
import type { ChannelWatermark } from "./channel-watermarks.ts";
import type { FrozenOperatorState } from "./operator-state.ts";
import type { KeptKeyedState } from "./state-snapshots.ts";

export interface TaskImage {
  /** Restores `checkpoint`, of which it names no states: they are here. */
  readonly deployment: TaskDeployment;
  readonly checkpoint: CheckpointId;
  /** Of each table its chain in the checkpoint, and all of it in one segment or `held` in rows. */
  readonly keyed: readonly KeptKeyedState[];
  readonly operator: readonly FrozenOperatorState[];
  readonly positions: TaskPositions;
  readonly metrics: TaskMetrics;
}

/** Where a task with nothing under way stands on its channels. */
export interface TaskPositions {
  /** The next frame that each input expects. */
  readonly inputs: readonly Seq[];
  /** The number of each output's next frame. */
  readonly outputs: readonly Seq[];
  readonly barriers: PastBarriers;
  readonly lastTriggered: number;
  /** How far event time had come, and what each input had said of it; absent where there was none. */
  readonly eventTime?: Watermark & {
    readonly channels: readonly ChannelWatermark[];
    /** What was said of it, by outgoing edge. */
    readonly edges: readonly Watermark[];
  };
}

/** What the front says of a table: the lengths of its segments, which are blobs of their own. */
interface StoredKeyedState {
  readonly handle: KeptKeyedState["handle"];
  readonly segments: readonly number[] | "held";
}

type Front = Omit<TaskImage, "keyed"> & { readonly keyed: readonly StoredKeyedState[] };

const kind = "task-image";
const version = 1;

const schema = `CREATE TABLE IF NOT EXISTS image (
  blob INTEGER NOT NULL, part INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (blob, part)
)`;

/** The rows of one image at most. Each blob is cut into parts; blob 0 is the front. */
export class ImageRows {
  readonly #db: SqlDatabase;

  constructor(db: SqlDatabase) {
    this.#db = db;
    db.exec(schema);
  }

  write(image: TaskImage): void {
    const keyed = image.keyed.map(({ handle, segments }): StoredKeyedState => ({
      handle,
      segments: segments === "held" ? "held" : segments.map((segment) => segment.length),
    }));
    const front = seal(kind, version, encodeValue({ ...image, keyed } satisfies Front));
    const segments = image.keyed.flatMap((state) =>
      state.segments === "held" ? [] : state.segments,
    );
    this.#db.transaction(() => {
      this.remove();
      [front, ...segments].forEach((bytes, blob) => this.#put(blob, bytes));
    });
  }

  /** @throws FormatError where it is damaged; what a segment's blocks hold is checked when it is read. */
  read(): TaskImage {
    const { keyed, ...rest } = decodeValue(unseal(kind, this.#blob(0), version)) as Front;
    let blob = 0;
    return {
      ...rest,
      keyed: keyed.map(({ handle, segments }) => ({
        handle,
        segments: segments === "held" ? "held" : segments.map((length) => this.#of(++blob, length)),
      })),
    };
  }

  remove(): void {
    this.#db.exec("DELETE FROM image");
  }

  #put(blob: number, bytes: Uint8Array): void {
    for (let at = 0, part = 0; at < bytes.length; at += imagePartBytesMax, part++) {
      // A view is bound as the buffer behind it, so what is bound has a buffer of its own.
      const slice = bytes.slice(at, at + imagePartBytesMax);
      this.#db.exec("INSERT INTO image (blob, part, bytes) VALUES (?, ?, ?)", blob, part, slice);
    }
  }

  #of(blob: number, length: number): Uint8Array {
    const bytes = this.#blob(blob);
    if (bytes.length === length) return bytes;
    const problem = `expected ${length} bytes, found ${bytes.length}`;
    throw new FormatError("length", `Segment ${blob} of the image: ${problem}`);
  }

  #blob(blob: number): Uint8Array {
    const parts = this.#db
      .exec("SELECT bytes FROM image WHERE blob = ? ORDER BY part", blob)
      .map((row) => blobOf(row["bytes"]));
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}
