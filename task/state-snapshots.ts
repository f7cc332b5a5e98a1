// What a subtask's keyed state becomes at a barrier: a full segment or a delta per state table, and
// the chain of segments that a restore reads.
//   S1. Applying a chain's segments in order gives the table as it was at the last barrier.
//   S2. A chain is extended only by what was frozen since its last segment; where a segment may be
//       lost, the next one is full.
//   S3. An empty table has no chain: it leaves nothing behind.

import type { Attempt, CheckpointId, JobId, TaskId } from "../format/ids.ts";
import type { KeyGroupRange } from "../format/key-groups.ts";
import { deltaChainMax } from "../format/limits.ts";
import { snapshotPath } from "../format/paths.ts";
import { writeSegment } from "../format/segment.ts";
import type { BytesHandle, KeyedStateHandle } from "../format/state-handle.ts";
import type { MemoryStateStore } from "../operators/state/memory.ts";

export interface FrozenState {
  /** Chains of every table that holds anything. */
  readonly keyed: readonly KeyedStateHandle[];
  /** What must be in R2 before the handles count. */
  readonly file: { readonly path: string; readonly bytes: Uint8Array } | undefined;
  /** Bytes that this snapshot added, and bytes of all it refers to. */
  readonly bytes: number;
  readonly stateBytes: number;
}

interface Chain {
  readonly uid: string;
  readonly state: string;
  segments: BytesHandle[];
}

interface Part {
  readonly chain: Chain;
  readonly kind: "full" | "delta";
  readonly bytes: Uint8Array;
}

/** Inline bytes that the chains of one subtask may hold together, in inline thresholds. */
const inlineThresholdsMax = 4;

export class StateSnapshots {
  readonly #job: JobId;
  readonly #attempt: Attempt;
  readonly #task: TaskId;
  readonly #range: KeyGroupRange;
  readonly #maxParallelism: number;
  readonly #inlineThreshold: number;
  readonly #stores = new Map<string, MemoryStateStore>();
  readonly #chains = new Map<string, Chain>();

  constructor(options: {
    readonly job: JobId;
    readonly attempt: Attempt;
    readonly task: TaskId;
    readonly range: KeyGroupRange;
    readonly maxParallelism: number;
    readonly inlineThreshold: number;
  }) {
    this.#job = options.job;
    this.#attempt = options.attempt;
    this.#task = options.task;
    this.#range = options.range;
    this.#maxParallelism = options.maxParallelism;
    this.#inlineThreshold = options.inlineThreshold;
  }

  add(uid: string, store: MemoryStateStore): void {
    this.#stores.set(uid, store);
  }

  /** A chain that this subtask was restored from, whole and alone: it goes on with it. */
  adopt(handle: KeyedStateHandle): void {
    const { uid, state, segments } = handle;
    this.#chains.set(chainKey(uid, state), { uid, state, segments: [...segments] });
  }

  /** A segment did not reach its place: nothing may build on the chains as they are. */
  lost(): void {
    this.#chains.clear();
  }

  freeze(checkpoint: CheckpointId): FrozenState {
    const parts: Part[] = [];
    for (const [uid, store] of this.#stores) {
      for (const [state, table] of store.tables()) {
        const chain = this.#chain(uid, state);
        if (table.size === 0) {
          table.freeze("full");
          chain.segments = [];
        } else if (chain.segments.length === 0 || table.changes > 0) {
          const kind = this.#kindOf(chain);
          const header = { uid, state, kind, maxParallelism: this.#maxParallelism };
          parts.push({ chain, kind, bytes: writeSegment(header, table.freeze(kind)) });
        }
      }
    }
    const file = this.#place(checkpoint, parts);
    const keyed = [...this.#chains.values()]
      .filter((chain) => chain.segments.length > 0)
      .map(({ uid, state, segments }) => ({
        uid,
        state,
        range: this.#range,
        segments: [...segments],
      }));
    return {
      keyed,
      file,
      bytes: sum(parts.map((part) => part.bytes.length)),
      stateBytes: sum(keyed.flatMap((handle) => handle.segments.map(lengthOf))),
    };
  }

  /** Appends the parts to their chains, inline or as ranges of one file. */
  #place(checkpoint: CheckpointId, parts: readonly Part[]): FrozenState["file"] {
    for (const { chain, kind } of parts) if (kind === "full") chain.segments = [];
    const total = sum(parts.map((part) => part.bytes.length));
    const isInline =
      total <= this.#inlineThreshold &&
      total + this.#inlineBytes() <= inlineThresholdsMax * this.#inlineThreshold;
    if (isInline) {
      for (const { chain, bytes } of parts) chain.segments.push({ kind: "inline", bytes });
      return undefined;
    }
    const path = snapshotPath(this.#job, checkpoint, this.#attempt, this.#task);
    const file = new Uint8Array(total);
    let offset = 0;
    for (const { chain, bytes } of parts) {
      file.set(bytes, offset);
      chain.segments.push({ kind: "file", path, offset, length: bytes.length });
      offset += bytes.length;
    }
    return { path, bytes: file };
  }

  #kindOf(chain: Chain): "full" | "delta" {
    const [base, ...deltas] = chain.segments.map(lengthOf);
    if (base === undefined || deltas.length >= deltaChainMax) return "full";
    return sum(deltas) > Math.max(base, this.#inlineThreshold) ? "full" : "delta";
  }

  #inlineBytes(): number {
    const segments = [...this.#chains.values()].flatMap((chain) => chain.segments);
    return sum(segments.map((segment) => (segment.kind === "inline" ? segment.bytes.length : 0)));
  }

  #chain(uid: string, state: string): Chain {
    const key = chainKey(uid, state);
    const known = this.#chains.get(key);
    if (known !== undefined) return known;
    const chain: Chain = { uid, state, segments: [] };
    this.#chains.set(key, chain);
    return chain;
  }
}

const chainKey = (uid: string, state: string): string => `${uid}\n${state}`;

const lengthOf = (segment: BytesHandle): number =>
  segment.kind === "inline" ? segment.bytes.length : segment.length;

const sum = (numbers: readonly number[]): number =>
  numbers.reduce((left, right) => left + right, 0);
