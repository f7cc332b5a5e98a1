// Where a job's files are in R2. The only formatter of keys.
//   P1. Keys contain the checkpoint, and for files of subtasks also the attempt, so no two writers
//       ever share a key and nothing is overwritten.
//   P2. The checkpoint that wrote a file can be read from its key; retention relies on it.
//   P3. A savepoint is a folder outside of every job's prefix, so that nothing that is done to a job's
//       files reaches it. Its name holds job and checkpoint: no two savepoints share one.
//   P4. Files of rows are outside of every job's prefix: they are results, and nothing that is done to a
//       job's checkpoints reaches them.

import type { Attempt, CheckpointId, JobId, TaskId } from "./ids.ts";
import { checkpointId } from "./ids.ts";

export const jobPrefix = (job: JobId): string => `jobs/${job}/`;

const checkpointPrefix = (job: JobId, checkpoint: CheckpointId): string =>
  `${jobPrefix(job)}chk-${checkpoint}/`;

/** The commit point of a checkpoint: written once, by conditional create. */
export const manifestPath = (job: JobId, checkpoint: CheckpointId): string =>
  `${checkpointPrefix(job, checkpoint)}_metadata`;

/** What one subtask wrote for one checkpoint. */
export const snapshotPath = (
  job: JobId,
  checkpoint: CheckpointId,
  attempt: Attempt,
  task: TaskId,
): string => `${checkpointPrefix(job, checkpoint)}${task.vertex}-${task.index}-a${attempt}`;

/** A copy of a manifest that is in its coordinator, for another job to read. The hold has one number. */
export const sharedManifestPath = (job: JobId, nth: number): string =>
  `${jobPrefix(job)}shared-${nth}/_metadata`;

/** Under which the files of rows are that a job writes. */
export const filesPrefix = (job: JobId, name: string): string => `files/${job}/${name}/`;

/** `epoch`: the checkpoint that made the file, or what else no other file of the subtask has. */
export const rowsFilePath = (
  job: JobId,
  { name, partition }: { readonly name: string; readonly partition: string },
  { subtask, epoch, n }: { readonly subtask: number; readonly epoch: string; readonly n: number },
): string =>
  `${filesPrefix(job, name)}${partition}${partition === "" ? "" : "/"}part-${subtask}-${epoch}-${n}.ndjson`;

/** Under which all savepoints are. */
export const savepointsPrefix = "savepoints/";

/** One level of a directory: what needs no escaping in a URL or a shell, and no `.` or `..`. */
const directoryName = /^(?!\.)[A-Za-z0-9._=-]{1,80}$/;
const directoryLevelsMax = 8;
const savepointName = "savepoint-";

/**
 * The directory that a client means, with or without the `savepoints/` that all are in; undefined
 * where it is none of ours.
 */
export function savepointDirectory(text: string): string | undefined {
  const inner = text.startsWith(savepointsPrefix) ? text.slice(savepointsPrefix.length) : text;
  const levels = inner.replace(/\/$/, "").split("/");
  if (inner === "") return savepointsPrefix;
  const isPlain = levels.every(
    (name) => directoryName.test(name) && !name.startsWith(savepointName),
  );
  if (!isPlain || levels.length > directoryLevelsMax) return undefined;
  return `${savepointsPrefix}${levels.join("/")}/`;
}

/** A savepoint's own folder; `directory` as `savepointDirectory` gives it. */
export const savepointFolder = (directory: string, job: JobId, checkpoint: CheckpointId): string =>
  `${directory}${savepointName}${job}-${checkpoint}/`;

export const isInSavepoint = (path: string): boolean => path.startsWith(savepointsPrefix);

/** The commit point of a savepoint: written once, by conditional create. */
export const savepointManifestPath = (folder: string): string => `${folder}_metadata`;

/** What one subtask wrote for a savepoint. Its id is of one attempt, so no other writes there. */
export const savepointFilePath = (folder: string, task: TaskId): string =>
  `${folder}${task.vertex}-${task.index}`;

/** One of the files of a savepoint that was imported; `token` is of this import alone (P1). */
export const importedFilePath = (folder: string, token: string, part: number): string =>
  `${folder}${token}-${part}`;

/**
 * The folder of a savepoint that is to be called `name`, in directories or not. Its own name begins like
 * that of any savepoint, so that none is ever inside another. Undefined where it cannot be called so.
 */
export function namedSavepointFolder(name: string): string | undefined {
  const levels = name.split("/");
  const last = levels.pop()!;
  const directory = savepointDirectory(levels.join("/"));
  if (directory === undefined || levels.includes("") || !directoryName.test(last)) return undefined;
  const folder = `${directory}${last.startsWith(savepointName) ? "" : savepointName}${last}/`;
  return snapshotManifest(folder.slice(savepointsPrefix.length)) === savepointManifestPath(folder)
    ? folder
    : undefined;
}

const checkpointFolder = /^jobs\/[0-9a-f]{32}\/chk-[1-9]\d{0,15}$/;

/**
 * The manifest that a client means, by its own path or by that of its folder: of a savepoint, or of a
 * checkpoint of any job. Undefined where it can be neither.
 */
export function restorableManifest(text: string): string | undefined {
  const folder = text.replace(/\/(_metadata)?$/, "");
  if (checkpointFolder.test(folder)) return `${folder}/_metadata`;
  if (!isInSavepoint(folder)) return undefined;
  const [name, ...levels] = folder.slice(savepointsPrefix.length).split("/").reverse();
  const isPlain =
    directoryName.test(name ?? "") && levels.every((level) => directoryName.test(level));
  return isPlain && levels.length <= directoryLevelsMax ? `${folder}/_metadata` : undefined;
}

/** The job whose retention keeps a checkpoint, by the path of its manifest; undefined for a savepoint's. */
export const jobOfCheckpoint = (path: string): JobId | undefined =>
  /^jobs\/([0-9a-f]{32})\//.exec(path)?.[1] as JobId | undefined;

/** The folder of the savepoint that a client means; undefined where it can be none. */
export function disposableFolder(text: string): string | undefined {
  const path = restorableManifest(text);
  return path !== undefined && isInSavepoint(path) ? folderOf(path) : undefined;
}

const ownSavepointFolder = /\/savepoint-([0-9a-f]{32})-[1-9]\d{0,15}\/$/;

/** The job whose savepoint has a folder of that name; undefined where it was given another. */
export const jobOfSavepoint = (folder: string): JobId | undefined =>
  ownSavepointFolder.exec(folder)?.[1] as JobId | undefined;

/**
 * The manifest that the id of a snapshot means: the folder of a savepoint as it is named below
 * `savepoints/`, or whatever `restorableManifest` takes.
 */
export const snapshotManifest = (id: string): string | undefined =>
  restorableManifest(id) ?? restorableManifest(`${savepointsPrefix}${id}`);

/** The id of the snapshot whose manifest is at `path`; the shortest that `snapshotManifest` takes. */
export const snapshotId = (path: string): string =>
  folderOf(path)
    .replace(/\/$/, "")
    .slice(isInSavepoint(path) ? savepointsPrefix.length : 0);

/** Whether a file is the manifest of a savepoint. */
export const isSavepointManifest = (path: string): boolean =>
  isInSavepoint(path) && restorableManifest(path) === path;

/** The folder that holds a manifest. */
export const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/") + 1);

/** The checkpoint whose folder holds `path`, or undefined where the path is none of ours. */
export function checkpointOfPath(job: JobId, path: string): CheckpointId | undefined {
  const prefix = `${jobPrefix(job)}chk-`;
  if (!path.startsWith(prefix)) return undefined;
  const id = Number.parseInt(path.slice(prefix.length), 10);
  return Number.isSafeInteger(id) && id >= 1 ? checkpointId(id) : undefined;
}
