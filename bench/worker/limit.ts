// What the platform allows: rows to columns in one object, the bytes to another, columns to rows and
// the rows into a map there. No state, no checkpoint, no order between senders; nothing around it.
// Each stage can also be run alone.

import { DurableObject, RpcTarget } from "cloudflare:workers";

import { decodeRows, encodeRows } from "../../format/batch.ts";
import { batchRows, tally, type Purchase, purchases, type Tally } from "../data.ts";
import { Window } from "./window.ts";

export interface LimitEnv {
  readonly LIMIT_FOLDER: { getByName(name: string): LimitFolder };
}

/** Batches that are made beforehand, so that making rows is in nobody's time. */
export const poolBatches = 40;

const poolOf = (): Purchase[][] =>
  Array.from({ length: poolBatches }, (_, i) => purchases(i * batchRows, (i + 1) * batchRows));

export class LimitSender extends DurableObject<LimitEnv> {
  readonly #pool = poolOf();

  /** All stages; `rows` is a multiple of the pool's. */
  async run(rows: number): Promise<void> {
    const window = new Window();
    using session = await this.env.LIMIT_FOLDER.getByName("limit").open();
    for (let sent = 0; sent < rows; sent += batchRows) {
      const batch = this.#pool[(sent / batchRows) % poolBatches]!;
      await window.add(session.fold(encodeRows(batch)));
    }
    await window.empty();
  }

  async encode(rows: number): Promise<number> {
    let bytes = 0;
    for (let done = 0; done < rows; done += batchRows) {
      bytes += encodeRows(this.#pool[(done / batchRows) % poolBatches]!).length;
    }
    return bytes;
  }

  async transfer(rows: number): Promise<void> {
    const frames = this.#pool.map((batch) => encodeRows(batch));
    const window = new Window();
    using session = await this.env.LIMIT_FOLDER.getByName("limit").open();
    for (let sent = 0; sent < rows; sent += batchRows) {
      await window.add(session.drop(frames[(sent / batchRows) % poolBatches]!));
    }
    await window.empty();
  }

  async decode(rows: number): Promise<number> {
    const frames = this.#pool.map((batch) => encodeRows(batch));
    let decoded = 0;
    for (let done = 0; done < rows; done += batchRows) {
      decoded += decodeRows(frames[(done / batchRows) % poolBatches]!).length;
    }
    return decoded;
  }

  async fold(rows: number): Promise<number> {
    const tallies = new Map<string, Tally>();
    for (let done = 0; done < rows; done += batchRows) {
      for (const row of this.#pool[(done / batchRows) % poolBatches]!) tally(tallies, row);
    }
    return tallies.size;
  }
}

class LimitSession extends RpcTarget {
  readonly #tallies: Map<string, Tally>;

  constructor(tallies: Map<string, Tally>) {
    super();
    this.#tallies = tallies;
  }

  async fold(frame: Uint8Array): Promise<void> {
    for (const row of decodeRows(frame)) tally(this.#tallies, row as Purchase);
  }

  async drop(frame: Uint8Array): Promise<number> {
    return frame.length;
  }
}

export class LimitFolder extends DurableObject {
  #tallies = new Map<string, Tally>();

  async open(): Promise<LimitSession & Disposable> {
    return new LimitSession(this.#tallies) as LimitSession & Disposable;
  }

  async reset(): Promise<void> {
    this.#tallies = new Map();
  }

  async answer(): Promise<[string, Tally][]> {
    return [...this.#tallies];
  }
}
