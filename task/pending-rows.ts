// The rows of one channel on their way into a frame: which rows of which batches, so that columns are
// copied once, from the batch that they came in to the frame that they leave in.
//   N1. Frames have the rows in the order in which they were added, at most `batchRowsMax` each, and
//       fewer where they are large.
//   N3. Rows keep their event times.
//   N2. Where all rows of a frame are held as columns of the same fields no row is made.

import { encodeColumns, encodeRows } from "../format/batch.ts";
import { dataFrame, headerBytes } from "../format/frame.ts";
import { batchRowsMax, frameBytesMax } from "../format/limits.ts";
import { isColumnar, type ColumnarBatch, type RecordBatch } from "../operators/operator.ts";

/** Some rows of a batch. */
interface Piece<B extends RecordBatch = RecordBatch> {
  readonly batch: B;
  /** Their positions in it, in order; where absent they stand one after the other. */
  readonly select: Int32Array | undefined;
  /** The first to take: in `select`, or in the batch itself. */
  readonly from: number;
  readonly count: number;
}

export class PendingRows {
  readonly #offer: (frame: Uint8Array, rows: number, bytes: number) => void;
  #pieces: Piece[] = [];
  #count = 0;

  /** @param offer takes a frame, and says how many rows it has and how many bytes they are. */
  constructor(offer: (frame: Uint8Array, rows: number, bytes: number) => void) {
    this.#offer = offer;
  }

  /** Rows that wait. */
  get count(): number {
    return this.#count;
  }

  /** Adds rows of a batch: those at the first `count` positions of `select`, or its first ones. */
  add(batch: RecordBatch, select: Int32Array | undefined, count: number): void {
    for (let from = 0; from < count;) {
      const taken = Math.min(count - from, batchRowsMax - this.#count);
      this.#pieces.push({ batch, select, from, count: taken });
      this.#count += taken;
      from += taken;
      if (this.#count === batchRowsMax) this.cut();
    }
  }

  /** Makes a frame of what is there, if anything is. */
  cut(): void {
    if (this.#count === 0) return;
    const pieces = this.#pieces;
    const count = this.#count;
    this.#pieces = [];
    this.#count = 0;
    const encoded = encode(pieces);
    if (encoded.length - headerBytes <= frameBytesMax || count === 1) {
      return this.#frame(encoded, count);
    }
    this.#halves(rowsOf(pieces), timestampsOf(pieces));
  }

  #halves(rows: readonly unknown[], times: Float64Array | undefined): void {
    const half = rows.length >> 1;
    for (const [from, end] of [
      [0, half],
      [half, rows.length],
    ] as const) {
      const part = rows.slice(from, end);
      const partTimes = times?.subarray(from, end);
      const encoded = encodeRows(part, { headroom: headerBytes, ...timed(partTimes) });
      if (encoded.length - headerBytes > frameBytesMax && part.length > 1) {
        this.#halves(part, partTimes);
      } else this.#frame(encoded, part.length);
    }
  }

  #frame(bytes: Uint8Array, rows: number): void {
    this.#offer(dataFrame(bytes), rows, bytes.length - headerBytes);
  }
}

function encode(pieces: readonly Piece[]): Uint8Array {
  const fields = pieces[0]!.batch.fields;
  const options = { headroom: headerBytes, ...timed(timestampsOf(pieces)) };
  if (fields !== undefined && pieces.every((piece) => hasFields(piece, fields))) {
    return encodeColumns(fields, pieces as readonly Piece<ColumnarBatch>[], options);
  }
  return encodeRows(rowsOf(pieces), options);
}

const timed = (timestamps: Float64Array | undefined) => timestamps && { timestamps };

/** The event times of the rows; undefined where none has one, and NaN of those that have none. */
function timestampsOf(pieces: readonly Piece[]): Float64Array | undefined {
  if (pieces.every(({ batch }) => batch.timestamps === undefined)) return undefined;
  const gathered = new Float64Array(pieces.reduce((sum, { count }) => sum + count, 0));
  let at = 0;
  for (const { batch, select, from, count } of pieces) {
    const times = batch.timestamps;
    if (times === undefined) gathered.fill(NaN, at, at + count);
    else if (select === undefined) gathered.set(times.subarray(from, from + count), at);
    else for (let i = 0; i < count; i++) gathered[at + i] = times[select[from + i]!]!;
    at += count;
  }
  return gathered;
}

function hasFields({ batch }: Piece, fields: readonly string[]): boolean {
  if (!isColumnar(batch)) return false;
  const own = batch.fields;
  return (
    own === fields ||
    (own.length === fields.length && own.every((field, at) => field === fields[at]))
  );
}

function rowsOf(pieces: readonly Piece[]): unknown[] {
  const gathered = new Array<unknown>(pieces.reduce((sum, { count }) => sum + count, 0));
  let at = 0;
  for (const { batch, select, from, count } of pieces) {
    const rows = batch.rows();
    for (let i = from; i < from + count; i++) {
      gathered[at++] = rows[select === undefined ? i : select[i]!];
    }
  }
  return gathered;
}
