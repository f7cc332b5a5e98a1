// What must hold, watched from outside: by what is in the bucket, what became durable, and what
// readers are shown; never by what a core says of itself.
//   X1. Every manifest that comes to stand is a consistent cut: exactly the records below the source
//       offsets in it are in the states it names, each once (at least once in that mode; where
//       barriers overtook rows, at most once, the others being in its channels).
//   X2. It is of one attempt: what it adds was acknowledged under its own attempt.
//   X3. A checkpoint is complete once its manifest stands and its record is durable, and not before;
//       a reader of committed rows is shown exactly the rows of a complete one, and never an older
//       one than before.
//   X4. What a retained manifest needs is there, from the moment it is recorded until it is not
//       retained any more. No key is ever written twice.
//   X5. Ids of checkpoints and attempts, as recorded durably, only grow.

import { type JobRecord } from "../coordinator/job.ts";
import type { CheckpointAck } from "../format/messages.ts";
import type { Attempt, CheckpointId, TaskKey } from "../format/ids.ts";
import { keyId } from "../format/key.ts";
import { rangeHas } from "../format/key-groups.ts";
import { decodeManifest, type Manifest, manifestFiles } from "../format/manifest.ts";
import { readSegment, type SegmentEntry } from "../format/segment.ts";
import type { BytesHandle, KeyedStateHandle } from "../format/state-handle.ts";
import { checkpointOfPath } from "../format/paths.ts";
import { decodeValue } from "../format/value.ts";
import type { TopicOffsets } from "../connectors/topic-source.ts";
import {
  difference,
  excess,
  keyText,
  type Reference,
  referenceOf,
  type StateView,
  type View,
  viewOf,
} from "./reference.ts";
import { sourceUid, type Topology } from "./topology.ts";
import type { Topics } from "./topics.ts";

/** A check that failed. */
export class Violation extends Error {}

/** What a manifest was found to hold. */
interface Cut {
  readonly manifest: Manifest;
  readonly files: ReadonlySet<string>;
  /** Rows of each table by the subtask that holds them. */
  readonly tables: ReadonlyMap<string, StateView>;
}

const must = (holds: boolean, rule: () => string): void => {
  if (!holds) throw new Violation(rule());
};

export class Checks {
  readonly #topology: Topology;
  readonly #topics: Topics;
  readonly #atLeast: boolean;
  readonly #cuts = new Map<CheckpointId, Cut>();
  readonly #complete = new Set<CheckpointId>();
  readonly #written = new Set<string>();
  readonly #acks = new Map<string, Set<string>>();
  readonly #segments = new Map<string, readonly SegmentEntry[]>();
  readonly #views = new Map<string, (value: unknown) => View>();
  /** What each reader of a table was shown last. */
  readonly #shown = new Map<TaskKey, CheckpointId>();
  #files: ReadonlyMap<string, Uint8Array> = new Map();
  #record: JobRecord | undefined;
  /** The reference over all there is, once nothing more arrives. */
  #all: Reference | undefined;

  constructor(topology: Topology, topics: Topics, mode: "EXACTLY_ONCE" | "AT_LEAST_ONCE") {
    this.#topology = topology;
    this.#topics = topics;
    this.#atLeast = mode === "AT_LEAST_ONCE";
  }

  watch(files: ReadonlyMap<string, Uint8Array>): void {
    this.#files = files;
  }

  get completed(): number {
    return this.#complete.size;
  }

  /** As of the last durable write. */
  get record(): JobRecord | undefined {
    return this.#record;
  }

  // What the bucket shows.

  created(path: string, bytes: Uint8Array): void {
    must(!this.#written.has(path), () => `X4: ${path} is written a second time`);
    this.#written.add(path);
    if (path.endsWith("_metadata")) this.#cut(path, decodeManifest(bytes));
  }

  deleted(path: string): void {
    for (const { id } of this.#record?.checkpoints.retained ?? []) {
      const needed = this.#cuts.get(id)?.files.has(path) === true;
      must(!needed, () => `X4: ${path} is deleted, and retained checkpoint ${id} needs it`);
    }
  }

  /** A reader found nothing under a name that the running attempt's checkpoint holds. */
  missing(path: string, attempt: Attempt): void {
    must(attempt !== this.#record?.attempt, () => `X4: attempt ${attempt} restores ${path}, gone`);
  }

  // What becomes durable.

  recorded(record: JobRecord): void {
    const before = this.#record;
    this.#record = record;
    const { attempt, checkpoints } = record;
    must(attempt >= (before?.attempt ?? 0), () => `X5: attempt ${attempt} after a later one`);
    const spent = before?.checkpoints.nextId ?? 0;
    must(
      checkpoints.nextId >= spent,
      () => `X5: checkpoint id ${checkpoints.nextId} after ${spent}`,
    );
    if (before?.checkpoints.retained === checkpoints.retained) return;
    for (const { id } of checkpoints.retained) {
      if (this.#complete.has(id)) continue;
      this.#complete.add(id);
      const cut = this.#cuts.get(id);
      if (cut === undefined) {
        throw new Violation(
          `X3: checkpoint ${id} completes without a manifest, or without its files`,
        );
      }
      for (const path of cut.files) {
        must(this.#files.has(path), () => `X4: checkpoint ${id} needs ${path}, which is not there`);
      }
    }
  }

  // What subtasks say on their way out.

  acknowledging({ attempt, checkpoint, task, state }: CheckpointAck): void {
    const key = `${checkpoint} ${task.vertex}/${task.index}`;
    const acks = this.#acks.get(key) ?? new Set<string>();
    acks.add(`${attempt} ${stateText(state)}`);
    this.#acks.set(key, acks);
  }

  // What readers are shown.

  shown(
    table: string,
    reader: TaskKey,
    checkpoint: CheckpointId | null,
    rows: readonly { readonly key: unknown }[],
    keyed: StateView,
  ): void {
    const last = this.#shown.get(reader) ?? 0;
    if (checkpoint === null) {
      must(rows.length === 0, () => `X3: ${table} shows ${rows.length} rows of no checkpoint`);
      must(last === 0, () => `X3: ${table} shows nothing after checkpoint ${last}`);
      return;
    }
    must(this.#complete.has(checkpoint), () => `X3: ${table} shows checkpoint ${checkpoint}`);
    must(checkpoint >= last, () => `X3: ${table} shows checkpoint ${checkpoint} after ${last}`);
    this.#shown.set(reader, checkpoint);
    const expected = this.#cuts.get(checkpoint)!.tables.get(`${reader} ${table}`) ?? new Map();
    const wrong = difference(keyed, expected, false);
    must(wrong === undefined, () => `X3: ${table} as of checkpoint ${checkpoint}: ${wrong}`);
  }

  /** What tables show in the end, all subtasks together. */
  final(table: string, rows: StateView): string | undefined {
    this.#all ??= this.#whole();
    return difference(rows, this.#all.tables.get(table)!, this.#atLeast);
  }

  view(state: string): (value: unknown) => View {
    let view = this.#views.get(state);
    if (view === undefined) this.#views.set(state, (view = viewOf(this.#topology, state)));
    return view;
  }

  /** Files that no retained checkpoint reaches. */
  unreachable(): string[] {
    const retained = this.#record?.checkpoints.retained ?? [];
    return [...this.#files.keys()].filter(
      (path) => !retained.some((entry) => this.#cuts.get(entry.id)?.files.has(path)),
    );
  }

  /** Of these, those that no checkpoint that is still open may need. */
  orphans(): string[] {
    const record = this.#record;
    const latest = record?.checkpoints.retained[0];
    if (latest === undefined) return [];
    return this.unreachable().filter((path) => {
      const id = checkpointOfPath(record!.job, path);
      return id === undefined || id <= latest.id;
    });
  }

  // The cut.

  #cut(path: string, manifest: Manifest): void {
    const { checkpoint, attempt, tasks } = manifest;
    must(!this.#cuts.has(checkpoint), () => `X1: two manifests of checkpoint ${checkpoint}`);
    const files = new Set([path, ...manifestFiles(manifest)]);
    // A manifest that arrives after its attempt has ended is litter, and so are its files: nobody
    // may record it.
    for (const file of files) if (!this.#files.has(file)) return;
    const offsets: TopicOffsets[] = this.#topology.sources.map(() => []);
    const found = new Map<string, StateView>();
    const tables = new Map<string, StateView>();
    for (const { task, state } of tasks) {
      const acks = this.#acks.get(`${checkpoint} ${task}`);
      const isAcknowledged = acks?.has(`${attempt} ${stateText(state)}`) === true;
      must(isAcknowledged, () => `X2: ${task} did not say that in attempt ${attempt}`);
      for (const { uid, bytes } of state.operator) {
        const source = this.#topology.sources.findIndex((_, at) => sourceUid(at) === uid);
        offsets[source] = [...offsets[source]!, ...(decodeValue(bytes) as TopicOffsets)];
      }
      for (const handle of state.keyed) {
        const name = `${handle.uid}/${handle.state}`;
        const views = this.#viewsOf(name, handle, checkpoint);
        const all = found.get(name) ?? new Map<string, View>();
        for (const [key, view] of views) {
          must(
            !all.has(key),
            () => `X1: checkpoint ${checkpoint}: two subtasks hold ${name} ${key}`,
          );
          all.set(key, view);
        }
        found.set(name, all);
        if (handle.state !== "rows") continue;
        const at = Number(handle.uid.slice("out-".length));
        tables.set(`${task} table-${at}`, views);
      }
    }
    const expected = this.#reference(offsets);
    if (tasks.some(({ state }) => state.channels !== undefined)) {
      // Rows of this cut are in channels, too: the states must not hold more than the reference.
      // That nothing is missing shows after the restores from it, and in the end.
      for (const [name, views] of found) {
        const wrong = excess(views, expected.states.get(name) ?? new Map());
        must(wrong === undefined, () => `X1: checkpoint ${checkpoint}: state ${name}: ${wrong}`);
      }
      this.#cuts.set(checkpoint, { manifest, files, tables });
      return;
    }
    for (const [name, state] of expected.states) {
      const wrong = difference(found.get(name) ?? new Map(), state, this.#atLeast);
      must(wrong === undefined, () => `X1: checkpoint ${checkpoint}: state ${name}: ${wrong}`);
    }
    this.#cuts.set(checkpoint, { manifest, files, tables });
  }

  #viewsOf(name: string, handle: KeyedStateHandle, checkpoint: CheckpointId): StateView {
    const view = this.view(name);
    const entries = new Map<unknown, [string, unknown]>();
    for (const segment of handle.segments) {
      for (const entry of this.#entries(segment, checkpoint)) {
        must(
          rangeHas(handle.range, entry.group),
          () => `X1: ${name} holds a key of another subtask`,
        );
        if ("deleted" in entry) entries.delete(keyId(entry.key));
        else entries.set(keyId(entry.key), [keyText(entry.key), entry.value]);
      }
    }
    return new Map([...entries.values()].map(([key, value]) => [key, view(value)]));
  }

  #entries(handle: BytesHandle, checkpoint: CheckpointId): readonly SegmentEntry[] {
    if (handle.kind === "inline") return [...readSegment(handle.bytes).entries()];
    const { path, offset, length } = handle;
    const key = `${path} ${offset}`;
    let entries = this.#segments.get(key);
    if (entries === undefined) {
      const file = this.#files.get(path);
      if (file === undefined)
        throw new Violation(`X4: checkpoint ${checkpoint} needs ${path}, gone`);
      entries = [...readSegment(file.subarray(offset, offset + length)).entries()];
      this.#segments.set(key, entries);
    }
    return entries;
  }

  #reference(offsets: readonly TopicOffsets[]): Reference {
    const records = this.#topology.sources.map((_, source) =>
      offsets[source]!.flatMap(({ partition, next }) =>
        this.#topics.items(`topic-${source}`, partition, next),
      ),
    );
    return referenceOf(this.#topology, records);
  }

  #whole(): Reference {
    const records = this.#topology.sources.map(({ partitions }, source) =>
      Array.from({ length: partitions }, (_, partition) =>
        this.#topics.items(`topic-${source}`, partition),
      ).flat(),
    );
    return referenceOf(this.#topology, records);
  }
}

const text = new TextDecoder();

/** Enough of a state to tell it from any other snapshot of the same subtask. */
function stateText({ keyed, operator, channels = [] }: CheckpointAck["state"]): string {
  const segments = keyed.map(
    ({ uid, state, segments: chain }) =>
      `${uid}/${state} ${chain.map((one) => (one.kind === "file" ? `${one.path}@${one.offset}` : one.bytes.length)).join(" ")}`,
  );
  const offsets = operator.map(({ uid, bytes }) => `${uid} ${text.decode(bytes)}`);
  const frames = channels.map(({ end, edge, from, to }) => `${end} ${edge} ${from} ${to}`);
  return [...segments, ...offsets, ...frames].join("; ");
}
