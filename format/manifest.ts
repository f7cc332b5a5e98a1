// The manifest of a checkpoint: what makes its files count. Written once per checkpoint, by
// conditional create; whoever can read it can restore the job.
//   F2. A manifest names every file it needs, and nothing else does.
//   F3. That of a savepoint names its files relatively to its own folder, so the folder may be moved
//       or copied as it is. In memory all names are whole: `encode` and `decode` turn them.

import { seal, unseal } from "./envelope.ts";
import {
  type Attempt,
  type CheckpointId,
  type JobId,
  type Millis,
  parseTaskKey,
  type TaskKey,
} from "./ids.ts";
import { folderOf } from "./paths.ts";
import type { EdgePlan } from "./plan.ts";
import { filesOf, handlesIn, lengthOf, renamed, type TaskStateHandle } from "./state-handle.ts";
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
  /** It is a savepoint's: nobody but a user deletes it. */
  readonly isSavepoint?: true;
  /** Of the plan that it was taken in (`plan.ts`). */
  readonly shapes?: Readonly<Record<string, string>>;
  /** Of the same plan, those with channels and those without; present where rows were on their way. */
  readonly edges?: readonly EdgePlan[];
  readonly tasks: readonly { readonly task: TaskKey; readonly state: TaskStateHandle }[];
}

/** Before the name of a file that is in the manifest's own folder. */
const here = "./";

/** Bytes of all state in it. */
export const bytesIn = ({ tasks }: Manifest): number =>
  tasks.flatMap(({ state }) => handlesIn(state)).reduce((sum, handle) => sum + lengthOf(handle), 0);

/** The bytes to store at `path`, which only a savepoint's depend on. */
export function encodeManifest(manifest: Manifest, path = ""): Uint8Array {
  const folder = folderOf(path);
  const relative = (file: string): string =>
    file.startsWith(folder) ? `${here}${file.slice(folder.length)}` : file;
  const stored = manifest.isSavepoint ? withFiles(manifest, relative) : manifest;
  return seal("manifest", version, encodeValue(stored));
}

/** What is stored at `path`. Throws a `FormatError` where the bytes are damaged or newer than this code. */
export function decodeManifest(bytes: Uint8Array, path = ""): Manifest {
  const manifest = decodeValue(unseal("manifest", bytes)) as Manifest;
  if (!manifest.isSavepoint) return manifest;
  const folder = folderOf(path);
  return withFiles(manifest, (file) =>
    file.startsWith(here) ? `${folder}${file.slice(here.length)}` : file,
  );
}

const withFiles = (manifest: Manifest, nameOf: (path: string) => string): Manifest => ({
  ...manifest,
  tasks: manifest.tasks.map(({ task, state }) => ({ task, state: renamed(state, nameOf) })),
});

export const manifestFiles = (manifest: Manifest): string[] =>
  manifest.tasks.flatMap((entry) => filesOf(entry.state));

/** Whether rows were on their way that its barriers overtook. */
export const hasRowsOnTheirWay = ({ tasks }: Pick<Manifest, "tasks">): boolean =>
  tasks.some(({ state: { channels = [] } }) => channels.length > 0);

/** The states of a vertex's subtasks in the order of their indices. */
export const statesOf = (manifest: Manifest, vertex: string): TaskStateHandle[] =>
  manifest.tasks
    .flatMap(({ task, state }) => {
      const { vertex: of, index } = parseTaskKey(task);
      return of === vertex ? [{ index, state }] : [];
    })
    .sort((a, b) => a.index - b.index)
    .map(({ state }) => state);
