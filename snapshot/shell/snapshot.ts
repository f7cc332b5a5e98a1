// A snapshot, looked into: a savepoint, or a checkpoint that is retained. No job has to run.
//   S1. One key is read by its key group: of each segment the front, and the blocks of that group.
//   S2. All of it is read a key group at a time; no more than that of one state is in memory, beside
//       what requests took in ahead.

import { type Key, keyId } from "../../format/key.ts";
import { type KeyGroup, keyGroupOf, rangeHas } from "../../format/key-groups.ts";
import type { Manifest } from "../../format/manifest.ts";
import { decodeElements } from "../../format/operator-state.ts";
import { plainSchema, type SegmentEntry, type StoredSchema } from "../../format/segment.ts";
import {
  type KeyedStateHandle,
  lengthOf,
  mayHave,
  type OperatorStateHandle,
} from "../../format/state-handle.ts";
import { entryOf, folded, inKeyOrder, type LiveEntry } from "../fold.ts";
import { type KeyedState, type OperatorState, type SnapshotState, statesIn } from "../states.ts";
import { manifestAt, readPart, type SnapshotBucket } from "./files.ts";
import { SegmentReader } from "./segment-reader.ts";

/** Bytes that reading all of a state may take in ahead, its segments together. */
const readAheadMax = 2 * 1_024 * 1_024;

/** What a state holds of one key. */
export interface Found {
  readonly schema: StoredSchema;
  /** The one entry; of a map all entries of the key, whose keys are pairs, or the one asked for. */
  readonly entries: readonly LiveEntry[];
}

export class Snapshot {
  readonly manifest: Manifest;
  readonly states: readonly SnapshotState[];
  readonly #bucket: SnapshotBucket;

  constructor(bucket: SnapshotBucket, manifest: Manifest) {
    this.manifest = manifest;
    this.states = statesIn(manifest);
    this.#bucket = bucket;
  }

  /** @throws SnapshotError where there is none, or none that can be read */
  static async open(bucket: SnapshotBucket, path: string): Promise<Snapshot> {
    return new Snapshot(bucket, await manifestAt(bucket, path));
  }

  /** What the values of a keyed state are. @throws SnapshotError */
  async schemaOf({ handles }: KeyedState): Promise<StoredSchema> {
    const { schema } = (await this.#open(handles[0]!, handles[0]!.segments.length - 1)).index
      .header;
    return schema ?? plainSchema;
  }

  /**
   * Looks up one key (S1).
   *
   * @param mapKey of a map, one entry only
   * @throws SnapshotError
   */
  async lookUp({ handles }: KeyedState, key: Key, mapKey?: Key): Promise<Found | undefined> {
    const group = keyGroupOf(key, this.manifest.maxParallelism);
    const handle = handles.find(({ range }) => rangeHas(range, group));
    if (handle === undefined) return undefined;
    const newest = await this.#open(handle, handle.segments.length - 1);
    const schema = newest.index.header.schema ?? plainSchema;
    const isMap = schema.holds === "map";
    if (isMap && mapKey === undefined) {
      const id = keyId(key);
      const isUnder = ({ key: pair }: LiveEntry): boolean =>
        Object.is(keyId((pair as readonly Key[])[0]!), id);
      const entries = inKeyOrder((await this.#group(handle, group)).filter(isUnder));
      return entries.length === 0 ? undefined : { schema, entries };
    }
    const wanted = isMap ? [key, mapKey!] : key;
    for (let at = handle.segments.length - 1; at >= 0; at--) {
      if (!mayHave(handle.segments[at]!, { first: group, last: group })) continue;
      const reader = at === handle.segments.length - 1 ? newest : await this.#open(handle, at);
      const entry = entryOf(await reader.entries(group), wanted);
      if (entry === undefined) continue;
      return "value" in entry ? { schema, entries: [entry] } : undefined;
    }
    return undefined;
  }

  /** All entries, ordered by key group and by their keys as texts (S2). @throws SnapshotError */
  async *entries({
    handles,
  }: KeyedState): AsyncGenerator<LiveEntry & { readonly schema: StoredSchema }> {
    for (const handle of handles) {
      const readAhead = Math.ceil(readAheadMax / handle.segments.length);
      const readers: SegmentReader[] = [];
      for (const at of handle.segments.keys())
        readers.push(await this.#open(handle, at, readAhead));
      const schema = readers.at(-1)!.index.header.schema ?? plainSchema;
      const groups = new Set(readers.flatMap((reader) => reader.groups));
      for (const group of [...groups].sort((a, b) => a - b)) {
        if (!rangeHas(handle.range, group)) continue;
        const chain: SegmentEntry[][] = [];
        for (const reader of readers) chain.push(await reader.entries(group));
        for (const entry of inKeyOrder(folded(chain))) yield { ...entry, schema };
      }
    }
  }

  /** The elements of one subtask's part of a state without keys. @throws SnapshotError */
  elements({ uid, state, bytes }: OperatorStateHandle): Promise<unknown[]> {
    const part = { kind: "elements", handle: bytes, of: { uid, state } } as const;
    return readPart(this.#bucket, part, { offset: 0, length: lengthOf(bytes) }, decodeElements);
  }

  /** The fronts of all segments of a keyed state, oldest first of each subtask. @throws SnapshotError */
  async *fronts({ handles }: KeyedState): AsyncGenerator<{
    readonly handle: KeyedStateHandle;
    readonly reader: SegmentReader;
  }> {
    for (const handle of handles) {
      for (const at of handle.segments.keys()) {
        yield { handle, reader: await this.#open(handle, at) };
      }
    }
  }

  async #group(handle: KeyedStateHandle, group: KeyGroup): Promise<LiveEntry[]> {
    const chain: SegmentEntry[][] = [];
    for (const [at, segment] of handle.segments.entries()) {
      if (!mayHave(segment, { first: group, last: group })) continue;
      chain.push(await (await this.#open(handle, at)).entries(group));
    }
    return folded(chain);
  }

  #open(handle: KeyedStateHandle, at: number, readAhead?: number): Promise<SegmentReader> {
    return SegmentReader.open(this.#bucket, handle, handle.segments[at]!, readAhead);
  }
}

export const isKeyed = (state: SnapshotState): state is KeyedState => state.kind === "keyed";
export const isOperator = (state: SnapshotState): state is OperatorState =>
  state.kind === "operator";
