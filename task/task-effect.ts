// What a task asks its shell to do. Effects of one event are done in their order.

import type {
  AlignmentReport,
  CheckpointAck,
  CheckpointDecline,
  StoredBatch,
  TaskFailure,
} from "../format/messages.ts";
import type { Seq } from "../format/ids.ts";
import type { Call } from "../operators/async-requests.ts";
import type { CallingOperator } from "../operators/operator.ts";
import type { Append, FilePut } from "./commits.ts";
import type { SnapshotFile } from "./snapshot-file.ts";

export type TaskEffect =
  /** Open a session on this output; `reopened` tells how it went. */
  | { readonly kind: "open"; readonly channel: number }
  | {
      readonly kind: "push";
      readonly channel: number;
      readonly seq: Seq;
      readonly frame: Uint8Array;
    }
  /** Learn when the receiver has processed this frame of an earlier session. */
  | { readonly kind: "awaitSettled"; readonly channel: number; readonly seq: Seq }
  /** A frame of this input was processed: its credit goes back. */
  | { readonly kind: "release"; readonly channel: number; readonly seq: Seq }
  | { readonly kind: "read"; readonly partition: number; readonly from: StoredBatch["first"] }
  /** Store the next bytes of that file, of which more will come; `pieceStored`, or `pieceLost`. */
  | { readonly kind: "piece"; readonly path: string; readonly bytes: Uint8Array }
  /** Nothing more of that file will come: what is stored of it is of no use. */
  | { readonly kind: "discard"; readonly path: string }
  /** Store the file, or its last bytes, then acknowledge; where that fails, `snapshotLost` and decline. */
  | {
      readonly kind: "snapshot";
      readonly file: SnapshotFile | undefined;
      readonly ack: CheckpointAck;
    }
  /** Append to a topic partition, until it is there; `committed` tells the core. */
  | { readonly kind: "append"; readonly commit: Append }
  /** Put the file into the bucket, until it is there; `committed` tells the core. */
  | { readonly kind: "put"; readonly commit: FilePut }
  /** Make these calls of an operator; `answered` tells what came of each. */
  | {
      readonly kind: "call";
      readonly uid: string;
      readonly invoke: CallingOperator["invoke"];
      readonly calls: readonly Call[];
    }
  /** These calls are of no use any more. */
  | { readonly kind: "abandon"; readonly uid: string; readonly calls: readonly Call["id"][] }
  | { readonly kind: "decline"; readonly decline: CheckpointDecline }
  /** Tell the coordinator, once: no row will come any more, and all is through (A10 of task.ts). */
  | { readonly kind: "ended" }
  /** Tell the coordinator where this source stands; `alignmentReported` with its answer. */
  | { readonly kind: "reportAlignment"; readonly report: AlignmentReport }
  | { readonly kind: "fail"; readonly failure: TaskFailure };
