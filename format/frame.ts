// What goes over a channel: one tag byte, then rows or a mark. Marks are tiny frames in the same
// order as the rows around them.
//   F1. A frame is `data` or a mark; only `data` needs credit.
//   F2. The kind of a barrier is a time: that from which it overtakes the rows before it. 0 stands for
//       at once (unaligned), infinity for never (aligned), and what is in between for aligned at first.
//   F4. A watermark says that no row behind it has an earlier time, or one as early, unless it is late; an
//       idle one, that none will come until another mark says so. The last one of a channel is
//       infinity: its rows have ended.
//   F3. The barrier of a savepoint names the folder that every subtask writes its part into; that of a
//       full checkpoint says that no segment may refer to an earlier one. One that is aligned though the
//       job's are not says so by its kind. The last checkpoint of a job stops everybody, as a stop does.

import { type CheckpointId, checkpointId } from "./ids.ts";

const tags = { data: 1, barrier: 2, watermark: 3 } as const;

/** The second byte of a barrier. */
const purposes = { checkpoint: 0, savepoint: 1, stop: 2, full: 3, final: 4, drain: 5 } as const;

/** What a subtask needs to know of a savepoint. */
export interface SavepointMark {
  /** Where its files go (`paths.ts`). */
  readonly folder: string;
  /** Sources emit nothing behind its barrier, unless it fails. */
  readonly stops: boolean;
  /** With `stops`: event time has ended before its barrier, and all that waited for it is let go. */
  readonly drains?: true;
}

/** What a checkpoint is beside one as the job is configured; `final`: the job's input has ended. */
export type Purpose = SavepointMark | "full" | "aligned" | "final";

export interface Barrier {
  readonly checkpoint: CheckpointId;
  /** Milliseconds since the epoch, `atOnce` or `never`. */
  readonly overtakesAt: number;
  /** Absent where nothing is to be said. */
  readonly purpose?: Purpose;
}

export const atOnce = 0;
export const never = Infinity;

/** How far event time has come in a stream. */
export interface Watermark {
  /** Milliseconds since the epoch; `noTime` before the first, `endOfTime` after the last row. */
  readonly time: number;
  /** Whether whoever waits for the least of several need not wait for this one. */
  readonly isIdle: boolean;
}

export const noTime = -Infinity;
export const endOfTime = Infinity;

/** The same in metrics, which have no infinity: Flink's last watermark. */
export const endOfTimeMetric = 2 ** 63;

/** The rows stay encoded until the chain asks for them. */
export type Frame =
  | { readonly kind: "data"; readonly rows: Uint8Array }
  | ({ readonly kind: "barrier" } & Barrier)
  | ({ readonly kind: "watermark" } & Watermark);

/** Bytes before the rows of a data frame; a multiple of 8 keeps typed columns aligned. */
export const headerBytes = 8;
const barrierBytes = 3 * headerBytes;
const watermarkBytes = 2 * headerBytes;

export function encodeData(rows: Uint8Array): Uint8Array {
  const frame = new Uint8Array(headerBytes + rows.length);
  frame[0] = tags.data;
  frame.set(rows, headerBytes);
  return frame;
}

/** Makes a data frame of bytes that begin with `headerBytes` zeros, in place. */
export function dataFrame(bytes: Uint8Array): Uint8Array {
  bytes[0] = tags.data;
  return bytes;
}

export function encodeBarrier(
  checkpoint: CheckpointId,
  overtakesAt = never,
  purpose?: Purpose,
): Uint8Array {
  const savepoint = savepointOf(purpose);
  const folder = new TextEncoder().encode(savepoint?.folder ?? "");
  const frame = new Uint8Array(barrierBytes + folder.length);
  frame[0] = tags.barrier;
  if (purpose === "full" || purpose === "final") frame[1] = purposes[purpose];
  if (savepoint !== undefined) frame[1] = purposeOf(savepoint);
  frame.set(folder, barrierBytes);
  const view = new DataView(frame.buffer);
  view.setFloat64(headerBytes, checkpoint, true);
  view.setFloat64(2 * headerBytes, overtakesAt, true);
  return frame;
}

export function encodeWatermark({ time, isIdle }: Watermark): Uint8Array {
  const frame = new Uint8Array(watermarkBytes);
  frame[0] = tags.watermark;
  frame[1] = isIdle ? 1 : 0;
  new DataView(frame.buffer).setFloat64(headerBytes, time, true);
  return frame;
}

export function decodeFrame(bytes: Uint8Array): Frame {
  const tag = bytes[0];
  if (bytes.length < headerBytes)
    throw new RangeError(`A frame has ${bytes.length} bytes, at least 8 expected.`);
  if (tag === tags.data) return { kind: "data", rows: bytes.subarray(headerBytes) };
  if (tag === tags.watermark && bytes.length === watermarkBytes) {
    const time = new DataView(bytes.buffer, bytes.byteOffset).getFloat64(headerBytes, true);
    return { kind: "watermark", time, isIdle: bytes[1] === 1 };
  }
  const purpose = bytes[1] as (typeof purposes)[keyof typeof purposes];
  const stops = purpose === purposes.stop || purpose === purposes.drain;
  const isSavepoint = purpose === purposes.savepoint || stops;
  const isWhole = isSavepoint ? bytes.length > barrierBytes : bytes.length === barrierBytes;
  if (tag === tags.barrier && isWhole) {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const checkpoint = checkpointId(view.getFloat64(headerBytes, true));
    const overtakesAt = view.getFloat64(2 * headerBytes, true);
    if (purpose === purposes.full || purpose === purposes.final) {
      const given = purpose === purposes.full ? "full" : "final";
      return { kind: "barrier", checkpoint, overtakesAt, purpose: given };
    }
    if (!isSavepoint) return { kind: "barrier", checkpoint, overtakesAt };
    const folder = new TextDecoder().decode(bytes.subarray(barrierBytes));
    const drains = purpose === purposes.drain && { drains: true as const };
    return { kind: "barrier", checkpoint, overtakesAt, purpose: { folder, stops, ...drains } };
  }
  throw new RangeError(
    `A frame has tag ${tag} and ${bytes.length} bytes, neither rows nor a mark.`,
  );
}

/** The savepoint that is meant; undefined where it is a checkpoint. */
export const savepointOf = (purpose: Purpose | undefined): SavepointMark | undefined =>
  typeof purpose === "string" ? undefined : purpose;

/** Whether nothing is done behind its barrier, unless it fails. */
export const stopsAll = (purpose: Purpose | undefined): boolean =>
  purpose === "final" || savepointOf(purpose)?.stops === true;

const purposeOf = ({ stops, drains }: SavepointMark): number => {
  if (drains) return purposes.drain;
  return stops ? purposes.stop : purposes.savepoint;
};

export const needsCredit = (frame: Uint8Array): boolean => frame[0] === tags.data;
