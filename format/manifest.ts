// The manifest of a checkpoint: what makes its files count. Written once per checkpoint, by
// conditional create; whoever can read it can restore the job.
//   F2. A manifest names every file it needs, and nothing else does.

import { seal, unseal } from "./envelope.ts";
import {
  type Attempt,
  type CheckpointId,
  type JobId,
  type Millis,
  parseTaskKey,
  type TaskKey,
} from "./ids.ts";
import { filesOf, type TaskStateHandle } from "./state-handle.ts";
import { decodeValue, encodeValue } from "./value.ts";

const version = 1;

export interface Manifest {
  readonly job: JobId;
  readonly program: string;
  readonly fingerprint: string;
  readonly checkpoint: CheckpointId;
  readonly attempt: Attempt;
  readonly completedAt: Millis;
  readonly maxParallelism: number;
  readonly tasks: readonly { readonly task: TaskKey; readonly state: TaskStateHandle }[];
}

export const encodeManifest = (manifest: Manifest): Uint8Array =>
  seal("manifest", version, encodeValue(manifest));

/** Throws a `FormatError` where the bytes are damaged or newer than this code. */
export const decodeManifest = (bytes: Uint8Array): Manifest =>
  decodeValue(unseal("manifest", bytes)) as Manifest;

export const manifestFiles = (manifest: Manifest): string[] =>
  manifest.tasks.flatMap((entry) => filesOf(entry.state));

/** The states of a vertex's subtasks in the order of their indices. */
export const statesOf = (manifest: Manifest, vertex: string): TaskStateHandle[] =>
  manifest.tasks
    .flatMap(({ task, state }) => {
      const { vertex: of, index } = parseTaskKey(task);
      return of === vertex ? [{ index, state }] : [];
    })
    .sort((a, b) => a.index - b.index)
    .map(({ state }) => state);
