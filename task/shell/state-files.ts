// Snapshot files in R2, from the side of a subtask, and the copies that it may have of them.
//   F1. No byte is given to the core before it is known to be what was written.
//   F2. What looks damaged is read once more, as the transfer may have been at fault; then it counts
//       as damaged. An operation of R2 that fails says nothing of the file: it is tried again, and
//       in the end whoever deploys decides whether to try later.

import { decodeFrames } from "../../format/channel-state.ts";
import { taskKey } from "../../format/ids.ts";
import type { RestoredBytes, TaskDeployment } from "../../format/messages.ts";
import type { Segment } from "../../format/segment.ts";
import { type SnapshotPart, titleOf } from "../../format/snapshot-part.ts";
import type { SqlDatabase } from "../../format/sql.ts";
import type { KeyedStateHandle } from "../../format/state-handle.ts";
import type { StateBackend } from "../../operators/state/backend.ts";
import type { JobGraph } from "../../stream/graph.ts";
import { channelsOf, restoredChannel } from "../former-rows.ts";
import { type Copy, type FileHandle, isFile, type LocalSegments } from "../local-segments.ts";
import { sharesOf } from "../operator-state.ts";
import { RowsLoader } from "../rows-loader.ts";
import type { SnapshotFile } from "../snapshot-file.ts";
import { contentOf, ownKeyedState, type PartContent } from "../snapshot-parts.ts";
import type { RestoredState } from "../task-state.ts";

/** Milliseconds before each further try to read a file; after the last it cannot be read. */
const readDelays = [50, 200, 1_000];

type SegmentPart = SnapshotPart & { readonly of: KeyedStateHandle };

/** Parts that are read at the same time: an object may hold six connections, and others need some. */
const readsAtOnce = 4;

/** Stores a file under its own key; keys are never used twice, so an existing one is an error. */
export async function storeFile(bucket: R2Bucket, file: SnapshotFile): Promise<void> {
  const created = await bucket.put(file.path, file.bytes, { onlyIf: { etagDoesNotMatch: "*" } });
  if (created === null) throw new Error(`${file.path} exists already.`);
}

/** A file that is stored piece by piece, and is not there before the last of them. */
export class Upload {
  readonly #bucket: R2Bucket;
  readonly #path: string;
  readonly #parts: R2UploadedPart[] = [];
  #upload: Promise<R2MultipartUpload> | undefined;
  /** All parts but the last are as large as the first. */
  #pieceBytes = 0;

  constructor(bucket: R2Bucket, path: string) {
    this.#bucket = bucket;
    this.#path = path;
  }

  /** @throws where the file exists, as `storeFile` does */
  async add(piece: Uint8Array): Promise<void> {
    if (this.#upload === undefined) {
      this.#pieceBytes = piece.length;
      this.#upload = this.#begin();
    }
    const upload = await this.#upload;
    this.#parts.push(await upload.uploadPart(this.#parts.length + 1, piece));
  }

  async #begin(): Promise<R2MultipartUpload> {
    const found = await this.#bucket.head(this.#path);
    if (found !== null) throw new Error(`${this.#path} exists already.`);
    return this.#bucket.createMultipartUpload(this.#path);
  }

  /** With its last bytes the file is there. */
  async finish(rest: Uint8Array): Promise<void> {
    for (let at = 0; at < rest.length; at += this.#pieceBytes) {
      await this.add(rest.subarray(at, at + this.#pieceBytes));
    }
    await (await this.#upload!).complete(this.#parts);
  }

  /** Leaves nothing behind; where that fails, R2 does so by itself in a week. */
  async abort(): Promise<void> {
    // It may have just been begun: R2 has it then, whoever knows of it.
    const upload = await this.#upload?.catch(() => undefined);
    await upload?.abort().catch(() => {});
  }
}

export type LoadOutcome =
  | {
      readonly kind: "loaded";
      readonly state: RestoredState | undefined;
      readonly bytes: RestoredBytes;
      /** What it had no copies of, although it keeps some: the next checkpoints may build on it. */
      readonly uncopied: readonly Copy[];
    }
  /** What the checkpoint consists of is not there, or is not what was written. */
  | { readonly kind: "damaged"; readonly reason: string }
  /** R2 did not give it. */
  | { readonly kind: "unreadable"; readonly reason: string };

/** Where a subtask gets its state from. */
export interface StateSource {
  readonly bucket: R2Bucket;
  /** Its own copies, where it keeps some. */
  readonly local: LocalSegments | undefined;
  /** Keyed state stays in the object that has it. */
  readonly isHeld: boolean;
  /** The object's, and whether it is still the attempt's. */
  readonly database: SqlDatabase;
  readonly isCurrent: () => boolean;
}

/** The parts of the deployment's checkpoint that this subtask owns, with their bytes. */
export async function loadState(
  source: StateSource,
  deployment: TaskDeployment,
  graph: JobGraph,
): Promise<LoadOutcome> {
  const reading = new Reading(source);
  try {
    const state = await reading.state(deployment, graph);
    const { bytes, missed, uncopied } = reading;
    if (state !== undefined && source.local !== undefined && bytes.local + bytes.remote > 0) {
      const what = `Subtask ${taskKey(deployment.task)} restored checkpoint ${state.checkpoint}`;
      const where = `${bytes.local} bytes from its own copies and ${bytes.remote} from R2`;
      console.log(
        `${what}: ${where}.${missed === undefined ? "" : ` R2 was read because ${missed}.`}`,
      );
    }
    return { kind: "loaded", state, bytes, uncopied };
  } catch (error) {
    if (error instanceof Damage) return { kind: "damaged", reason: error.message };
    return { kind: "unreadable", reason: error instanceof Error ? error.message : String(error) };
  }
}

/** What ends a reading for good. */
class Damage extends Error {}

class Reading {
  readonly #source: StateSource;
  #local = 0;
  #remote = 0;
  #missed: string | undefined;
  readonly #uncopied: Copy[] = [];

  constructor(source: StateSource) {
    this.#source = source;
  }

  get bytes(): RestoredBytes {
    return { local: this.#local, remote: this.#remote };
  }

  /** Why R2 was read although copies are kept: the first of the reasons. */
  get missed(): string | undefined {
    return this.#missed;
  }

  get uncopied(): readonly Copy[] {
    return this.#uncopied;
  }

  async state(deployment: TaskDeployment, graph: JobGraph): Promise<RestoredState | undefined> {
    const { restore } = deployment;
    if (restore === undefined) return undefined;
    const { isHeld } = this.#source;
    const isInRows = deployment.config.state.backend === "sqlite";
    const states = ownKeyedState(deployment);
    const parts = states.flatMap((of) =>
      of.segments.map((handle) => ({ kind: "segment", handle, of }) as const),
    );
    const backend = isInRows && !isHeld ? await this.#load(deployment, parts) : undefined;
    const segments = isInRows ? [] : parts;
    const shares = sharesOf(deployment);
    const elements = shares.map(({ handle: of }) => {
      return { kind: "elements", handle: of.bytes, of } as const;
    });
    const channels = channelsOf(deployment);
    const frames = channels.map((of) => ({ kind: "frames", handle: of.frames, of }) as const);
    const contents = await this.#all([...segments, ...elements, ...frames]);
    const of = (part: SnapshotPart): PartContent => contents.get(part)!;
    return {
      checkpoint: restore.checkpoint,
      keyed: states.map((handle) => {
        if (isInRows) return { handle, segments: isHeld ? "held" : "loaded" };
        return { handle, segments: segments.filter((part) => part.of === handle).map(of) };
      }),
      ...(backend && { backend }),
      operator: shares.map((share, at) => ({ ...share, bytes: of(elements[at]!) as Uint8Array })),
      channels: channels.map((handle, at) => {
        const bytes = of(frames[at]!) as Uint8Array;
        return restoredChannel(deployment, graph, handle, decodeFrames(bytes));
      }),
    };
  }

  /** Segments into rows, in their order, while the next ones are on their way. */
  async #load(deployment: TaskDeployment, parts: readonly SegmentPart[]): Promise<StateBackend> {
    const { database } = this.#source;
    this.#seeWhetherCurrent();
    const loader = new RowsLoader(deployment, database);
    const own = parts.filter(({ handle }) => loader.owns(handle));
    const coming: Promise<PartContent>[] = [];
    try {
      for (const [at, { of, handle }] of own.entries()) {
        for (const part of own.slice(at + coming.length, at + readsAtOnce)) {
          const content = this.#part(part, { isCopied: false });
          // What is not waited for yet may fail.
          content.catch(() => {});
          coming.push(content);
        }
        const segment = (await coming.shift()!) as Segment;
        this.#seeWhetherCurrent();
        loader.load(of, handle, segment);
        // Others have their turn.
        await scheduler.wait(0);
      }
    } finally {
      await Promise.allSettled(coming);
    }
    this.#seeWhetherCurrent();
    loader.done();
    return loader.backend;
  }

  #seeWhetherCurrent(): void {
    if (!this.#source.isCurrent()) throw new Error("Another attempt has begun.");
  }

  /** A few at a time; what ends the reading of one ends it once none is under way any more. */
  async #all(parts: readonly SnapshotPart[]): Promise<ReadonlyMap<SnapshotPart, PartContent>> {
    const contents = new Map<SnapshotPart, PartContent>();
    const left = parts.values();
    const failures: unknown[] = [];
    const read = async (): Promise<void> => {
      for (const part of left) {
        if (failures.length > 0) return;
        try {
          contents.set(part, await this.#part(part));
        } catch (error) {
          failures.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: readsAtOnce }, read));
    if (failures.length > 0) throw failures[0];
    return contents;
  }

  /** `isCopied`: whether copies of it are kept. */
  async #part(part: SnapshotPart, { isCopied = true } = {}): Promise<PartContent> {
    const { handle } = part;
    if (!isFile(handle)) {
      const content = contentOf(part, handle.bytes);
      if (typeof content === "string") throw damage(part, content);
      return content;
    }
    const copy = isCopied ? this.#copyOf(part, handle) : undefined;
    if (copy !== undefined) {
      this.#local += handle.length;
      return copy;
    }
    let flaw = "";
    for (let reads = 0; reads < 2; reads++) {
      const bytes = await this.#get(part, handle);
      if (typeof bytes === "string") {
        flaw = bytes;
        continue;
      }
      const content = contentOf(part, bytes);
      if (typeof content === "string") {
        flaw = content;
        continue;
      }
      this.#remote += handle.length;
      if (isCopied && this.#source.local !== undefined) this.#uncopied.push({ handle, bytes });
      return content;
    }
    throw damage(part, flaw);
  }

  /** The subtask's own copy, where it is whole. */
  #copyOf(part: SnapshotPart, handle: FileHandle): PartContent | undefined {
    const { local } = this.#source;
    if (local === undefined) return undefined;
    const copy = local.read(handle);
    const content = copy === undefined ? "there is none" : contentOf(part, copy);
    if (typeof content !== "string") return content;
    this.#missed ??= `of its own copies, ${titleOf(part)} is of no use: ${content}`;
    return undefined;
  }

  /** The bytes in R2, or what is wrong with the file. */
  async #get(
    part: SnapshotPart,
    { path, offset, length }: FileHandle,
  ): Promise<Uint8Array | string> {
    const { bucket } = this.#source;
    for (let tries = 0; ; tries++) {
      try {
        const found = await bucket.get(path, { range: { offset, length } });
        if (found === null) return "it is not in the bucket";
        return new Uint8Array(await found.arrayBuffer());
      } catch (error) {
        // A range behind the end of a file is refused like any other request that makes no sense.
        const file = await bucket.head(path).catch(() => undefined);
        if (file && file.size < offset + length) return `the file ends at byte ${file.size}`;
        const delay = readDelays[tries];
        if (delay === undefined) {
          throw new Error(`${titleOf(part)} cannot be read: ${String(error)}`, { cause: error });
        }
        await scheduler.wait(delay);
      }
    }
  }
}

const damage = (part: SnapshotPart, flaw: string): Damage =>
  new Damage(`${titleOf(part)}: ${flaw}.`);
