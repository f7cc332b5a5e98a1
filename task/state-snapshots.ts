// What a subtask's keyed state becomes at a barrier: a full segment or a delta per state table, and
// the chain of segments that a restore reads.
//   S1. Applying a chain's segments in order gives the table as it was at the last barrier.
//   S2. A chain is extended only by what was frozen since its last segment; where a segment may be
//       lost, the next one is full.
//   S3. An empty table has no chain: it leaves nothing behind.
//   S4. A chain that was restored is gone on with where it is this subtask's alone, whole, and of the
//       schemas the program declares today; else the next segment is full.
//   S6. Deltas that are many, or together larger than their full segment, are merged into one with
//       all that changed since that segment, where this is much less than the whole: a few keys that
//       change all the time are then never the reason to write all others again.
//   S7. The first checkpoint after a restore is what a job that was lost is waited for: what is due by S6
//       waits for the next one, as long as a chain is not twice as long or large as it may be otherwise.
//   S8. Where the keys that change are much the same each time, and few, the delta before is not followed
//       by another: one merged delta takes its place, in the acknowledgement. A checkpoint is then one write
//       of R2, the manifest, and a chain two segments.
//   S9. A large state that stays as it was at the barrier is encoded after it (late-segments.ts). Its place
//       in the chain is taken at the barrier, and where it is is known later; what refers to it waits.
//   S5. A savepoint holds every table whole and refers to nothing else; nothing else refers to it: the
//       next segment after it is full.

import type { CheckpointConfig } from "../format/config.ts";
import type { Attempt, CheckpointId, JobId, TaskId } from "../format/ids.ts";
import type { Key } from "../format/key.ts";
import { type KeyGroup, keyGroupOf, type KeyGroupRange } from "../format/key-groups.ts";
import { deltaChainMax, inlineManifestBytesMax } from "../format/limits.ts";
import { snapshotPath } from "../format/paths.ts";
import {
  plainSchema,
  readSegment,
  Segment,
  type SegmentHeader,
  writeOrderedSegment,
  writeSegment,
} from "../format/segment.ts";
import {
  type BytesHandle,
  freezesOf,
  type KeyedStateHandle,
  lengthOf,
} from "../format/state-handle.ts";
import type {
  BackendTable,
  FreezeKind,
  FrozenEntries,
  StateBackend,
} from "../operators/state/backend.ts";
import { LateSegments, type SnapshotCut } from "./late-segments.ts";
import { bytesOf, place, type SnapshotFile } from "./snapshot-file.ts";

/** A state to begin with. */
export interface RestoredKeyedState {
  readonly handle: KeyedStateHandle;
  /**
   * Its segments, or their bytes; `held` where the backend has the state itself, and `loaded` where it has
   * it from these segments.
   */
  readonly segments: readonly (Segment | Uint8Array)[] | "held" | "loaded";
}

/** The same as bytes alone, to be kept. */
export interface KeptKeyedState extends RestoredKeyedState {
  readonly segments: readonly Uint8Array[] | "held";
}

export interface FrozenState {
  /** Chains of every table that holds anything. */
  readonly keyed: readonly FrozenChain[];
  /** What must be in R2 before the handles count, but for what is late. */
  readonly file: SnapshotFile | undefined;
  /** What this snapshot adds and is not encoded yet (S9). */
  readonly late: readonly LateSegments[];
  /** Bytes that this snapshot added, without those that are late. */
  readonly bytes: number;
}

/** A state's handle, whose segments may be late. */
export interface FrozenChain extends Omit<KeyedStateHandle, "segments"> {
  readonly links: readonly Link[];
}

/** What one freeze added to a chain: one segment, or where it is large several. */
export type Link =
  LateSegments | { readonly handles: readonly BytesHandle[]; readonly bytes: number };

interface Chain {
  readonly uid: string;
  readonly state: string;
  links: Link[];
  /** Whether the table knows what changed since the first of them. */
  isMergeable: boolean;
  /** Restored, and nothing was frozen since (S7). */
  isFresh: boolean;
}

interface Part {
  readonly chain: Chain;
  readonly kind: FreezeKind;
  readonly content: Uint8Array | LateSegments;
}

/** Of the keys of a table, as many as a merged delta may hold to be worth it (S6). */
const mergedShareMax = 0.5;

/** Inline bytes that the chains of one subtask may hold together, in inline thresholds. */
const inlineThresholdsMax = 4;

/** Of what all subtasks may have inline together, what merged deltas may take beside others (S8). */
const mergedInlineShare = 0.5;

/** Keys of a merged delta, for each that has changed, up to which they are much the same (S8). */
const mergedGrowthMax = 1.5;

export class StateSnapshots {
  readonly #job: JobId;
  readonly #attempt: Attempt;
  readonly #task: TaskId;
  readonly #range: KeyGroupRange;
  readonly #maxParallelism: number;
  readonly #inlineThreshold: number;
  /** Bytes of merged deltas that may be inline (S8). */
  readonly #mergedInlineMax: number;
  readonly #incremental: boolean;
  readonly #storage: CheckpointConfig["storage"];
  readonly #backend: StateBackend;
  readonly #cut: SnapshotCut;
  readonly #chains = new Map<string, Chain>();

  constructor(options: {
    readonly job: JobId;
    readonly attempt: Attempt;
    readonly task: TaskId;
    readonly range: KeyGroupRange;
    readonly maxParallelism: number;
    readonly inlineThreshold: number;
    /** Subtasks of the job, whose snapshots are in one manifest. */
    readonly subtasks: number;
    readonly incremental: boolean;
    readonly storage: CheckpointConfig["storage"];
    readonly backend: StateBackend;
    readonly cut: SnapshotCut;
  }) {
    this.#job = options.job;
    this.#attempt = options.attempt;
    this.#task = options.task;
    this.#range = options.range;
    this.#maxParallelism = options.maxParallelism;
    this.#inlineThreshold = options.inlineThreshold;
    this.#mergedInlineMax = Math.min(
      inlineThresholdsMax * options.inlineThreshold,
      (mergedInlineShare * inlineManifestBytesMax) / options.subtasks,
    );
    this.#incremental = options.incremental;
    this.#storage = options.storage;
    this.#backend = options.backend;
    this.#cut = options.cut;
  }

  /**
   * Hands the states to the backend, for the operators that are built next. `isBorrowed`: their bytes
   * are another's, and nothing is built on them (S5).
   */
  restore(states: readonly RestoredKeyedState[], { isBorrowed = false } = {}): void {
    for (const [key, same] of Map.groupBy(states, ({ handle }) => keyOf(handle))) {
      const { uid, state } = same[0]!.handle;
      const sources = same.flatMap(({ segments }) =>
        typeof segments === "string"
          ? []
          : [{ segments: segments.map(opened), range: this.#range }],
      );
      if (sources.length > 0) this.#backend.store(uid).restore(state, sources);
      const [only, ...others] = same;
      const { first, last } = only!.handle.range;
      const isOwn = first === this.#range.first && last === this.#range.last;
      if (others.length > 0 || !isOwn || isBorrowed) continue;
      // An image has the table whole, beside a chain with deltas.
      const { segments } = only!.handle;
      const restored = only!.segments;
      const isMergeable =
        restored === "loaded" || (restored !== "held" && restored.length === segments.length);
      const chain = { uid, state, links: linksOf(segments), isMergeable, isFresh: true };
      this.#chains.set(key, chain);
    }
  }

  /** The operators are built: what none of them asked for is carried on. */
  restored(): void {
    for (const store of this.#backend.stores().values()) store.restoreRest();
    for (const { uid, state, table } of this.#tables()) {
      if (table.isUpgraded) this.#chains.delete(chainKey(uid, state));
    }
  }

  /** Whether a table holds what no checkpoint does, as its values were migrated. */
  get isUpgraded(): boolean {
    return [...this.#tables()].some(({ table }) => table.isUpgraded);
  }

  /**
   * Every table that holds anything, with its chain: what `restore` takes to go on from here. Nothing
   * is changed by it. Only for tables without changes since the last freeze.
   */
  image(): KeptKeyedState[] {
    const states: KeptKeyedState[] = [];
    for (const { uid, state, table } of this.#tables()) {
      if (table.changes > 0) throw new Error(`S2: "${state}" of "${uid}" has unsaved changes.`);
      if (table.size === 0) continue;
      const links = this.#chains.get(chainKey(uid, state))?.links ?? [];
      const handle = keyedHandleOf({ uid, state, range: this.#range, links });
      const isHeld = this.#backend.holdsRows;
      states.push({ handle, segments: isHeld ? "held" : [this.#whole(uid, state, table)] });
    }
    return states;
  }

  /** All entries of a table, also those that have expired: a freeze would drop them and forget it. */
  #whole(uid: string, state: string, table: BackendTable): Uint8Array {
    const { schema } = table;
    const maxParallelism = this.#maxParallelism;
    const groupOf = (key: Key): KeyGroup =>
      keyGroupOf(schema.holds === "map" ? (key as readonly Key[])[0]! : key, maxParallelism);
    const entries = Array.from(table.entries(), ([key, value]) => ({
      group: groupOf(key),
      key,
      value,
    }));
    return writeSegment({ uid, state, kind: "full", maxParallelism, schema }, entries);
  }

  /** A segment did not reach its place: nothing may build on the chains as they are. */
  lost(): void {
    this.#chains.clear();
  }

  /** All of it, for a savepoint; `path` is that of its file (S5). */
  freezeWhole(checkpoint: CheckpointId, path: string): FrozenState {
    this.#chains.clear();
    const keyed: Omit<KeyedStateHandle, "segments">[] = [];
    const contents: (Uint8Array | LateSegments)[] = [];
    for (const { uid, state, table } of this.#tables()) {
      if (table.size === 0) {
        table.freeze("full");
        continue;
      }
      keyed.push({ uid, state, range: this.#range });
      contents.push(this.#content({ uid, state }, "full", table, true));
    }
    this.#backend.sealed(checkpoint);
    const parts = contents.filter(isEncoded);
    const bytes = bytesOf(parts);
    const isInline = bytes <= this.#inlineThreshold;
    const { handles, file } = place(parts, { isInline, file: undefined, path });
    const placed = handles.values();
    const states = keyed.map((handle, at) => {
      const content = contents[at]!;
      return { ...handle, links: [isEncoded(content) ? linkOf(placed.next().value!) : content] };
    });
    return { keyed: states, file, late: contents.filter(isLate), bytes };
  }

  /** `isFull`: no segment refers to an earlier one, whatever the job is configured with. */
  freeze(checkpoint: CheckpointId, { isFull = false } = {}): FrozenState {
    const isWhole = isFull || !this.#incremental;
    const parts: Part[] = [];
    for (const { uid, state, table } of this.#tables()) {
      const chain = this.#chain(uid, state);
      if (table.size === 0) {
        table.freeze("full");
        chain.links = [];
      } else if (chain.links.length === 0 || table.changes > 0 || isWhole) {
        const kind = isWhole ? "full" : this.#kindOf(chain, table);
        const mayBeLate = this.#storage !== "inline";
        parts.push({ chain, kind, content: this.#content({ uid, state }, kind, table, mayBeLate) });
      }
    }
    this.#backend.sealed(checkpoint);
    const file = this.#place(checkpoint, parts);
    for (const chain of this.#chains.values()) chain.isFresh = false;
    const keyed = [...this.#chains.values()]
      .filter(({ links }) => links.length > 0)
      .map(({ uid, state, links }) => ({ uid, state, range: this.#range, links: [...links] }));
    const contents = parts.map(({ content }) => content);
    const bytes = bytesOf(contents.filter(isEncoded));
    return { keyed, file, late: contents.filter(isLate), bytes };
  }

  /** What a table holds or has changed, encoded, or where it is large and may be late, to be encoded (S9). */
  #content(
    of: Pick<SegmentHeader, "uid" | "state">,
    freezes: FreezeKind,
    table: BackendTable,
    mayBeLate: boolean,
  ): Uint8Array | LateSegments {
    const { schema } = table;
    const { holds, version, ttl } = schema;
    const isPlain = holds === plainSchema.holds && version === plainSchema.version && !ttl;
    const kind = freezes === "full" ? "full" : "delta";
    const maxParallelism = this.#maxParallelism;
    const header = { ...of, kind, maxParallelism, ...(!isPlain && { schema }) } as const;
    const entries: FrozenEntries = table.freeze(freezes);
    const { keep, bytes = 0 } = entries;
    if (mayBeLate && keep !== undefined && bytes >= this.#cut.lateFrom) {
      return new LateSegments(header, keep(), bytes, this.#cut);
    }
    return this.#backend.freezesInOrder
      ? writeOrderedSegment(header, entries)
      : writeSegment(header, entries);
  }

  /** Appends the parts to their chains, inline or as ranges of one file. */
  #place(checkpoint: CheckpointId, parts: readonly Part[]): FrozenState["file"] {
    const encoded: { readonly chain: Chain; readonly bytes: Uint8Array }[] = [];
    for (const { chain, kind, content } of parts) {
      if (kind === "full") {
        chain.links = [];
        chain.isMergeable = true;
      } else if (kind === "merged") chain.links.length = 1;
      if (isEncoded(content)) encoded.push({ chain, bytes: content });
      else chain.links.push(content);
    }
    if (encoded.length === 0) return undefined;
    const total = sum(encoded.map(({ bytes }) => bytes.length));
    const areMerged = parts.every(({ kind }) => kind === "merged");
    const isSmall =
      total <= (areMerged ? this.#mergedInlineMax : this.#inlineThreshold) &&
      total + this.#inlineBytes() <= inlineThresholdsMax * this.#inlineThreshold;
    const isInline = isSmall || this.#storage === "inline";
    if (isInline) {
      for (const { chain, bytes } of encoded) chain.links.push(linkOf({ kind: "inline", bytes }));
      return undefined;
    }
    const path = snapshotPath(this.#job, checkpoint, this.#attempt, this.#task);
    // A large state is one part, and not worth copying.
    const file = encoded.length === 1 ? encoded[0]!.bytes : new Uint8Array(total);
    let offset = 0;
    for (const { chain, bytes } of encoded) {
      if (file !== bytes) file.set(bytes, offset);
      chain.links.push(linkOf({ kind: "file", path, offset, length: bytes.length }));
      offset += bytes.length;
    }
    return { path, bytes: file };
  }

  #kindOf(chain: Chain, table: BackendTable): FreezeKind {
    const [base, ...deltas] = chain.links.map(({ bytes }) => bytes);
    if (base === undefined) return "full";
    if (deltas.length <= 1 && this.#mayBeReplaced(chain, base, table)) return "merged";
    const most = chain.isFresh ? 2 : 1;
    const isShort = deltas.length < most * deltaChainMax;
    if (isShort && sum(deltas) <= most * Math.max(base, this.#inlineThreshold)) return "delta";
    if (!chain.isMergeable) return "full";
    return (table.mergedChanges ?? Infinity) <= mergedShareMax * table.size ? "merged" : "full";
  }

  /** Whether a merged delta is to take the place of the only one there is, or to be the first (S8). */
  #mayBeReplaced({ links, isMergeable }: Chain, base: number, table: BackendTable): boolean {
    if (!isMergeable || this.#backend.holdsRows || this.#mergedInlineMax === 0) return false;
    const keyBytes = base / table.size;
    // One that is inline and was not let in otherwise does not stay where others follow it.
    const [, delta] = links;
    const isInTheWay =
      this.#storage !== "inline" &&
      delta !== undefined &&
      delta.handles?.[0]?.kind === "inline" &&
      delta.bytes > this.#inlineThreshold;
    if (table.changes * keyBytes > this.#mergedInlineMax && !isInTheWay) return false;
    const merged = table.mergedChanges ?? Infinity;
    if (isInTheWay && merged <= mergedShareMax * table.size) return true;
    return merged <= mergedGrowthMax * table.changes && merged * keyBytes <= this.#mergedInlineMax;
  }

  #inlineBytes(): number {
    const links = [...this.#chains.values()].flatMap((chain) => chain.links);
    const inline = links.filter(({ handles }) => handles?.[0]?.kind === "inline");
    return sum(inline.map(({ bytes }) => bytes));
  }

  *#tables(): Generator<{ uid: string; state: string; table: BackendTable }> {
    for (const [uid, store] of this.#backend.stores()) {
      for (const [state, table] of store.tables()) yield { uid, state, table };
    }
  }

  #chain(uid: string, state: string): Chain {
    const key = chainKey(uid, state);
    const known = this.#chains.get(key);
    if (known !== undefined) return known;
    const chain: Chain = { uid, state, links: [], isMergeable: false, isFresh: false };
    this.#chains.set(key, chain);
    return chain;
  }
}

/** The handle of a chain of which nothing is late any more. */
export function keyedHandleOf({ links, ...of }: FrozenChain): KeyedStateHandle {
  const segments = links.flatMap((link) => {
    if (link.handles === undefined) throw new Error(`S9: "${of.state}" of "${of.uid}" is late.`);
    return link.handles;
  });
  return { ...of, segments };
}

const linksOf = (segments: readonly BytesHandle[]): Link[] =>
  freezesOf(segments).map((handles) => ({ handles, bytes: sum(handles.map(lengthOf)) }));

const linkOf = (handle: BytesHandle): Link => ({ handles: [handle], bytes: lengthOf(handle) });

const isEncoded = (content: Uint8Array | LateSegments): content is Uint8Array =>
  content instanceof Uint8Array;

const isLate = (content: Uint8Array | LateSegments): content is LateSegments =>
  content instanceof LateSegments;

const opened = (segment: Segment | Uint8Array): Segment =>
  segment instanceof Segment ? segment : readSegment(segment);

const keyOf = ({ uid, state }: KeyedStateHandle): string => chainKey(uid, state);

const chainKey = (uid: string, state: string): string => `${uid}\n${state}`;

const sum = (numbers: readonly number[]): number =>
  numbers.reduce((left, right) => left + right, 0);
