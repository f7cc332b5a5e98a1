// Snapshot files in R2, from the side of a subtask, and the copies that it may have of them.
//   F1. No byte is given to the core before it is known to be what was written.
//   F2. What looks damaged is read once more, as the transfer may have been at fault; then it counts
//       as damaged. An operation of R2 that fails says nothing of the file: it is tried again, and
//       in the end whoever deploys decides whether to try later.

import { decodeFrames } from "../../format/channel-state.ts";
import { taskKey } from "../../format/ids.ts";
import type { RestoredBytes, TaskDeployment } from "../../format/messages.ts";
import { type SnapshotPart, titleOf } from "../../format/snapshot-part.ts";
import type { JobGraph } from "../../stream/graph.ts";
import { channelsOf, restoredChannel } from "../former-rows.ts";
import { type FileHandle, isFile, type LocalSegments } from "../local-segments.ts";
import { sharesOf } from "../operator-state.ts";
import type { SnapshotFile } from "../snapshot-file.ts";
import { flawOf, ownKeyedState } from "../snapshot-parts.ts";
import type { RestoredKeyedState } from "../state-snapshots.ts";
import type { RestoredState } from "../task-state.ts";

/** Milliseconds before each further try to read a file; after the last it cannot be read. */
const readDelays = [50, 200, 1_000];

/** Stores a file under its own key; keys are never used twice, so an existing one is an error. */
export async function storeFile(bucket: R2Bucket, file: SnapshotFile): Promise<void> {
  const created = await bucket.put(file.path, file.bytes, { onlyIf: { etagDoesNotMatch: "*" } });
  if (created === null) throw new Error(`${file.path} exists already.`);
}

export type LoadOutcome =
  | {
      readonly kind: "loaded";
      readonly state: RestoredState | undefined;
      readonly bytes: RestoredBytes;
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
    const { bytes, missed } = reading;
    if (state !== undefined && source.local !== undefined && bytes.local + bytes.remote > 0) {
      const what = `Subtask ${taskKey(deployment.task)} restored checkpoint ${state.checkpoint}`;
      const where = `${bytes.local} bytes from its own copies and ${bytes.remote} from R2`;
      console.log(
        `${what}: ${where}.${missed === undefined ? "" : ` R2 was read because ${missed}.`}`,
      );
    }
    return { kind: "loaded", state, bytes };
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

  async state(deployment: TaskDeployment, graph: JobGraph): Promise<RestoredState | undefined> {
    const { restore } = deployment;
    if (restore === undefined) return undefined;
    const keyed: RestoredKeyedState[] = [];
    // One after the other: a subtask may hold six connections, and memory for one file.
    for (const handle of ownKeyedState(deployment)) {
      if (this.#source.isHeld) {
        keyed.push({ handle, segments: "held" });
        continue;
      }
      const segments = [];
      for (const segment of handle.segments) {
        segments.push(await this.#part({ kind: "segment", handle: segment, of: handle }));
      }
      keyed.push({ handle, segments });
    }
    const operator = [];
    for (const share of sharesOf(deployment)) {
      const { handle } = share;
      const part = { kind: "elements", handle: handle.bytes, of: handle } as const;
      operator.push({ ...share, bytes: await this.#part(part) });
    }
    const channels = [];
    for (const handle of channelsOf(deployment)) {
      const bytes = await this.#part({ kind: "frames", handle: handle.frames, of: handle });
      channels.push(restoredChannel(deployment, graph, handle, decodeFrames(bytes)));
    }
    return { checkpoint: restore.checkpoint, keyed, operator, channels };
  }

  async #part(part: SnapshotPart): Promise<Uint8Array> {
    const { handle } = part;
    if (!isFile(handle)) {
      const flaw = flawOf(part, handle.bytes);
      if (flaw !== undefined) throw damage(part, flaw);
      return handle.bytes;
    }
    const copy = this.#copyOf(part, handle);
    if (copy !== undefined) {
      this.#local += copy.length;
      return copy;
    }
    let flaw: string | undefined;
    for (let reads = 0; reads < 2; reads++) {
      const bytes = await this.#get(part, handle);
      flaw = typeof bytes === "string" ? bytes : flawOf(part, bytes);
      if (flaw !== undefined || typeof bytes === "string") continue;
      this.#remote += bytes.length;
      // The next checkpoints may build on it.
      for (const _ of this.#source.local?.write(handle, bytes) ?? []) await scheduler.wait(0);
      return bytes;
    }
    throw damage(part, flaw!);
  }

  /** The subtask's own copy, where it is whole. */
  #copyOf(part: SnapshotPart, handle: FileHandle): Uint8Array | undefined {
    const { local } = this.#source;
    if (local === undefined) return undefined;
    const copy = local.read(handle);
    const flaw = copy === undefined ? "there is none" : flawOf(part, copy);
    if (flaw === undefined) return copy;
    this.#missed ??= `of its own copies, ${titleOf(part)} is of no use: ${flaw}`;
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
