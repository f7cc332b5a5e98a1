// A bucket in memory that counts what is asked of it, and snapshots in it that real backends froze.

import {
  attempt,
  checkpointId,
  jobIdFrom,
  millis,
  type TaskId,
  taskKey,
} from "../../format/ids.ts";
import { allKeyGroups, keyGroupOf, ownerOfGroup, rangeOfSubtask } from "../../format/key-groups.ts";
import type { Key } from "../../format/key.ts";
import { snapshotCut } from "../../format/limits.ts";
import { encodeManifest, type Manifest } from "../../format/manifest.ts";
import { encodeElements } from "../../format/operator-state.ts";
import { savepointFilePath, snapshotPath } from "../../format/paths.ts";
import type { StoredSchema } from "../../format/segment.ts";
import type { OperatorStateHandle, TaskStateHandle } from "../../format/state-handle.ts";
import { schemaOf } from "../../operators/state/schema.ts";
import type { SnapshotBucket } from "../../snapshot/shell/files.ts";
import type { SnapshotCut } from "../../task/late-segments.ts";
import { StateSnapshots } from "../../task/state-snapshots.ts";
import { handedOver } from "./frozen-state.ts";
import type { NamedBackend } from "./state-backends.ts";

export class MemoryBucket implements SnapshotBucket {
  readonly files = new Map<string, Uint8Array>();
  calls = 0;
  bytes = 0;
  /** Replaces what a request is answered with; undefined: it fails. */
  tamper: ((path: string, bytes: Uint8Array) => Uint8Array | undefined) | undefined;

  async get(path: string, options?: { range: { offset: number; length: number } }) {
    this.calls++;
    const file = this.files.get(path);
    if (file === undefined) return null;
    const { offset, length } = options?.range ?? { offset: 0, length: file.length };
    if (offset >= file.length) throw new Error("The requested range is not satisfiable");
    const slice = file.slice(offset, offset + length);
    const bytes = this.tamper === undefined ? slice : this.tamper(path, slice);
    if (bytes === undefined) throw new Error("get: the store is down (injected)");
    this.bytes += bytes.length;
    return { arrayBuffer: async () => bytes.slice().buffer };
  }

  async head(path: string) {
    const file = this.files.get(path);
    return file === undefined ? null : { size: file.length };
  }

  async put(path: string, bytes: Uint8Array) {
    if (this.files.has(path)) return null;
    this.files.set(path, bytes.slice());
    return {};
  }

  async delete(paths: readonly string[]) {
    for (const path of paths) this.files.delete(path);
  }

  /** What was asked for since the last time this was. */
  spent(): { calls: number; bytes: number } {
    const spent = { calls: this.calls, bytes: this.bytes };
    [this.calls, this.bytes] = [0, 0];
    return spent;
  }
}

export const job = jobIdFrom(new Uint8Array(16).fill(7));
export const folder = "savepoints/here/savepoint-1/";

export interface TableSpec {
  readonly uid: string;
  readonly state: string;
  readonly schema?: StoredSchema;
}

/** One vertex `v` of some subtasks, whose tables are written by key as a job would. */
export class SnapshotWorld {
  readonly bucket = new MemoryBucket();
  readonly maxParallelism: number;
  readonly operator: OperatorStateHandle[][] = [];
  readonly #subtasks: {
    readonly task: TaskId;
    readonly backend: ReturnType<NamedBackend["open"]>;
    readonly snapshots: StateSnapshots;
  }[];
  #checkpoint = 0;

  constructor(
    backend: NamedBackend,
    {
      parallelism = 1,
      maxParallelism = 128,
      inlineThreshold = 0,
      cut = snapshotCut as SnapshotCut,
    } = {},
  ) {
    this.maxParallelism = maxParallelism;
    this.#subtasks = Array.from({ length: parallelism }, (_, index) => {
      const opened = backend.open({ maxParallelism });
      const task = { vertex: "v", index };
      const snapshots = new StateSnapshots({
        job,
        attempt: attempt(1),
        task,
        range:
          parallelism === 1
            ? allKeyGroups(maxParallelism)
            : rangeOfSubtask(index, parallelism, maxParallelism),
        maxParallelism,
        inlineThreshold,
        subtasks: 4,
        incremental: true,
        storage: "r2",
        backend: opened,
        cut,
      });
      this.operator.push([]);
      return { task, backend: opened, snapshots };
    });
  }

  /** Puts a value, or removes the key where it is undefined. Of a map the key is a pair. */
  put(of: TableSpec, key: Key, value: unknown): void {
    const owned = of.schema?.holds === "map" ? (key as readonly Key[])[0]! : key;
    const group = keyGroupOf(owned, this.maxParallelism);
    const owner = ownerOfGroup(group, this.#subtasks.length, this.maxParallelism);
    const table = this.#subtasks[owner]!.backend.store(of.uid).table(of.state, schemaOf(of.schema));
    if (value === undefined) table.remove(key);
    else table.put(key, value);
  }

  /** A state that no key owns, of one subtask. */
  hold(
    subtask: number,
    of: Omit<OperatorStateHandle, "bytes" | "elements">,
    elements: readonly unknown[],
  ): void {
    const bytes = { kind: "inline", bytes: encodeElements(elements) } as const;
    this.operator[subtask]!.push({ ...of, elements: elements.length, bytes });
  }

  /** A checkpoint, a delta where that is what a job would write; the manifest stands at its path. */
  checkpoint(): Promise<string> {
    return this.#snapshot((snapshots) => snapshots.freeze(checkpointId(this.#checkpoint)));
  }

  /** A savepoint, in `folder`. */
  savepoint(): Promise<string> {
    return this.#snapshot(
      (snapshots, task) =>
        snapshots.freezeWhole(checkpointId(this.#checkpoint), savepointFilePath(folder, task)),
      `${folder}_metadata`,
    );
  }

  async #snapshot(
    freeze: (of: StateSnapshots, task: TaskId) => ReturnType<StateSnapshots["freeze"]>,
    savepointPath?: string,
  ): Promise<string> {
    this.#checkpoint++;
    const tasks = this.#subtasks.map(({ task, snapshots }, index) => {
      const path =
        savepointPath === undefined
          ? snapshotPath(job, checkpointId(this.#checkpoint), attempt(1), task)
          : savepointFilePath(folder, task);
      const { keyed, file } = handedOver(freeze(snapshots, task), path);
      if (file !== undefined) this.bucket.files.set(file.path, file.bytes);
      const state: TaskStateHandle = { keyed, operator: this.operator[index]! };
      return { task: taskKey(task), state };
    });
    const manifest: Manifest = {
      job,
      program: "test",
      fingerprint: "f",
      checkpoint: checkpointId(this.#checkpoint),
      attempt: attempt(1),
      completedAt: millis(1_000_000),
      maxParallelism: this.maxParallelism,
      ...(savepointPath !== undefined && { isSavepoint: true }),
      shapes: { sum: "a sum" },
      tasks,
    };
    const path = savepointPath ?? `jobs/${job}/chk-${this.#checkpoint}/_metadata`;
    this.bucket.files.set(path, encodeManifest(manifest, path));
    this.bucket.spent();
    return path;
  }
}
