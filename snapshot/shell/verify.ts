// Whether a snapshot is whole: every byte of it is read, every checksum compared, every entry decoded.
//   V1. What is wrong is told with file, range, operator and state, all of it, not the first alone.

import { decodeFrames } from "../../format/channel-state.ts";
import { FormatError } from "../../format/format-error.ts";
import { type Key, type KeyId, keyId } from "../../format/key.ts";
import { intersectRanges, keyGroupOf, rangeHas } from "../../format/key-groups.ts";
import type { Manifest } from "../../format/manifest.ts";
import { decodeElements } from "../../format/operator-state.ts";
import { plainSchema, type SegmentBlock, type SegmentEntry } from "../../format/segment.ts";
import type { SnapshotPart } from "../../format/snapshot-part.ts";
import {
  filesOf,
  type KeyedStateHandle,
  lengthOf,
  type OperatorStateHandle,
} from "../../format/state-handle.ts";
import { damage, readPart, type SnapshotBucket, SnapshotError } from "./files.ts";
import { SegmentReader } from "./segment-reader.ts";

export interface Verification {
  readonly files: number;
  readonly segments: number;
  readonly entries: number;
  readonly elements: number;
  readonly bytes: number;
  /** The first of them, one sentence each; none where it is whole. */
  readonly problems: readonly string[];
  /** How many there are. */
  readonly problemsInAll: number;
}

/** Problems that are told of one snapshot. */
const problemsMax = 100;

/** Bytes that are read of a file at a time. */
const readAhead = 1_024 * 1_024;

export async function verify(bucket: SnapshotBucket, manifest: Manifest): Promise<Verification> {
  const verifying = new Verifying(bucket, manifest);
  const ranges = new Map<string, KeyedStateHandle[]>();
  for (const { state } of manifest.tasks) {
    for (const handle of state.keyed) {
      const name = `${handle.uid}\n${handle.state}`;
      const others = ranges.get(name) ?? [];
      ranges.set(name, [...others, handle]);
      verifying.ranges(handle, others);
      for (const at of handle.segments.keys()) await verifying.segment(handle, at);
    }
    for (const handle of state.operator) await verifying.elementsOf(handle);
    for (const of of state.channels ?? []) {
      await verifying.part({ kind: "frames", handle: of.frames, of }, decodeFrames);
    }
  }
  return verifying.outcome;
}

class Verifying {
  readonly #bucket: SnapshotBucket;
  readonly #manifest: Manifest;
  #segments = 0;
  #entries = 0;
  #elements = 0;
  #bytes = 0;
  readonly #problems: string[] = [];
  #problemsInAll = 0;

  constructor(bucket: SnapshotBucket, manifest: Manifest) {
    this.#bucket = bucket;
    this.#manifest = manifest;
  }

  get outcome(): Verification {
    return {
      files: new Set(this.#manifest.tasks.flatMap(({ state }) => filesOf(state))).size,
      segments: this.#segments,
      entries: this.#entries,
      elements: this.#elements,
      bytes: this.#bytes,
      problems: this.#problems,
      problemsInAll: this.#problemsInAll,
    };
  }

  ranges({ uid, state, range }: KeyedStateHandle, others: readonly KeyedStateHandle[]): void {
    const other = others.find((each) => intersectRanges(each.range, range) !== undefined);
    if (other === undefined) return;
    const texts = [other.range, range].map(({ first, last }) => `${first} to ${last}`);
    this.#found(
      `The manifest gives key groups of operator "${uid}", state "${state}" to two subtasks: ` +
        `${texts.join(" and ")}.`,
    );
  }

  async segment(handle: KeyedStateHandle, at: number): Promise<void> {
    this.#segments++;
    this.#bytes += lengthOf(handle.segments[at]!);
    await this.#attempt(async () => {
      const reader = await SegmentReader.open(
        this.#bucket,
        handle,
        handle.segments[at]!,
        readAhead,
      );
      const { header, blocks } = reader.index;
      const { maxParallelism } = this.#manifest;
      if (header.maxParallelism !== maxParallelism) {
        const found = `it is of ${header.maxParallelism} key groups, not of ${maxParallelism}`;
        throw damage(reader.part, found);
      }
      if ((header.kind === "full") !== (at === 0)) {
        throw damage(reader.part, `it is a ${header.kind} segment in place ${at} of its chain`);
      }
      let seen = new Set<KeyId>();
      let group = -1;
      for (const block of blocks) {
        if (block.group !== group) seen = new Set();
        group = block.group;
        await this.#attempt(async () => {
          const entries = await reader.block(block);
          this.#entries += entries.length;
          const isMap = (header.schema ?? plainSchema).holds === "map";
          const flaw = flawOf(entries, { block, isMap, maxParallelism, seen, range: handle.range });
          if (flaw !== undefined) throw damage(reader.part, flaw);
        });
      }
    });
  }

  async elementsOf(of: OperatorStateHandle): Promise<void> {
    await this.part({ kind: "elements", handle: of.bytes, of }, (bytes) => {
      const found = decodeElements(bytes).length;
      this.#elements += found;
      if (found === of.elements) return;
      throw new FormatError("content", `expected ${of.elements} elements, found ${found}`);
    });
  }

  async part(part: SnapshotPart, read: (bytes: Uint8Array) => unknown): Promise<void> {
    const length = lengthOf(part.handle);
    this.#bytes += length;
    await this.#attempt(() => readPart(this.#bucket, part, { offset: 0, length }, read));
  }

  async #attempt(read: () => Promise<unknown>): Promise<void> {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof SnapshotError) || error.kind === "unreadable") throw error;
      this.#found(error.message);
    }
  }

  #found(problem: string): void {
    this.#problemsInAll++;
    if (this.#problems.length < problemsMax) this.#problems.push(problem);
  }
}

/** What is wrong with the entries of a block whose bytes are right. */
function flawOf(
  entries: readonly SegmentEntry[],
  of: {
    readonly block: SegmentBlock;
    readonly isMap: boolean;
    readonly maxParallelism: number;
    /** Keys of the group that came before. */
    readonly seen: Set<KeyId>;
    readonly range: KeyedStateHandle["range"];
  },
): string | undefined {
  const { group } = of.block;
  if (!rangeHas(of.range, group)) {
    return `it holds key group ${group}, and its subtask has ${of.range.first} to ${of.range.last}`;
  }
  for (const { key } of entries) {
    const own = of.isMap ? (key as readonly Key[])[0]! : key;
    const right = keyGroupOf(own, of.maxParallelism);
    if (right !== group) {
      return `a key of key group ${right} is in key group ${group}`;
    }
    const id = keyId(key);
    if (of.seen.has(id)) return `a key of key group ${group} is there twice`;
    of.seen.add(id);
  }
  return undefined;
}
